package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exeunt/exeunt"
)

// Position is a place in the log: after the event with that number.
type Position struct {
	Seq int64
	// Digest is the event's, without the row that it was read from: an event is the same in a copy of the database.
	Digest string
}

// PositionAfter returns the place after an event.
func PositionAfter(e *exeunt.Event) Position {
	same := *e
	same.Row = 0
	return Position{Seq: same.Seq, Digest: same.Digest()}
}

// Memory is what somebody outside the database remembers of its log: the name of its history, and places in it.
type Memory struct {
	History []byte
	Places  []Position
}

// Relation is how the log of a database stands to a Memory of it.
type Relation uint8

const (
	// Differs: the log lacks what is remembered, so it is older or another one.
	Differs Relation = iota
	// Continues: the log has everything that is remembered.
	Continues
	// Decided: an operator has decided, since that was remembered, how to go on with a restored database.
	Decided
	// Unknown: the log no longer has events that old.
	Unknown
)

// Compare compares the log with what is remembered of it. It also returns the present name of the history.
func (s *Store) Compare(ctx context.Context, m Memory) (Relation, []byte, error) {
	return compare(ctx, m, s.histories, func(ctx context.Context, seq int64) ([]exeunt.Event, error) {
		return s.Events(ctx, seq-1, 1)
	})
}

// Compare is Store.Compare on the follower's connection: the store's may still refuse to read from a server that
// has not confirmed a heartbeat.
func (f *Follower) Compare(ctx context.Context, m Memory) (Relation, []byte, error) {
	return compare(ctx, m, f.histories, func(ctx context.Context, seq int64) ([]exeunt.Event, error) {
		return f.Next(ctx, seq, 1, 0)
	})
}

func compare(
	ctx context.Context, m Memory,
	histories func(context.Context, []byte) (name []byte, earlier bool, err error),
	from func(ctx context.Context, seq int64) ([]exeunt.Event, error),
) (Relation, []byte, error) {
	name, earlier, err := histories(ctx, m.History)
	switch {
	case err != nil:
		return Differs, nil, err
	case earlier:
		return Decided, name, nil
	case !bytes.Equal(name, m.History):
		return Differs, name, nil
	}
	relation := Continues
	for _, p := range m.Places {
		if p.Seq == 0 {
			continue
		}
		next, err := from(ctx, p.Seq)
		switch {
		case err != nil:
			return Differs, name, err
		case len(next) == 0:
			return Differs, name, nil
		case next[0].Seq == p.Seq:
			if PositionAfter(&next[0]) != p {
				return Differs, name, nil
			}
			continue
		}
		// The log has only later events. It is dense, so those in between have been deleted.
		relation = Unknown
	}
	return relation, name, nil
}

const historiesQuery = `SELECT history, EXISTS (SELECT 1 FROM marks WHERE id = $1) FROM log_head WHERE id = 1`

// histories returns the name of the history, and whether the given one is that of an earlier history, which an
// operator's decision has replaced.
func (s *Store) histories(ctx context.Context, old []byte) (name []byte, earlier bool, err error) {
	err = s.read.QueryRowContext(ctx, historiesQuery, old).Scan(&name, &earlier)
	return name, earlier, unavailable("history", err)
}

func (f *Follower) histories(ctx context.Context, old []byte) (name []byte, earlier bool, err error) {
	err = f.conn.QueryRow(ctx, historiesQuery, pgx.QueryExecModeCacheDescribe, old).Scan(&name, &earlier)
	return name, earlier, unavailable("history", err)
}

// LastPlace returns the place after the log's last event.
func (s *Store) LastPlace(ctx context.Context) (p Position, err error) {
	head, err := s.Head(ctx)
	if err != nil || head == 0 {
		return p, err
	}
	last, err := s.Events(ctx, head-1, 1)
	if err == nil && len(last) == 0 {
		err = errors.New("the log lacks its last event")
	}
	if err != nil {
		return p, err
	}
	return PositionAfter(&last[0]), nil
}

// Decide records how an operator goes on with a restored database: with all sessions ended, or with the database
// trusted as it is. The history gets another name, and what remembers the old one finds that out. Ending everything
// also deletes one-time links and codes, because some were spent in what the database lacks. It writes an event for
// each account with sessions, and returns how many accounts there were. known is the history that this node remembers,
// which may be a later one than the database's: other nodes may remember it too. The events are not passed to Committed: call
// it before memory begins.
func (s *Store) Decide(
	ctx context.Context, endAll bool, known []byte, by exeunt.Actor, now time.Time,
) (accounts int64, err error) {
	name := make([]byte, 16)
	rand.Read(name)
	m := &member{done: make(chan error, 1), patient: true, run: func(t *tx) (err error) {
		accounts = 0
		e := exeunt.Event{At: now, Kind: exeunt.EventRestored, Reason: exeunt.ReasonDatabaseTrusted, By: by}
		before := len(t.events)
		if endAll {
			e.Reason = exeunt.ReasonAllEnded
			if accounts, err = t.endEverybody(by, now); err != nil {
				return err
			}
		}
		if err := t.appendEvents([]exeunt.Event{e}); err != nil {
			return err
		}
		t.events = t.events[:before]
		var here []byte
		if err := t.row(`SELECT history FROM log_head WHERE id = 1`).Scan(&here); err != nil {
			return err
		}
		for _, earlier := range [][]byte{here, known} {
			if len(earlier) == 0 {
				continue
			}
			if _, err := t.exec(`INSERT INTO marks (id, at) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
				earlier, ms(now)); err != nil {
				return err
			}
		}
		_, err = t.exec(`UPDATE log_head SET history = $1 WHERE id = 1`, name)
		return err
	}}
	return accounts, s.submit(ctx, m)
}

// endEverybody ends the sessions of every account in the one way in which sessions end.
func (t *tx) endEverybody(by exeunt.Actor, now time.Time) (int64, error) {
	accounts, err := t.accountsWithSessions()
	if err != nil {
		return 0, err
	}
	endings := make([]*ending, len(accounts))
	for i, id := range accounts {
		endings[i] = newEnding(by, exeunt.Revocation{Reason: exeunt.ReasonAdministrator,
			Target: exeunt.Target{Account: id, Scope: exeunt.ScopeAccount}}, Change{}, now)
	}
	if err := t.end(endings...); err != nil {
		return 0, err
	}
	for _, table := range []string{"codes", "device_codes"} {
		if _, err = t.exec(`DELETE FROM ` + table); err != nil {
			return 0, err
		}
	}
	for _, unused := range []string{`DELETE FROM invites WHERE spent_at IS NULL`, `DELETE FROM links`} {
		if _, err = t.exec(unused); err != nil {
			return 0, err
		}
	}
	return int64(len(accounts)), err
}

func (t *tx) accountsWithSessions() (out []exeunt.AccountID, err error) {
	rows, err := t.rows(`SELECT id FROM accounts WHERE EXISTS (SELECT 1 FROM sessions s
		WHERE s.account_id = accounts.id AND s.ended_at IS NULL AND s.generation >= accounts.generation) ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id exeunt.AccountID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// Beats returns how many heartbeats each node has had confirmed, by the nodes' random IDs.
func (s *Store) Beats(ctx context.Context) (map[[16]byte]int64, error) {
	type beat struct {
		node []byte
		n    int64
	}
	rows, err := s.read.QueryContext(ctx, `SELECT id, beat FROM nodes`)
	list, err := collect(rows, err, "nodes", func(r rowScanner) (b beat, err error) {
		err = r.Scan(&b.node, &b.n)
		return b, err
	})
	out := map[[16]byte]int64{}
	for _, b := range list {
		if len(b.node) == 16 {
			out[[16]byte(b.node)] = b.n
		}
	}
	return out, err
}
