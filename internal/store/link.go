package store

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
)

// Link is a single-use link that somebody got by mail. Opening it spends nothing: mail scanners follow links.
type Link struct {
	Hash    exeunt.TokenHash // of its token, which only the mail has
	Account exeunt.AccountID
	Purpose LinkPurpose
	Data    string // what it is about, as its purpose has it
	Expires time.Time
	Spent   time.Time // zero: not yet
}

// LinkPurpose is what a link does.
type LinkPurpose string

const (
	// LinkConfirm: the address in Data is the account's.
	LinkConfirm LinkPurpose = "confirm"
	// LinkUndo: the account gets back the address in Data.
	LinkUndo LinkPurpose = "undo"
	// LinkNotMe: somebody else has signed in, as the notice in Data tells.
	LinkNotMe LinkPurpose = "not_me"
)

// addLink stores a link. Of an account's with the same purpose at most most stay: those that expire first go.
func (t *tx) addLink(l Link, most int) error {
	if _, err := t.exec(`DELETE FROM links WHERE hash IN (SELECT hash FROM links WHERE account_id = $1 AND purpose = $2
		ORDER BY expires DESC LIMIT 1000 OFFSET $3)`, l.Account.Bytes(), l.Purpose, most-1); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO links (hash, account_id, purpose, data, expires) VALUES ($1, $2, $3, $4, $5)`,
		l.Hash[:], l.Account.Bytes(), l.Purpose, l.Data, ms(l.Expires))
	return err
}

// Link returns a link that has not expired, also a spent one, or ErrNotFound.
func (s *Store) Link(ctx context.Context, hash exeunt.TokenHash, now time.Time) (Link, error) {
	l := Link{Hash: hash}
	var expires int64
	var spent *int64
	err := s.read.QueryRowContext(ctx, `SELECT account_id, purpose, data, expires, spent_at FROM links
		WHERE hash = $1 AND expires > $2`, hash[:], ms(now)).Scan(&l.Account, &l.Purpose, &l.Data, &expires, &spent)
	l.Expires = at(expires)
	if spent != nil {
		l.Spent = at(*spent)
	}
	return l, notFound("link", err)
}

// spendLink spends a link. It returns false when it is not usable any more.
func (t *tx) spendLink(l Link, now time.Time) (bool, error) {
	n, err := t.exec(`UPDATE links SET spent_at = $1 WHERE hash = $2 AND account_id = $3 AND purpose = $4
		AND spent_at IS NULL AND expires > $1`, ms(now), l.Hash[:], l.Account.Bytes(), l.Purpose)
	return n == 1, err
}

// dropLinks deletes the account's unspent links of one purpose.
func (t *tx) dropLinks(id exeunt.AccountID, purpose LinkPurpose) error {
	_, err := t.exec(`DELETE FROM links WHERE account_id = $1 AND purpose = $2 AND spent_at IS NULL`, id.Bytes(), purpose)
	return err
}
