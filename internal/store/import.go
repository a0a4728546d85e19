package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
)

// Import is an account that another program had, with what comes with it.
type Import struct {
	Account    exeunt.Account // Groups too; its status is active or disabled
	Credential Credential
	Reset      *ImportReset // nil: it needs none
}

// ImportReset is a link with which the owner of an imported account sets the first password.
type ImportReset struct {
	Hash    exeunt.TokenHash
	Expires time.Time
	Mail    *NewMail // tells the owner of it; nil: the operator does
}

// Imported is what became of an Import.
type Imported struct {
	// Refused is why nothing of it was stored: ErrHandleTaken or ErrEmailTaken.
	Refused error
	Mailed  bool // its mail is queued; false also when the address got too many lately
}

// Import adds accounts, in the order in which they are given: those that can be, whatever becomes of the others. All of
// them are in one transaction, for which other writes wait, so there must be few. A crash leaves all or none. Outcomes:
// nil, and as many results as accounts; ErrUnavailable, ErrNotConfirmed.
func (s *Store) Import(ctx context.Context, list []Import, by exeunt.Actor, now time.Time) ([]Imported, error) {
	return committed(ctx, s, func(t *tx) ([]Imported, error) {
		out := make([]Imported, len(list))
		members := map[string][]exeunt.AccountID{}
		for i := range list {
			var err error
			if out[i], err = t.importOne(&list[i], by, now); err != nil {
				return nil, err
			}
			for _, group := range list[i].Account.Groups {
				if out[i].Refused == nil {
					members[group] = append(members[group], list[i].Account.ID)
				}
			}
		}
		groups := make([]string, 0, len(members))
		for group := range members {
			groups = append(groups, group)
		}
		slices.Sort(groups) // so that the log does not depend on chance
		for _, group := range groups {
			if err := t.changeGroup(GroupChange{Group: group}, members[group], by, now); err != nil {
				return nil, err
			}
		}
		return out, nil
	})
}

// importOne adds one account, without its groups.
func (t *tx) importOne(v *Import, by exeunt.Actor, now time.Time) (out Imported, err error) {
	a := &v.Account
	// Check everything before the first change: what comes of the others commits.
	if out.Refused, err = t.whyTaken(*a); err != nil || out.Refused != nil {
		return out, err
	}
	hash := sql.NullString{String: v.Credential.PasswordHash, Valid: v.Credential.PasswordHash != ""}
	passwordSet := sql.NullInt64{Int64: ms(now), Valid: hash.Valid}
	if _, err := t.exec(`INSERT INTO accounts (id, handle, name, email, email_key, email_confirmed, display,
		profile_version, password_hash, password_set, status, created, generation, credential_version,
		live_sessions, last_ended) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9, $10, $11, 1, 1, 0, 0)`,
		a.ID.Bytes(), a.Handle, a.Name, a.Email, names.Key(a.Email), flag(a.EmailConfirmed), exeunt.DisplaySystem,
		hash, passwordSet, a.Status, ms(now)); err != nil {
		return out, err
	}
	if err := t.audit(exeunt.AuditEntry{At: now, Account: a.ID, Action: exeunt.AuditSignUp, By: by}); err != nil {
		return out, err
	}
	if v.Reset == nil {
		return out, nil
	}
	if err := t.insertInvite(v.Reset.Hash, Invite{Handle: a.Handle, Account: a.ID, Expires: v.Reset.Expires}); err != nil {
		return out, err
	}
	if v.Reset.Mail != nil {
		if out.Mailed, err = t.queueMail(*v.Reset.Mail, now); err != nil {
			return out, err
		}
	}
	return out, t.audit(exeunt.AuditEntry{At: now, Account: a.ID, Action: exeunt.AuditResetLink, By: by})
}

// EmailOwner returns the handle of the account that has confirmed an address, or ErrNotFound.
func (s *Store) EmailOwner(ctx context.Context, address string) (handle string, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT handle FROM accounts WHERE email_key = $1 AND email_confirmed = 1`,
		names.Key(address)).Scan(&handle)
	return handle, notFound("account of an address", err)
}
