package store

import (
	"context"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
)

// togetherRound is the progress of WriteEnds through some events that ended sessions together. It is only in memory:
// a restart begins the round again.
type togetherRound struct {
	mu       sync.Mutex
	upTo     int64 // number of the last of the events
	accounts []accountEnd
	after    []byte // ID of the last session looked at of the first account
	clients  []clientEnd
}

// accountEnd says that the account's sessions born before a generation have ended.
type accountEnd struct {
	account    exeunt.AccountID
	generation int64
}

// roundEvents is how many events a round of WriteEnds is about.
const roundEvents = 256

// WriteEnds writes the end into the rows of sessions that were ended together, following the log: the first event
// that a session was born before is the one that ended it. It does so for app sessions of clients, too: see clientEnd. Each call reads and writes a bounded number of rows, and
// reports whether there is more to do. Nobody waits for it: until the end is written, the row's generation shows
// that the session has ended.
func (s *Store) WriteEnds(ctx context.Context, now time.Time) (more bool, err error) {
	r := &s.together
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.accounts) == 0 && len(r.clients) == 0 {
		if more, err = s.beginRound(ctx, r); !more || err != nil {
			return false, err
		}
	}
	if len(r.accounts) > 0 {
		err = s.writeSome(ctx, r)
	} else {
		err = s.writeOfClient(ctx, r, now)
	}
	if err != nil {
		return false, err
	}
	if len(r.accounts) > 0 || len(r.clients) > 0 {
		return true, nil
	}
	return true, s.endsWritten(ctx, r.upTo)
}

// beginRound reports whether there are events to begin a round with.
func (s *Store) beginRound(ctx context.Context, r *togetherRound) (bool, error) {
	var head, written int64
	if err := s.read.QueryRowContext(ctx, `SELECT seq, ends_written FROM log_head WHERE id = 1`).
		Scan(&head, &written); err != nil {
		return false, unavailable("log head", err)
	}
	if head == written {
		return false, nil
	}
	rows, err := s.read.QueryContext(ctx,
		`SELECT `+eventColumns+` FROM events WHERE seq > $1 AND (generation > 0 OR kind = 'apps_ended')
		ORDER BY seq LIMIT $2`, written, roundEvents)
	r.accounts, r.clients, r.after = nil, nil, []byte{}
	latest := map[exeunt.AccountID]int64{}
	list, err := collect(rows, err, "events", scanEvent)
	if err != nil {
		return false, err
	}
	for i := range list {
		e := &list[i]
		if r.upTo = e.Seq; e.Kind == exeunt.EventAppsEnded {
			r.clients = append(r.clients, clientEnd{event: *e})
			continue
		}
		if latest[e.Account] == 0 {
			r.accounts = append(r.accounts, accountEnd{e.Account, e.Generation})
		}
		latest[e.Account] = max(latest[e.Account], e.Generation)
	}
	for i := range r.accounts {
		r.accounts[i].generation = latest[r.accounts[i].account]
	}
	if len(list) == 0 {
		return false, s.endsWritten(ctx, head)
	}
	return true, nil
}

// writeSome continues with the round's first account.
func (s *Store) writeSome(ctx context.Context, r *togetherRound) error {
	of := r.accounts[0]
	type row struct {
		id         exeunt.SessionID
		generation int64
		open       bool
	}
	rows, err := s.read.QueryContext(ctx,
		`SELECT id, generation, ended_at IS NULL FROM sessions WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3`,
		of.account.Bytes(), r.after, maintenanceStep)
	list, err := collect(rows, err, "sessions", func(r rowScanner) (v row, err error) {
		err = r.Scan(&v.id, &v.generation, &v.open)
		return v, err
	})
	if err != nil {
		return err
	}
	var ends []sessionEnd
	by := map[int64]sessionEnd{}
	for _, v := range list {
		if !v.open || v.generation >= of.generation {
			continue
		}
		e, known := by[v.generation]
		if !known {
			if e, err = s.endOf(ctx, of.account, v.generation); err != nil {
				return err
			}
			by[v.generation] = e
		}
		e.session = v.id
		ends = append(ends, e)
	}
	if len(ends) > 0 {
		if err := s.commit(ctx, func(t *tx) error { return t.endSessions(ends, nil) }); err != nil {
			return err
		}
	}
	if len(list) < maintenanceStep {
		r.accounts, r.after = r.accounts[1:], []byte{}
	} else {
		r.after = list[len(list)-1].id.Bytes()
	}
	return nil
}

// endOf returns how the sessions of an account and generation ended together.
func (s *Store) endOf(ctx context.Context, account exeunt.AccountID, generation int64) (sessionEnd, error) {
	e := sessionEnd{account: account, together: true}
	err := s.read.QueryRowContext(ctx, `SELECT at, reason, by_kind, by_session, by_label FROM events
		WHERE account_id = $1 AND generation > $2 AND generation > 0 ORDER BY generation LIMIT 1`,
		account.Bytes(), generation).
		Scan(&e.at, &e.reason, &e.by, &e.bySession, &e.byLabel)
	return e, unavailable("event", err)
}

// endsWritten stores how far the ends are written.
func (s *Store) endsWritten(ctx context.Context, seq int64) error {
	return s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE log_head SET ends_written = greatest(ends_written, $1) WHERE id = 1`, seq)
		return err
	})
}
