package store

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
)

// Ask asks somebody by mail to do something with a link.
type Ask struct {
	Link Link
	Mail NewMail
}

const (
	// MaxConfirmLinks is how many links to confirm its address an account has at most: whoever asks for another mail
	// may press the link of the first.
	MaxConfirmLinks = 5
	// MaxUndoLinks is how many changes of its address an account can undo at most. Another change is refused: the link
	// of the oldest address must not give way, because it may be the owner's.
	MaxUndoLinks = 5
)

// ask queues the mail and stores its link. It refuses with ErrManyMails before it has changed anything.
func (t *tx) ask(a Ask, now time.Time) (refused, err error) {
	queued, err := t.queueMail(a.Mail, now)
	if err != nil || !queued {
		return ErrManyMails, err
	}
	most := MaxConfirmLinks
	if a.Link.Purpose == LinkUndo {
		most = 2 * MaxUndoLinks // tellOld has counted those that matter
	}
	return nil, t.addLink(a.Link, most)
}

// tellOld tells a confirmed address that it is the account's no more, with a link to undo that. It refuses, before it
// has changed anything, with a ThrottledError if too many changes can be undone already, with ErrOtherEmail if the
// account has another address than the one to be told, and with ErrManyMails.
func (t *tx) tellOld(undo *Ask, present string, now time.Time) (refused, err error) {
	if undo == nil {
		return nil, nil // without a mail server
	}
	if undo.Link.Data != present {
		return exeunt.ErrOtherEmail, nil
	}
	var n int
	var first int64
	if err := t.row(`SELECT count(*), COALESCE(min(expires), 0) FROM (SELECT expires FROM links WHERE account_id = $1
		AND purpose = 'undo' AND expires > $2 AND spent_at IS NULL LIMIT $3) AS l`, undo.Link.Account.Bytes(), ms(now),
		MaxUndoLinks).Scan(&n, &first); err != nil {
		return nil, err
	}
	if n >= MaxUndoLinks {
		return &exeunt.ThrottledError{RetryAfter: at(first).Sub(now), Limit: exeunt.LimitAddresses}, nil
	}
	return t.ask(*undo, now)
}

// newAddress prepares a change of the address. If the present one is confirmed, the new one is only pending, and the
// change leaves the address alone.
func (t *tx) newAddress(id exeunt.AccountID, c *ProfileChange, by exeunt.Actor, now time.Time) (refused, err error) {
	if c.Email == nil || c.Confirm == nil && c.Undo == nil {
		return nil, nil
	}
	var present string
	var confirmed bool
	ok, err := found(t.row(`SELECT email, email_confirmed FROM accounts WHERE id = $1`, id.Bytes()).
		Scan(&present, &confirmed))
	switch {
	case err != nil || !ok:
		return exeunt.ErrNotFound, err
	case confirmed && names.Key(*c.Email) == names.Key(present): // spelled another way
		return nil, nil
	case *c.Email == "":
		if confirmed {
			if refused, err = t.tellOld(c.Undo, present, now); refused != nil || err != nil {
				return refused, err
			}
			if err := t.dropResets(id); err != nil {
				return nil, err
			}
		}
		return nil, t.dropLinks(id, LinkConfirm)
	}
	if refused, err = t.ask(*c.Confirm, now); refused != nil || err != nil {
		return refused, err
	}
	if _, err := t.exec(`DELETE FROM links WHERE account_id = $1 AND purpose = 'confirm' AND spent_at IS NULL
		AND hash <> $2`, id.Bytes(), c.Confirm.Link.Hash[:]); err != nil || !confirmed {
		return nil, err
	}
	_, err = t.exec(`UPDATE accounts SET email_pending = $1 WHERE id = $2`, *c.Email, id.Bytes())
	c.Email = nil
	if err == nil {
		err = t.audit(exeunt.AuditEntry{At: now, Account: id, Action: exeunt.AuditAddressEntered, By: by})
	}
	return nil, err
}

// AskConfirm sends the mail again that asks for a confirmation of the account's address, or of the one that is
// pending. Outcomes: nil; ErrSignedOut; ErrOtherEmail, when it has another address by now, or one that is confirmed;
// ErrManyMails; ErrUnavailable, ErrNotConfirmed.
func (s *Store) AskConfirm(ctx context.Context, a Ask, by exeunt.Actor, now time.Time) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		if _, ok, err := t.mayStillAct(by, exeunt.SessionID{}); err != nil || !ok {
			return exeunt.ErrSignedOut, err
		}
		var open bool
		err = t.row(`SELECT count(*) > 0 FROM accounts WHERE id = $1 AND (email_pending = $2
			OR email_pending = '' AND email_confirmed = 0 AND email = $2)`, a.Link.Account.Bytes(), a.Link.Data).Scan(&open)
		if err != nil || !open {
			return exeunt.ErrOtherEmail, err
		}
		return t.ask(a, now)
	})
}

// DropPending forgets the pending address, and the links that would confirm it. Outcomes: nil; ErrSignedOut;
// ErrUnavailable, ErrNotConfirmed.
func (s *Store) DropPending(ctx context.Context, by exeunt.Actor) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		if _, ok, err := t.mayStillAct(by, exeunt.SessionID{}); err != nil || !ok {
			return exeunt.ErrSignedOut, err
		}
		return nil, t.dropPending(by.Account)
	})
}

// dropPending forgets what waits to be confirmed: whoever has entered it may be the one whom a new password or an undone
// change shuts out.
func (t *tx) dropPending(id exeunt.AccountID) error {
	if _, err := t.exec(`UPDATE accounts SET email_pending = '' WHERE id = $1 AND email_pending <> ''`,
		id.Bytes()); err != nil {
		return err
	}
	return t.dropLinks(id, LinkConfirm)
}

// Confirmation is how an address is confirmed.
type Confirmation struct {
	Link *exeunt.TokenHash // a link, which is spent; nil: by an operator
	// Undo tells the address that a pending one replaces, and lets it undo that; its Data is that address. nil: there is
	// none, or no mail server.
	Undo *Ask
}

// ConfirmEmail marks the address as confirmed, if it is still the account's, or puts it in the place of the present one
// if it is pending, and returns the new profile. If it is confirmed already, nothing is recorded. Outcomes: nil;
// ErrNotFound; ErrOtherEmail, when the account has another address or none; ErrEmailTaken; ErrLinkSpent; ErrManyMails
// and a ThrottledError, when the present address cannot be told; ErrUnavailable, ErrNotConfirmed.
func (s *Store) ConfirmEmail(
	ctx context.Context, id exeunt.AccountID, email string, by exeunt.Actor, now time.Time, c Confirmation,
) (exeunt.Profile, error) {
	var p exeunt.Profile
	err := s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		p, refused, err = t.confirm(id, names.Key(email), by, now, c)
		return refused, err
	})
	return p, err
}

func (t *tx) confirm(
	id exeunt.AccountID, key string, by exeunt.Actor, now time.Time, c Confirmation,
) (p exeunt.Profile, refused, err error) {
	var present, pending string
	var confirmed, taken bool
	ok, err := found(t.row(`SELECT email, email_confirmed, email_pending,
		EXISTS (SELECT 1 FROM accounts o WHERE o.id <> a.id AND o.email_confirmed = 1 AND o.email_key = $2)
		FROM accounts a WHERE id = $1`, id.Bytes(), key).Scan(&present, &confirmed, &pending, &taken))
	replaces := key != "" && pending != "" && names.Key(pending) == key
	switch {
	case err != nil:
		return p, nil, err
	case !ok:
		return p, exeunt.ErrNotFound, nil
	case !replaces && (present == "" || names.Key(present) != key):
		return p, exeunt.ErrOtherEmail, nil
	case taken:
		return p, exeunt.ErrEmailTaken, nil
	}
	if c.Link != nil {
		var open bool
		if err := t.row(`SELECT count(*) > 0 FROM links WHERE hash = $1 AND account_id = $2 AND purpose = 'confirm'
			AND spent_at IS NULL AND expires > $3`, c.Link[:], id.Bytes(), ms(now)).Scan(&open); err != nil || !open {
			return p, exeunt.ErrLinkSpent, err
		}
	}
	reason := exeunt.ReasonEmailConfirmed
	switch {
	case replaces:
		if refused, err = t.tellOld(c.Undo, present, now); refused != nil || err != nil {
			return p, refused, err
		}
		// Links for a new password that went to the old address are of no use any more.
		if err := t.dropResets(id); err != nil {
			return p, nil, err
		}
		present, reason = pending, exeunt.ReasonEmailChanged
	case confirmed:
		return p, nil, t.row(`SELECT `+profileColumns+` FROM accounts WHERE id = $1`, id.Bytes()).Scan(profileDest(&p)...)
	}
	if c.Link != nil {
		if _, err := t.spendLink(Link{Hash: *c.Link, Account: id, Purpose: LinkConfirm}, now); err != nil {
			return p, nil, err
		}
	}
	if err := t.dropLinks(id, LinkConfirm); err != nil {
		return p, nil, err
	}
	if err := t.row(`UPDATE accounts SET profile_version = profile_version + 1, email = $2, email_key = $3,
		email_confirmed = 1, confirmed_at = $4, email_pending = '' WHERE id = $1 RETURNING `+profileColumns, id.Bytes(),
		present, key, ms(now)).Scan(profileDest(&p)...); err != nil {
		return p, nil, err
	}
	return p, nil, t.profileChanged(id, p.Version, by, reason, now)
}

// Undo puts back the address of a link, and ends the password: whoever changed the address knew it.
type Undo struct {
	Link exeunt.TokenHash
	// Reset is a link for a new password, which the undo leads to.
	Reset   exeunt.TokenHash
	Expires time.Time // of Reset
}

// mayUndo spends the link of an undo, or says why it is refused.
func (t *tx) mayUndo(id exeunt.AccountID, u *Undo, now time.Time) (refused, err error) {
	var address string
	var taken bool
	ok, err := found(t.row(`SELECT data FROM links WHERE hash = $1 AND account_id = $2 AND purpose = 'undo'
		AND spent_at IS NULL AND expires > $3`, u.Link[:], id.Bytes(), ms(now)).Scan(&address))
	if err != nil || !ok {
		return exeunt.ErrLinkSpent, err
	}
	if err := t.row(`SELECT count(*) > 0 FROM accounts WHERE email_confirmed = 1 AND email_key = $1 AND id <> $2`,
		names.Key(address), id.Bytes()).Scan(&taken); err != nil {
		return nil, err
	}
	if taken {
		return exeunt.ErrEmailTaken, nil
	}
	_, err = t.spendLink(Link{Hash: u.Link, Account: id, Purpose: LinkUndo}, now)
	return nil, err
}

// undo carries out an undo whose link is spent, and returns the profile's new version. Links of later changes go, with those
// about sign-ins that were sent since: their addresses may be those of whoever made them. Links of earlier ones stay.
func (t *tx) undo(id exeunt.AccountID, u *Undo) (version int64, err error) {
	var address, handle string
	var expires int64
	if err := t.row(`SELECT data, expires FROM links WHERE hash = $1`, u.Link[:]).Scan(&address, &expires); err != nil {
		return 0, err
	}
	if _, err := t.exec(`DELETE FROM links WHERE account_id = $1 AND purpose IN ('undo', 'not_me')
		AND spent_at IS NULL AND expires >= $2`, id.Bytes(), expires); err != nil {
		return 0, err
	}
	if err := t.dropPending(id); err != nil {
		return 0, err
	}
	if err := t.dropResets(id); err != nil {
		return 0, err
	}
	if err := t.row(`UPDATE accounts SET email = $2, email_key = $3, email_confirmed = 1, confirmed_at = NULL,
		password_hash = NULL, password_set = NULL, credential_version = credential_version + 1,
		profile_version = profile_version + 1 WHERE id = $1 RETURNING handle, profile_version`, id.Bytes(), address,
		names.Key(address)).Scan(&handle, &version); err != nil {
		return 0, err
	}
	return version, t.insertInvite(u.Reset, Invite{Handle: handle, Account: id, Expires: u.Expires})
}
