package store

import (
	"context"
	"database/sql"
	"maps"
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
// them are in one transaction, for which other writes wait, so there must be few; but for mails, the number of its
// statements does not depend on how many. A crash leaves all or none. Outcomes: nil, and as many results as accounts;
// ErrUnavailable, ErrNotConfirmed.
func (s *Store) Import(ctx context.Context, list []Import, by exeunt.Actor, now time.Time) ([]Imported, error) {
	return committed(ctx, s, func(t *tx) ([]Imported, error) {
		out := make([]Imported, len(list))
		// Check everything before the first change: what comes of the others commits.
		if err := t.whyImportsAreTaken(list, out); err != nil {
			return nil, err
		}
		var add []*Import
		for i := range list {
			if out[i].Refused == nil {
				add = append(add, &list[i])
			}
		}
		if err := t.importRows(add, now); err != nil {
			return nil, err
		}
		if err := t.importAudit(add, by, now); err != nil {
			return nil, err
		}
		if err := t.importGroups(add, by, now); err != nil {
			return nil, err
		}
		for i := range list {
			if reset := list[i].Reset; out[i].Refused == nil && reset != nil && reset.Mail != nil {
				var err error
				if out[i].Mailed, err = t.queueMail(*reset.Mail, now); err != nil {
					return nil, err
				}
			}
		}
		return out, nil
	})
}

var (
	handleRows   = forMany(`SELECT handle FROM accounts WHERE handle IN (`, `?`, `)`)
	addressRows  = forMany(`SELECT email_key FROM accounts WHERE email_confirmed = 1 AND email_key IN (`, `?`, `)`)
	importedRows = forMany(`INSERT INTO accounts (id, handle, name, email, email_key, email_confirmed, display,
		profile_version, password_hash, password_set, status, created, generation, credential_version, live_sessions, last_ended) VALUES `,
		`(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1, 0, 0)`, ``)
	linkRows = forMany(`INSERT INTO invites (hash, handle, name, email, email_key, email_confirmed, expires, account_id)
		VALUES `, `(?, ?, '', '', '', 0, ?, ?)`, ``)
	memberRows = forMany(`INSERT INTO account_groups (account_id, name, added) VALUES `, `(?, ?, ?)`, ``)
	sizeRows   = forMany(`INSERT INTO group_sizes (name, members) VALUES `, `(?, ?)`,
		` ON CONFLICT (name) DO UPDATE SET members = group_sizes.members + excluded.members`)
	auditRows = forMany(`INSERT INTO audit (seq, account_id, at, action, by_kind, by_label, by_address, detail) VALUES `,
		`(?, ?, ?, ?, ?, ?, ?, '')`, ``)
)

// whyImportsAreTaken says in out which accounts cannot be added, as whyTaken does, also because of one before them.
func (t *tx) whyImportsAreTaken(list []Import, out []Imported) error {
	handles, addresses := map[string]bool{}, map[string]bool{}
	for _, look := range []struct {
		rows *manyRows
		of   func(*exeunt.Account) string
		into map[string]bool
	}{
		{handleRows, func(a *exeunt.Account) string { return a.Handle }, handles},
		{addressRows, func(a *exeunt.Account) string { return names.Key(a.Email) }, addresses},
	} {
		err := look.rows.each(len(list), func(to []any, row int) []any {
			return append(to, look.of(&list[row].Account))
		}, func(q string, args []any) error {
			rows, err := t.rows(q, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var name string
				if err := rows.Scan(&name); err != nil {
					return err
				}
				look.into[name] = true
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
	}
	for i := range list {
		a := &list[i].Account
		address := names.Key(a.Email)
		switch {
		case handles[a.Handle]:
			out[i].Refused = exeunt.ErrHandleTaken
		case a.EmailConfirmed && addresses[address]:
			out[i].Refused = exeunt.ErrEmailTaken
		default:
			handles[a.Handle] = true
			addresses[address] = addresses[address] || a.EmailConfirmed
		}
	}
	return nil
}

// importRows inserts the accounts, and the links with which their owners set a password.
func (t *tx) importRows(add []*Import, now time.Time) error {
	err := importedRows.exec(t, len(add), func(to []any, row int) []any {
		v := add[row]
		a := &v.Account
		hash := sql.NullString{String: v.Credential.PasswordHash, Valid: v.Credential.PasswordHash != ""}
		passwordSet := sql.NullInt64{Int64: ms(now), Valid: hash.Valid}
		return append(to, a.ID.Bytes(), a.Handle, a.Name, a.Email, names.Key(a.Email), flag(a.EmailConfirmed),
			exeunt.DisplaySystem, 1+len(a.Groups), hash, passwordSet, a.Status, ms(now))
	})
	if err != nil {
		return err
	}
	linked := withReset(add)
	return linkRows.exec(t, len(linked), func(to []any, row int) []any {
		v := linked[row]
		return append(to, v.Reset.Hash[:], v.Account.Handle, ms(v.Reset.Expires), v.Account.ID.Bytes())
	})
}

func withReset(add []*Import) (list []*Import) {
	for _, v := range add {
		if v.Reset != nil {
			list = append(list, v)
		}
	}
	return list
}

// importGroups puts the accounts into their groups, with an event for each, as changeGroup does for one group.
func (t *tx) importGroups(add []*Import, by exeunt.Actor, now time.Time) error {
	type membership struct {
		of    *Import
		group string
	}
	var list []membership
	var events []exeunt.Event
	sizes := map[string]int{}
	for _, v := range add {
		for i, group := range v.Account.Groups {
			list = append(list, membership{v, group})
			sizes[group]++
			events = append(events, exeunt.Event{At: now, Kind: exeunt.EventGroupsChanged,
				Target: exeunt.Target{Account: v.Account.ID},
				Reason: exeunt.ReasonGroupAdded + exeunt.Reason(" "+group), By: by, Version: int64(i) + 2})
		}
	}
	if err := memberRows.exec(t, len(list), func(to []any, row int) []any {
		return append(to, list[row].of.Account.ID.Bytes(), list[row].group, ms(now))
	}); err != nil {
		return err
	}
	groups := slices.Sorted(maps.Keys(sizes)) // each row once, or PostgreSQL refuses
	if err := sizeRows.exec(t, len(groups), func(to []any, row int) []any {
		return append(to, groups[row], sizes[groups[row]])
	}); err != nil {
		return err
	}
	return t.appendEvents(events)
}

// importAudit records who has added the accounts, and made the links.
func (t *tx) importAudit(add []*Import, by exeunt.Actor, now time.Time) error {
	for _, of := range []struct {
		action exeunt.AuditAction
		list   []*Import
	}{{exeunt.AuditSignUp, add}, {exeunt.AuditResetLink, withReset(add)}} {
		if err := auditRows.exec(t, len(of.list), func(to []any, row int) []any {
			return append(to, t.seq, of.list[row].Account.ID.Bytes(), ms(now), of.action, by.Kind, by.Label, addressText(by.Address))
		}); err != nil {
			return err
		}
	}
	return nil
}

// EmailOwner returns the handle of the account that has confirmed an address, or ErrNotFound.
func (s *Store) EmailOwner(ctx context.Context, address string) (handle string, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT handle FROM accounts WHERE email_key = $1 AND email_confirmed = 1`,
		names.Key(address)).Scan(&handle)
	return handle, notFound("account of an address", err)
}
