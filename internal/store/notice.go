package store

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
)

// NewNotice is a notice about a session that starts.
type NewNotice struct {
	ID    exeunt.NoticeID
	Place string
	// Mail tells of it, and Link is what it leads to; nil when it goes to no address.
	Mail *NewMail
	Link Link
}

// noticeKind is the only kind of notice there is.
const noticeKind = "unfamiliar_sign_in"

// maxNotMeLinks is how many links of mails about sign-ins an account has. Any of them ends everything.
const maxNotMeLinks = 50

// addNotice stores a notice with the mail about it. Beyond MaxNotices those go that were answered, then the oldest.
func (t *tx) addNotice(v NewSession, now time.Time) error {
	n, s := v.Notice, &v.Session
	account := s.Account.Bytes()
	if _, err := t.exec(`DELETE FROM notices WHERE account_id = $1 AND id IN (SELECT id FROM notices WHERE account_id = $1
		ORDER BY CASE WHEN state = 'open' THEN 0 ELSE 1 END, at DESC LIMIT 1000 OFFSET $2)`, account,
		exeunt.MaxNotices-1); err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO notices (account_id, id, kind, session_id, device, at, label, address, place, state)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'open')`, account, n.ID.Bytes(), noticeKind, s.ID.Bytes(),
		deviceBytes(v.Arrival.Device), ms(now), s.Label, addressText(s.Address), n.Place); err != nil {
		return err
	}
	if n.Mail != nil {
		queued, err := t.queueMail(*n.Mail, now)
		if err == nil && queued {
			err = t.addLink(n.Link, maxNotMeLinks)
		}
		if err != nil {
			return err
		}
	}
	return t.audit(exeunt.AuditEntry{At: now, Account: s.Account, Action: exeunt.AuditUnfamiliar, Session: s.ID, By: v.By,
		Detail: n.Place})
}

const noticeColumns = `id, account_id, session_id, at, label, address, place, state, COALESCE(answered, 0)`

func scanNotice(r rowScanner) (n exeunt.Notice, err error) {
	var when, answered int64
	var address string
	err = r.Scan(&n.ID, &n.Account, &n.Session, &when, &n.Label, &address, &n.Place, &n.State, &answered)
	n.At = at(when)
	n.Address, _ = netip.ParseAddr(address) // "" is unknown
	if answered != 0 {
		n.Answered = at(answered)
	}
	return n, err
}

// OpenNotices returns the notices of an account that still ask, latest first.
func (s *Store) OpenNotices(ctx context.Context, account exeunt.AccountID, now time.Time) ([]exeunt.Notice, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+noticeColumns+` FROM notices WHERE account_id = $1 AND state = 'open'
		AND at > $2 ORDER BY at DESC, id LIMIT $3`, account.Bytes(), ms(now.Add(-exeunt.NoticeLife)), exeunt.MaxNotices)
	return collect(rows, err, "notices", scanNotice)
}

// Notice returns a notice of the account, or ErrNotFound.
func (s *Store) Notice(ctx context.Context, account exeunt.AccountID, id exeunt.NoticeID) (exeunt.Notice, error) {
	n, err := scanNotice(s.read.QueryRowContext(ctx, `SELECT `+noticeColumns+` FROM notices WHERE account_id = $1
		AND id = $2`, account.Bytes(), id.Bytes()))
	return n, notFound("notice", err)
}

// Answering is an answer to a notice.
type Answering struct {
	By     exeunt.Actor
	Notice exeunt.NoticeID
	Link   *Link // by which it is answered; nil for somebody who is signed in
}

// mayAnswer reports why an answer is refused, with the notice as it is. That it was somebody else counts by a link though
// a page has said otherwise: whoever has signed in may have said so.
func (t *tx) mayAnswer(a Answering, as exeunt.NoticeState, now time.Time) (n exeunt.Notice, refused, err error) {
	n, err = scanNotice(t.row(`SELECT `+noticeColumns+` FROM notices WHERE account_id = $1 AND id = $2`,
		a.By.Account.Bytes(), a.Notice.Bytes()))
	ok, err := found(err)
	switch {
	case err != nil:
		return n, nil, err
	case !ok && a.Link != nil && as == exeunt.NoticeNotMe:
		n.State = exeunt.NoticeOpen // newer ones took its place; what the link does needs none
	case !ok:
		return n, exeunt.ErrNotFound, nil
	}
	if a.Link != nil && (n.State == exeunt.NoticeOpen || n.State == exeunt.NoticeMe && as == exeunt.NoticeNotMe) {
		ok, err := t.spendLink(*a.Link, now)
		if err == nil && !ok {
			refused = exeunt.ErrInviteSpent
		}
		return n, refused, err
	}
	if a.Link != nil || !n.Asks(now) {
		return n, exeunt.ErrAnswered, nil
	}
	var asked bool
	var open int
	err = t.row(`SELECT count(*) > 0, (SELECT count(*) FROM notices WHERE account_id = $1 AND state = 'open' AND at > $3)
		FROM notices WHERE account_id = $1 AND session_id = $2 AND state = 'open' AND at > $3`, a.By.Account.Bytes(),
		sessionID(a.By.Session), ms(now.Add(-exeunt.NoticeLife))).Scan(&asked, &open)
	switch {
	case asked:
		refused = exeunt.ErrNotAsked
	case open >= exeunt.MaxNotices && as == exeunt.NoticeMe:
		refused = exeunt.ErrManyNotices // the one about the actor's own session may have been pushed out
	}
	return n, refused, err
}

// sessionID is a session's bytes; 16 zeros, which no session has, without one.
func sessionID(id exeunt.SessionID) []byte {
	raw := id.Raw()
	return raw[:]
}

// AnswerMe records that a sign-in was the owner's: its device is one of theirs, and what else was asked of that device is
// answered. Outcomes: nil, also when that was answered before; ErrNotFound; ErrSignedOut; ErrNotAsked, when the actor's
// own session is asked about; ErrManyNotices, when it may have been; ErrAnswered; ErrInviteSpent; ErrUnavailable, ErrNotConfirmed.
func (s *Store) AnswerMe(ctx context.Context, a Answering, now time.Time) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		if a.By.Kind == exeunt.ActorPerson {
			label, ok, err := t.mayStillAct(a.By, exeunt.SessionID{})
			if err != nil || !ok {
				return exeunt.ErrSignedOut, err
			}
			a.By.Label = label
		}
		n, refused, err := t.mayAnswer(a, exeunt.NoticeMe, now)
		if errors.Is(refused, exeunt.ErrAnswered) && n.State == exeunt.NoticeMe {
			return nil, err
		}
		if err != nil || refused != nil {
			return refused, err
		}
		account, id := a.By.Account.Bytes(), a.Notice.Bytes()
		if _, err := t.exec(`UPDATE devices SET familiar = $3 WHERE account_id = $1 AND familiar > $3 AND hash =
			(SELECT device FROM notices WHERE account_id = $1 AND id = $2)`, account, id, ms(now)); err != nil {
			return nil, err
		}
		if _, err := t.exec(`UPDATE notices SET state = 'me', answered = $3 WHERE account_id = $1 AND state = 'open'
			AND (id = $2 OR device = (SELECT n.device FROM notices n WHERE n.account_id = $1 AND n.id = $2))`,
			account, id, ms(now)); err != nil {
			return nil, err
		}
		return nil, t.audit(exeunt.AuditEntry{At: now, Account: a.By.Account, Action: exeunt.AuditRecognised,
			Session: n.Session, By: a.By})
	})
}

// NotMe is that a sign-in was somebody else's. It comes with the ending of everything.
type NotMe struct {
	Answering
	// Reset, by the hash of its token, is a link for a new password; nil without. It is stored
	// only if the link's mail went to the address that the account has confirmed.
	Reset     *Invite
	ResetHash exeunt.TokenHash
}

// disown answers what is asked of any sign-in: everything has ended. The devices of all of them are forgotten, and whatever
// somebody has begun with them. Links that undo something stay.
func (t *tx) disown(n NotMe, account exeunt.AccountID, now time.Time) error {
	id, which := account.Bytes(), `account_id = $1 AND (state = 'open' OR id = $2)`
	if _, err := t.exec(`DELETE FROM devices WHERE account_id = $1 AND hash IN (SELECT device FROM notices WHERE `+which+`)`,
		id, n.Notice.Bytes()); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE notices SET state = 'not_me', answered = $3 WHERE `+which, id, n.Notice.Bytes(),
		ms(now)); err != nil {
		return err
	}
	if err := t.dropBegun(account); err != nil {
		return err
	}
	if err := t.dropLinks(account, LinkConfirm); err != nil {
		return err
	}
	if n.Reset == nil || n.Link == nil {
		return nil
	}
	// Looked up here: the address may have been put back since the page was read.
	_, mailbox, _ := strings.Cut(n.Link.Data, " ")
	var confirmed bool
	if err := t.row(`SELECT count(*) > 0 FROM accounts WHERE id = $1 AND email_confirmed = 1 AND email_key = $2`, id,
		names.Key(mailbox)).Scan(&confirmed); err != nil || !confirmed {
		return err
	}
	return t.insertInvite(n.ResetHash, *n.Reset)
}
