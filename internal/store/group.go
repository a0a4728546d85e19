package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// groupNames selects the names of an account's groups as one text, which groupScan reads.
const groupNames = `COALESCE(string_agg(name, ',' ORDER BY name), '') FROM account_groups`

type groupScan []string

// Scan implements sql.Scanner.
func (g *groupScan) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return errors.New("the names of groups are a text")
	}
	if *g = nil; text != "" {
		*g = strings.Split(text, ",")
	}
	return nil
}

// Groups returns a page of the groups, in the order of their names.
func (s *Store) Groups(ctx context.Context, f exeunt.GroupFilter) (p exeunt.Page[exeunt.Group], err error) {
	limit := exeunt.PageSize(f.Limit)
	rows, err := s.read.QueryContext(ctx,
		`SELECT name, members FROM group_sizes WHERE name > $1 ORDER BY name LIMIT $2`, string(f.After), limit)
	p.Items, err = collect(rows, err, "groups", func(r rowScanner) (g exeunt.Group, err error) {
		return g, r.Scan(&g.Name, &g.Members)
	})
	if len(p.Items) == limit {
		p.Next = exeunt.Cursor(p.Items[limit-1].Name)
	}
	return p, err
}

// CountGroups returns how many groups there are.
func (s *Store) CountGroups(ctx context.Context) (n int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT count(*) FROM group_sizes`).Scan(&n)
	return n, unavailable("number of groups", err)
}

// Group returns a group, or ErrNotFound.
func (s *Store) Group(ctx context.Context, name string) (exeunt.Group, error) {
	g := exeunt.Group{Name: name}
	err := s.read.QueryRowContext(ctx, `SELECT members FROM group_sizes WHERE name = $1`, name).Scan(&g.Members)
	return g, notFound("group", err)
}

// Members returns a page of a group's members. A group that does not exist has none. It returns ErrBadRequest for a
// cursor that the store did not make.
func (s *Store) Members(ctx context.Context, f exeunt.MemberFilter) (p exeunt.Page[exeunt.Member], err error) {
	limit, since, account := exeunt.PageSize(f.Limit), int64(-1), []byte{}
	if f.After != "" {
		var id string
		_, err := fmt.Sscanf(string(f.After), "%d.%s", &since, &id)
		if err == nil {
			account, err = hex.DecodeString(id)
		}
		if err != nil {
			return p, badCursor(f.After)
		}
	}
	rows, err := s.read.QueryContext(ctx, `SELECT g.account_id, g.added, a.handle, a.name, a.status
		FROM account_groups g JOIN accounts a ON a.id = g.account_id
		WHERE g.name = $1 AND (g.added, g.account_id) > ($2, $3) ORDER BY g.added, g.account_id LIMIT $4`,
		f.Group, since, account, limit)
	p.Items, err = collect(rows, err, "members", func(r rowScanner) (m exeunt.Member, err error) {
		err = r.Scan(&m.Account, &since, &m.Handle, &m.Name, &m.Status)
		m.Since = at(since)
		return m, err
	})
	if len(p.Items) == limit {
		p.Next = exeunt.Cursor(fmt.Sprintf("%d.%x", since, p.Items[limit-1].Account.Bytes()))
	}
	return p, err
}

// GroupChange puts accounts into a group, or takes them out of it.
type GroupChange struct {
	Group    string
	Accounts []exeunt.AccountID
	Remove   bool
}

// ChangeGroup makes a change to all of its accounts or, if it refuses one, to none. It returns those that were
// changed; for the others, which were in the group already, or not in it, no event is recorded. What those who are taken
// out have in apps that they may not use any more ends with the same transaction, see endUnadmitted. Outcomes: nil;
// ErrNotFound, when there is no such account; ErrManyGroups; ErrUnavailable, ErrNotConfirmed.
func (s *Store) ChangeGroup(
	ctx context.Context, c GroupChange, by exeunt.Actor, now time.Time,
) ([]exeunt.AccountID, error) {
	var changed []exeunt.AccountID
	var refused error
	err := s.commit(ctx, func(t *tx) (err error) {
		// Check everything before the first change: the transaction of a refusal commits.
		if changed, refused, err = t.concerned(c); err != nil || refused != nil || len(changed) == 0 {
			return err
		}
		if err := t.changeGroup(c, changed, by, now); err != nil || !c.Remove {
			return err
		}
		return t.endUnadmitted(c.Group, changed, by, now)
	})
	if err != nil {
		return nil, err
	}
	return changed, refused
}

// concerned returns the accounts that are not yet as the change wants them, each once.
func (t *tx) concerned(c GroupChange) (list []exeunt.AccountID, refused, err error) {
	seen := map[exeunt.AccountID]bool{}
	for _, id := range c.Accounts {
		var handle string
		var member bool
		var groups int
		there, err := found(t.row(`SELECT handle,
			EXISTS (SELECT 1 FROM account_groups WHERE account_id = $1 AND name = $2),
			(SELECT count(*) FROM account_groups WHERE account_id = $1) FROM accounts WHERE id = $1`,
			id.Bytes(), c.Group).Scan(&handle, &member, &groups))
		switch {
		case err != nil:
			return nil, nil, err
		case !there:
			return nil, exeunt.ErrNotFound, nil
		case seen[id] || member != c.Remove:
			continue
		case !c.Remove && groups >= exeunt.MaxGroups:
			return nil, fmt.Errorf("@%s: %w", handle, exeunt.ErrManyGroups), nil
		}
		seen[id] = true
		list = append(list, id)
	}
	return list, nil, nil
}

func (t *tx) changeGroup(c GroupChange, accounts []exeunt.AccountID, by exeunt.Actor, now time.Time) error {
	change, args, reason, more := `INSERT INTO account_groups (account_id, name, added) VALUES ($1, $2, $3)`,
		[]any{nil, c.Group, ms(now)}, exeunt.ReasonGroupAdded, len(accounts)
	if c.Remove {
		change, args = `DELETE FROM account_groups WHERE account_id = $1 AND name = $2`, args[:2]
		reason, more = exeunt.ReasonGroupRemoved, -more
	}
	events := make([]exeunt.Event, 0, len(accounts))
	for _, id := range accounts {
		args[0] = id.Bytes()
		if _, err := t.exec(change, args...); err != nil {
			return err
		}
		e := exeunt.Event{At: now, Kind: exeunt.EventGroupsChanged, Target: exeunt.Target{Account: id},
			Reason: reason + exeunt.Reason(" "+c.Group), By: by}
		if err := t.row(`UPDATE accounts SET profile_version = profile_version + 1 WHERE id = $1
			RETURNING profile_version`, id.Bytes()).Scan(&e.Version); err != nil {
			return err
		}
		events = append(events, e)
	}
	if _, err := t.exec(`INSERT INTO group_sizes (name, members) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET members = group_sizes.members + excluded.members`, c.Group, more); err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM group_sizes WHERE name = $1 AND members = 0`, c.Group); err != nil {
		return err
	}
	return t.appendEvents(events)
}

// leaveAtOnce is how many endings one change of a group records in its own transaction.
const leaveAtOnce = 512

// endUnadmitted ends what accounts that were in a group have in the clients that they may not use without it. An account
// has a few app sessions on a client in each of its sessions, of which there are as many as the policy allows, which may
// be without limit. So beyond leaveAtOnce one event has nodes ask again about all app sessions of the client, as when a
// client is for fewer groups than before, and WriteEnds records the rest.
func (t *tx) endUnadmitted(group string, accounts []exeunt.AccountID, by exeunt.Actor, now time.Time) error {
	clients, err := t.clientsFor(group)
	if err != nil || len(clients) == 0 {
		return err
	}
	left, later := leaveAtOnce, map[exeunt.ClientID]bool{}
	for _, id := range accounts {
		groups, err := t.groupsOf(id)
		if err != nil {
			return err
		}
		for _, c := range clients {
			if c.Admits(groups) || later[c.ID] {
				continue
			}
			if err := t.endInClient(id, c.ID, &left, by, now); err != nil {
				return err
			}
			if left > 0 {
				continue
			}
			later[c.ID] = true
			if err := t.appsEnded(c.ID, exeunt.ReasonAdministrator, by, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// admits reports whether an account may use a client.
func (t *tx) admits(id exeunt.ClientID, account exeunt.AccountID) (bool, error) {
	c, there, err := t.client(id)
	if err != nil || !there || len(c.Groups) == 0 {
		return there, err
	}
	groups, err := t.groupsOf(account)
	return c.Admits(groups), err
}

func (t *tx) groupsOf(account exeunt.AccountID) (groups groupScan, err error) {
	err = t.row(`SELECT `+groupNames+` WHERE account_id = $1`, account.Bytes()).Scan(&groups)
	return groups, err
}

// clientsFor returns the clients that the members of a group may use.
func (t *tx) clientsFor(group string) (list []exeunt.Client, err error) {
	rows, err := t.rows(`SELECT ` + clientRead + ` FROM clients ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanClient(rows)
		if err != nil {
			return nil, err
		}
		if slices.Contains(c.Groups, group) {
			list = append(list, c)
		}
	}
	return list, rows.Err()
}

// endInClient ends what an account has in a client: app sessions, sessions that apps on a person's device have of their
// own, and codes that have not been exchanged. It records at most left endings, and takes them off: at 0 there may be
// more.
func (t *tx) endInClient(
	id exeunt.AccountID, client exeunt.ClientID, left *int, by exeunt.Actor, now time.Time,
) error {
	if _, err := t.exec(`DELETE FROM codes WHERE account_id = $1 AND client_id = $2 AND spent_at IS NULL`,
		id.Bytes(), client); err != nil {
		return err
	}
	for *left > 0 {
		most := min(*left, endAtOnce)
		list, err := t.liveIn(id, client, most)
		if err != nil {
			return err
		}
		*left -= len(list)
		var endings []*ending
		for _, target := range list {
			endings = append(endings, newEnding(by, exeunt.Revocation{Target: target, Reason: exeunt.ReasonAdministrator},
				Change{}, now))
		}
		if err := t.end(endings...); err != nil || len(list) < most {
			return err
		}
	}
	return nil
}

// endAtOnce is how many endings one statement is about.
const endAtOnce = 64

// liveIn returns what there is to end of an account in a client, up to a bounded number.
func (t *tx) liveIn(id exeunt.AccountID, client exeunt.ClientID, most int) (list []exeunt.Target, err error) {
	f := AppFilter{Account: id, Client: client, Limit: most}
	rows, err := t.rows(appUses, f.Account.Bytes(), f.Client, f.After, f.Limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		u, err := scanAppUse(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, u.Target())
	}
	return list, rows.Err()
}
