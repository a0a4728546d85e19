package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
)

// Credential is what a password is checked against, "" when the account has none. It is not part of Account, so that
// no printed account can show it.
type Credential struct{ PasswordHash string }

const credentialColumns = accountColumns + `, COALESCE(password_hash, '')`

const accountColumns = `id, handle, name, email, email_confirmed, COALESCE(confirmed_at, 0), email_pending, display,
	status, created, COALESCE(password_set, 0), generation, credential_version, live_sessions, COALESCE(delete_after, 0),
	reviewed, review_later, review_mail, language, language_chosen, (SELECT ` + groupNames + ` WHERE account_id = accounts.id)`

func scanAccount(row rowScanner, more ...any) (a exeunt.Account, err error) {
	var created, passwordSet, confirmed, deleteAfter, reviewed, later int64
	dest := []any{&a.ID, &a.Handle, &a.Name, &a.Email, &a.EmailConfirmed, &confirmed, &a.EmailPending, &a.Display, &a.Status,
		&created, &passwordSet, &a.Generation, &a.CredentialVersion, &a.LiveSessions, &deleteAfter, &reviewed, &later,
		&a.ReviewMail, &a.Language, &a.LanguageChosen, (*groupScan)(&a.Groups)}
	err = row.Scan(append(dest, more...)...)
	a.Reviewed, a.ReviewLater, a.ConfirmedAt = at(reviewed), at(later), at(confirmed)
	a.Created, a.PasswordSet, a.DeleteAfter = at(created), at(passwordSet), at(deleteAfter)
	return a, err
}

// Identify returns the account with that handle or confirmed e-mail address, and what its password is checked
// against; ErrNotFound when there is none.
func (s *Store) Identify(ctx context.Context, identifier string) (exeunt.Account, Credential, error) {
	var c Credential
	identifier = names.Key(identifier)
	where, key := `handle = $1`, identifier
	if strings.Contains(identifier, "@") && !strings.HasPrefix(identifier, "@") {
		where, key = `email_key = $1 AND email_confirmed = 1`, identifier
	} else if h, ok := exeunt.ParseHandle(identifier); ok {
		key = h
	}
	a, err := scanAccount(s.read.QueryRowContext(ctx, `SELECT `+credentialColumns+` FROM accounts WHERE `+where, key),
		&c.PasswordHash)
	return a, c, notFound("account", err)
}

// Account returns an account, or ErrNotFound.
func (s *Store) Account(ctx context.Context, id exeunt.AccountID) (exeunt.Account, error) {
	a, err := scanAccount(s.read.QueryRowContext(ctx,
		`SELECT `+accountColumns+` FROM accounts WHERE id = $1`, id.Bytes()))
	return a, notFound("account", err)
}

// Credential returns what the account's password is checked against.
func (s *Store) Credential(ctx context.Context, id exeunt.AccountID) (exeunt.Account, Credential, error) {
	var c Credential
	a, err := scanAccount(s.read.QueryRowContext(ctx,
		`SELECT `+credentialColumns+` FROM accounts WHERE id = $1`, id.Bytes()), &c.PasswordHash)
	return a, c, notFound("account", err)
}

// Accounts returns a page of the accounts, in the order of their handles.
func (s *Store) Accounts(ctx context.Context, f exeunt.AccountFilter) (p exeunt.Page[exeunt.Account], err error) {
	limit := exeunt.PageSize(f.Limit)
	rows, err := s.read.QueryContext(ctx,
		`SELECT `+accountColumns+` FROM accounts WHERE handle > $1 ORDER BY handle LIMIT $2`, string(f.After), limit)
	p.Items, err = collect(rows, err, "accounts", func(r rowScanner) (exeunt.Account, error) { return scanAccount(r) })
	if len(p.Items) == limit {
		p.Next = exeunt.Cursor(p.Items[limit-1].Handle)
	}
	return p, err
}

// AnyAccount reports whether there is an account yet.
func (s *Store) AnyAccount(ctx context.Context) (any bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM accounts)`).Scan(&any)
	return any, unavailable("accounts", err)
}

// AddAccount creates an account. If it is made by a link, the link is spent in the same transaction; MadeBy finds it
// by its origin for a day. Its address is asked to be confirmed by what asks says; a mail beyond its limit is left out.
// Outcomes: nil; ErrHandleTaken; ErrEmailTaken, when the address is marked confirmed and
// another account has it; ErrInviteSpent; ErrUnavailable, ErrNotConfirmed.
func (s *Store) AddAccount(
	ctx context.Context, a exeunt.Account, c Credential, from *Origin, by exeunt.Actor, asks ...Ask,
) error {
	hash := sql.NullString{String: c.PasswordHash, Valid: c.PasswordHash != ""}
	passwordSet := sql.NullInt64{Int64: ms(a.Created), Valid: hash.Valid}
	var refused error
	err := s.commit(ctx, func(t *tx) (err error) {
		// Check everything before the first change: the transaction of a refusal commits.
		if refused, err = t.whyTaken(a); err != nil || refused != nil {
			return err
		}
		if from != nil && from.Link != nil {
			n, err := t.exec(`UPDATE invites SET spent_at = $1 WHERE hash = $2 AND spent_at IS NULL AND expires > $1
				AND account_id IS NULL AND (handle <> '' OR NOT EXISTS (SELECT 1 FROM accounts))`,
				ms(a.Created), from.Link[:])
			if err != nil {
				return err
			}
			if n == 0 {
				refused = exeunt.ErrInviteSpent
				return nil
			}
		}
		if _, err := t.exec(`INSERT INTO accounts (id, handle, name, email, email_key, email_confirmed, display, language,
			profile_version, password_hash, password_set, status, created, generation, credential_version,
			live_sessions, last_ended) VALUES ($1, $2, $3, $4, $5, $6, $7, $11, 1, $8, $9, 'active', $10, 1, 1, 0, 0)`,
			a.ID.Bytes(), a.Handle, a.Name, a.Email, names.Key(a.Email), flag(a.EmailConfirmed), exeunt.DisplaySystem,
			hash, passwordSet, ms(a.Created), a.Language); err != nil {
			return err
		}
		if key := from.key(); key != "" {
			if err := t.remember(formsActor, key, "sign_up", a.ID.Bytes(), a.Created); err != nil {
				return err
			}
		}
		for _, ask := range asks {
			if _, err := t.ask(ask, a.Created); err != nil {
				return err
			}
		}
		return t.audit(exeunt.AuditEntry{At: a.Created, Account: a.ID, Action: exeunt.AuditSignUp, By: by})
	})
	if err == nil {
		err = refused
	}
	return err
}

// whyTaken returns ErrHandleTaken or ErrEmailTaken if another account has the handle or confirmed address, and nil
// otherwise.
func (t *tx) whyTaken(a exeunt.Account) (refused, err error) {
	var handle, email bool
	err = t.row(`SELECT EXISTS (SELECT 1 FROM accounts WHERE handle = $1),
		$2 AND EXISTS (SELECT 1 FROM accounts WHERE email_confirmed = 1 AND email_key = $3)`,
		a.Handle, a.EmailConfirmed, names.Key(a.Email)).Scan(&handle, &email)
	switch {
	case handle:
		refused = exeunt.ErrHandleTaken
	case email:
		refused = exeunt.ErrEmailTaken
	}
	return refused, err
}

// ProfileChange is what a person may change of a profile. A changed e-mail address is unconfirmed again, unless there is
// Confirm.
type ProfileChange struct {
	Name    *string
	Email   *string
	Display *exeunt.Display
	// Token is the one that the person who asks for more than a display has presented, and Credential the version of
	// the password that they have proved; 0 when the change needs no proof.
	Token      exeunt.TokenHash
	Credential int64
	// Confirm asks the new address to be confirmed. A confirmed one stays until then, and the new one is pending.
	Confirm *Ask
	// Undo tells a confirmed address that it was removed, and lets it undo that.
	Undo *Ask
}

// ChangeProfile changes an account's profile and returns the new one. Values that are equal to the present ones
// change nothing and record no event. Outcomes: nil; ErrNotFound; ErrSignedOut, when the person's session has ended
// meanwhile; ErrRenewed, when it has another token by now; ErrSignInAgain, when the password has changed since the
// proof; of a new address ErrManyMails, a ThrottledError and ErrOtherEmail, when the account's address has changed
// meanwhile; ErrUnavailable, ErrNotConfirmed.
func (s *Store) ChangeProfile(
	ctx context.Context, id exeunt.AccountID, c ProfileChange, by exeunt.Actor, now time.Time,
) (exeunt.Profile, error) {
	var p exeunt.Profile
	var refused error
	wanted := c
	err := s.commit(ctx, func(t *tx) error {
		refused, c = nil, wanted
		label, ok, err := t.mayStillAct(by, exeunt.SessionID{})
		if err != nil || !ok {
			refused = exeunt.ErrSignedOut
			return err
		}
		if by.Kind == exeunt.ActorPerson {
			by.Label = label
			if refused, err = t.whyStale(by, c); refused != nil || err != nil {
				return err
			}
		}
		if refused, err = t.newAddress(id, &c, by, now); refused != nil || err != nil {
			return err
		}
		ok, err = found(t.row(`UPDATE accounts SET profile_version = profile_version + 1,
			name = COALESCE($2, name), display = COALESCE($3, display),
			email_confirmed = CASE WHEN CAST($4 AS TEXT) IS NULL OR $5 = email_key THEN email_confirmed ELSE 0 END,
			confirmed_at = CASE WHEN CAST($4 AS TEXT) IS NULL OR $5 = email_key THEN confirmed_at END,
			email_pending = CASE WHEN CAST($4 AS TEXT) IS NULL OR $5 = email_key THEN email_pending ELSE '' END,
			email = COALESCE($4, email), email_key = COALESCE($5, email_key)
			WHERE id = $1 AND (name <> COALESCE($2, name) OR display <> COALESCE($3, display)
				OR email <> COALESCE($4, email)) RETURNING `+profileColumns,
			id.Bytes(), c.Name, c.Display, c.Email, keyOf(c.Email)).Scan(profileDest(&p)...))
		if err != nil {
			return err
		}
		if ok {
			return t.profileChanged(id, p.Version, by, c.reason(), now)
		}
		if ok, err = found(t.row(`SELECT `+profileColumns+` FROM accounts WHERE id = $1`, id.Bytes()).
			Scan(profileDest(&p)...)); !ok && err == nil {
			refused = exeunt.ErrNotFound
		}
		return err
	})
	if err != nil {
		return exeunt.Profile{}, err
	}
	return p, refused
}

// reason tells a change of the address from the others.
func (c *ProfileChange) reason() exeunt.Reason {
	if c.Email != nil {
		return exeunt.ReasonEmailChanged
	}
	return ""
}

// whyStale is why a live session's change is refused that was asked for before its token or password was replaced.
func (t *tx) whyStale(by exeunt.Actor, c ProfileChange) (refused, err error) {
	if c.Name == nil && c.Email == nil {
		return nil, nil
	}
	return t.mustBeCurrent(by, c.Token, c.Credential)
}

// mustBeCurrent is why somebody's request is refused who has presented a token that was replaced, ErrRenewed, or has
// proved an earlier password or factor, ErrSignInAgain. 0: they needed no proof.
func (t *tx) mustBeCurrent(by exeunt.Actor, token exeunt.TokenHash, credential int64) (refused, err error) {
	of := exeunt.Target{Account: by.Account, Session: by.Session}
	if current, err := t.hasToken(of, token); err != nil || !current {
		return exeunt.ErrRenewed, err
	}
	var proved bool
	err = t.row(`SELECT $2 = 0 OR credential_version = $2 FROM accounts WHERE id = $1`, by.Account.Bytes(), credential).
		Scan(&proved)
	if !proved {
		refused = exeunt.ErrSignInAgain
	}
	return refused, err
}

// profileChanged records the event from which other nodes learn of the change.
func (t *tx) profileChanged(
	id exeunt.AccountID, version int64, by exeunt.Actor, reason exeunt.Reason, now time.Time,
) error {
	return t.appendEvents([]exeunt.Event{{At: now, Kind: exeunt.EventProfileChanged, Target: exeunt.Target{Account: id},
		Reason: reason, By: by, Version: version}})
}

// ChooseLanguage sets the language of mails to an account. It records no event: nobody but mails reads it. Outcomes: nil;
// ErrSignedOut, when the person's session has ended meanwhile; ErrUnavailable, ErrNotConfirmed.
func (s *Store) ChooseLanguage(ctx context.Context, by exeunt.Actor, tag string, chosen bool) error {
	var refused error
	err := s.commit(ctx, func(t *tx) error {
		refused = nil
		_, ok, err := t.mayStillAct(by, exeunt.SessionID{})
		if err != nil || !ok {
			refused = exeunt.ErrSignedOut
			return err
		}
		_, err = t.exec(`UPDATE accounts SET language = $2, language_chosen = $3 WHERE id = $1`, by.Account.Bytes(), tag, flag(chosen))
		return err
	})
	if err == nil {
		err = refused
	}
	return err
}

const profileColumns = `profile_version, handle, name, CASE WHEN email_confirmed = 1 THEN email ELSE '' END, display,
	(SELECT ` + groupNames + ` WHERE account_id = accounts.id),
	COALESCE((SELECT pictures.name FROM pictures WHERE account_id = accounts.id), '')`

func profileDest(p *exeunt.Profile) []any {
	return []any{&p.Version, &p.Handle, &p.Name, &p.Email, &p.Display, (*groupScan)(&p.Groups), &p.Picture}
}

// Profile returns an account's profile, or ErrNotFound.
func (s *Store) Profile(ctx context.Context, id exeunt.AccountID) (p exeunt.Profile, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT `+profileColumns+` FROM accounts WHERE id = $1`, id.Bytes()).
		Scan(profileDest(&p)...)
	return p, notFound("profile", err)
}

func keyOf(email *string) *string {
	if email == nil {
		return nil
	}
	k := names.Key(*email)
	return &k
}

// Enable lets a disabled account sign in again. Disabling is an ending; see End.
func (s *Store) Enable(ctx context.Context, id exeunt.AccountID, by exeunt.Actor, now time.Time) error {
	var refused error
	err := s.commit(ctx, func(t *tx) error {
		refused = nil
		n, err := t.exec(`UPDATE accounts SET status = CASE WHEN delete_after IS NULL THEN 'active' ELSE 'deleting' END
			WHERE id = $1 AND status <> 'deleted'`, id.Bytes())
		if err != nil {
			return err
		}
		if n == 0 {
			refused = exeunt.ErrNotFound
			return nil
		}
		return t.audit(exeunt.AuditEntry{At: now, Account: id, Action: exeunt.AuditStatus, By: by,
			Detail: string(exeunt.AccountActive)})
	})
	if err == nil {
		err = refused
	}
	return err
}

// Rehash replaces a password's hash with a newer one of the same password.
func (s *Store) Rehash(ctx context.Context, id exeunt.AccountID, credential int64, hash string) error {
	return s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE accounts SET password_hash = $1 WHERE id = $2 AND credential_version = $3`,
			hash, id.Bytes(), credential)
		return err
	})
}

func notFound(what string, err error) error {
	if ok, err := found(err); !ok && err == nil {
		return fmt.Errorf("%s: %w", what, exeunt.ErrNotFound)
	}
	return unavailable(what, err)
}
