package store

import (
	"context"
	"fmt"

	"github.com/exeunt/exeunt"
)

// LogRange is the events after one number up to another, as far as a memory must know them.
type LogRange struct {
	Ended  []byte         // the IDs of sessions and app sessions that ended one by one, 16 bytes each
	Events []exeunt.Event // all others
	Last   exeunt.Event   // of either sort
}

const idLen = 16

// LogRange reads a log range, all of it from one connection, because two servers may have two histories. Most events
// end one session, and of those only the ID counts: they come together in one value, as reading a row for each takes
// ten times as long.
func (s *Store) LogRange(ctx context.Context, after, upTo int64) (l LogRange, err error) {
	one, err := s.read.Conn(ctx)
	if err != nil {
		return l, unavailable("events", err)
	}
	defer one.Close()
	ctx, cancel := s.read.limit(ctx)
	defer cancel()
	var single int64
	err = one.QueryRowContext(ctx, `SELECT count(*), string_agg(COALESCE(app_session_id, session_id), '')
		FROM events WHERE seq > $1 AND seq <= $2 AND kind = 'ended' AND scope = 'session'`, after, upTo).
		Scan(&single, &l.Ended)
	if err != nil {
		return l, unavailable("events", err)
	}
	if single < upTo-after {
		rows, err := one.QueryContext(ctx, `SELECT `+eventColumns+` FROM events
			WHERE seq > $1 AND seq <= $2 AND (kind <> 'ended' OR scope <> 'session')`, after, upTo)
		if l.Events, err = collect(&timedRows{rows, func() {}}, err, "events", scanEvent); err != nil {
			return l, err
		}
	}
	if int64(len(l.Ended)) != idLen*single {
		return l, fmt.Errorf("events from %d to %d name %d bytes for %d sessions", after+1, upTo, len(l.Ended), single)
	}
	if single+int64(len(l.Events)) != upTo-after {
		return l, fmt.Errorf("the log does not hold all events from %d to %d", after+1, upTo)
	}
	l.Last, err = scanEvent(one.QueryRowContext(ctx, `SELECT `+eventColumns+` FROM events WHERE seq = $1`, upTo))
	return l, unavailable("events", err)
}
