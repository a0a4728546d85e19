package store

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// activeSession and endedSession select sessions from sessionTables.
const (
	activeSession = `s.ended_at IS NULL AND s.generation >= a.generation`
	endedSession  = `(s.ended_at IS NOT NULL OR s.generation < a.generation)`
)

// Sessions returns a page of sessions with their app sessions. It returns ErrBadRequest for a cursor that the store
// did not make, and for everyone's ended sessions, which no index has in the order of their ends.
func (s *Store) Sessions(ctx context.Context, f exeunt.SessionFilter) (p exeunt.Page[exeunt.Session], err error) {
	after, err := parsePageEnd(f.After)
	switch {
	case err != nil:
		return p, err
	case f.Everyone && f.State == exeunt.SessionsEnded:
		return p, fmt.Errorf("ended sessions are listed of one account: %w", exeunt.ErrBadRequest)
	case f.Everyone:
		p, err = s.everyones(ctx, after, exeunt.PageSize(f.Limit))
	default:
		p, err = s.sessionsOf(ctx, f.Account, f.State, after, exeunt.PageSize(f.Limit))
	}
	if err != nil {
		return p, err
	}
	return p, s.addApps(ctx, p.Items)
}

// sessionsOf reads all stored sessions of the account, also for a later page. The plus prevents the database from
// walking everyone's sessions by sessions_started to find the account's.
func (s *Store) sessionsOf(
	ctx context.Context, account exeunt.AccountID, state exeunt.SessionState, after pageEnd, limit int,
) (p exeunt.Page[exeunt.Session], err error) {
	q, moment := `SELECT `+activeColumns+activeTables+` WHERE `+activeSession, `+s.started`
	if state == exeunt.SessionsEnded {
		q, moment = `SELECT `+sessionColumns+sessionTables+` WHERE `+endedSession, `COALESCE(s.ended_at, e.at)`
	}
	p.Items, err = s.querySessions(ctx, q+` AND s.account_id = $1 AND (`+moment+`, s.id) < ($2, $3)
		ORDER BY `+moment+` DESC, s.id DESC LIMIT $4`,
		account.Bytes(), after.ms, after.id(), limit)
	if len(p.Items) == limit {
		last := &p.Items[limit-1]
		p.Next = cursorAfter(last.Started, last.ID)
		if last.End != nil {
			p.Next = cursorAfter(last.End.At, last.ID)
		}
	}
	return p, err
}

// walkStep bounds how many sessions one step through everyone's reads. Ended ones are skipped, so a page may have
// few entries, or none, before the last.
const walkStep = 8192

// walk finds the last session of a step, and everyonesActive the active ones up to it.
const (
	walk = `SELECT started, id FROM sessions WHERE (started, id) < ($1, $2)
		ORDER BY started DESC, id DESC LIMIT 1 OFFSET $3`
	everyonesActive = `SELECT ` + activeColumns + activeTables + ` WHERE ` + activeSession + `
		AND (s.started, s.id) < ($1, $2) AND (s.started, s.id) >= ($3, $4) ORDER BY s.started DESC, s.id DESC LIMIT $5`
)

// everyones goes through everyone's sessions, latest sign-in first, and returns the active ones.
func (s *Store) everyones(ctx context.Context, after pageEnd, limit int) (p exeunt.Page[exeunt.Session], err error) {
	var stop pageEnd // the last session of this walk; zero when it reaches the end
	more, err := found(s.read.QueryRowContext(ctx, walk, after.ms, after.id(), walkStep-1).
		Scan(&stop.ms, &stop.session))
	if err != nil {
		return p, unavailable("sessions", err)
	}
	p.Items, err = s.querySessions(ctx, everyonesActive, after.ms, after.id(), stop.ms, stop.id(), limit)
	switch {
	case len(p.Items) == limit:
		p.Next = cursorAfter(p.Items[limit-1].Started, p.Items[limit-1].ID)
	case more:
		p.Next = cursorAfter(at(stop.ms), stop.session)
	}
	return p, err
}

func (s *Store) querySessions(ctx context.Context, q string, args ...any) ([]exeunt.Session, error) {
	rows, err := s.read.QueryContext(ctx, q, args...)
	return collect(rows, err, "sessions", func(r rowScanner) (exeunt.Session, error) { return scanSession(r) })
}

// CountSessions returns how many sessions there are on all pages together.
func (s *Store) CountSessions(ctx context.Context, f exeunt.SessionFilter) (n int64, err error) {
	switch {
	case f.Everyone:
		_, n, err = s.Count(ctx)
		return n, err
	case f.State == exeunt.SessionsEnded:
		err = s.read.QueryRowContext(ctx, `SELECT count(*) FROM sessions s JOIN accounts a ON a.id = s.account_id
			WHERE s.account_id = $1 AND `+endedSession, f.Account.Bytes()).Scan(&n)
	default:
		err = s.read.QueryRowContext(ctx, `SELECT COALESCE(max(live_sessions), 0) FROM accounts WHERE id = $1`,
			f.Account.Bytes()).Scan(&n)
	}
	return n, unavailable("number of sessions", err)
}

// pageEnd is where a page of sessions ended: at a moment, and a session of that moment.
type pageEnd struct {
	ms      int64
	session exeunt.SessionID
}

func cursorAfter(t time.Time, id exeunt.SessionID) exeunt.Cursor {
	return exeunt.Cursor(strconv.FormatInt(ms(t), 10) + "." + id.String())
}

func parsePageEnd(c exeunt.Cursor) (p pageEnd, err error) {
	if c == "" {
		return pageEnd{ms: math.MaxInt64}, nil
	}
	moment, id, _ := strings.Cut(string(c), ".")
	if p.ms, err = strconv.ParseInt(moment, 10, 64); err == nil {
		p.session, err = exeunt.ParseSessionID(id)
	}
	if err != nil {
		return p, badCursor(c)
	}
	return p, nil
}

func badCursor(c exeunt.Cursor) error {
	return fmt.Errorf("invalid cursor %q: %w", string(c), exeunt.ErrBadRequest)
}

// id is the session's ID, 16 zero bytes without one: SQL compares both columns.
func (p pageEnd) id() []byte {
	raw := p.session.Raw()
	return raw[:]
}
