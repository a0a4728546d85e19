package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// activeSession selects sessions from activeTables.
const activeSession = `s.ended_at IS NULL AND s.generation >= a.generation`

// Sessions returns a page of sessions with their app sessions. It returns ErrBadRequest for a cursor that the store
// did not make, and for everyone's ended sessions, which no index has in the order of their ends.
func (s *Store) Sessions(ctx context.Context, f exeunt.SessionFilter) (p exeunt.Page[exeunt.Session], err error) {
	limit := exeunt.PageSize(f.Limit)
	switch {
	case f.Everyone && f.State == exeunt.SessionsEnded:
		return p, fmt.Errorf("ended sessions are listed of one account: %w", exeunt.ErrBadRequest)
	case f.State == exeunt.SessionsEnded:
		p, err = s.endedOf(ctx, f, limit)
	case f.Everyone:
		p, err = s.everyones(ctx, f, limit)
	default:
		p, err = s.activeOf(ctx, f, limit)
	}
	if err != nil {
		return p, err
	}
	return p, s.addApps(ctx, p.Items)
}

// accountStep bounds how many sessions, or events, one page of an account's list reads. Those that it skips have
// ended, or do not have the text that is searched for; so a page may have few entries, or none, before the last.
const accountStep = 2048

// walkOf finds the last session of a step through an account's. Its limit is in its text, as that of all statements
// for an account's lists: a server that plans without knowing it may sort the whole account first.
var walkOf = fmt.Sprintf(`SELECT started, id FROM sessions WHERE account_id = $1 AND (started, id) < ($2, $3)
	ORDER BY started DESC, id DESC LIMIT 1 OFFSET %d`, accountStep-1)

// activeLimits are the numbers of sessions that there are statements for.
var activeLimits = [...]int{64, exeunt.MaxPage, accountStep}

// activeUpTo reads the active sessions of a step, at least so many if there are.
func activeUpTo(most int) string {
	i := slices.IndexFunc(activeLimits[:], func(n int) bool { return n >= most })
	return `SELECT ` + activeColumns + activeTables + ` WHERE ` + activeSession + ` AND s.account_id = $1
		AND (s.started, s.id) < ($2, $3) AND (s.started, s.id) >= ($4, $5)
		ORDER BY s.started DESC, s.id DESC LIMIT ` + strconv.Itoa(activeLimits[i])
}

// activeOf goes through an account's sessions, latest sign-in first, and returns the active ones.
func (s *Store) activeOf(
	ctx context.Context, f exeunt.SessionFilter, limit int,
) (p exeunt.Page[exeunt.Session], err error) {
	after, err := parsePageEnd(f.After)
	if err != nil {
		return p, err
	}
	account, most := f.Account.Bytes(), limit
	if f.Search != "" {
		most = accountStep
	}
	stop, more, err := s.walkTo(ctx, walkOf, account, after.ms, after.id())
	if err != nil {
		return p, err
	}
	p.Items, err = s.querySessions(ctx, activeUpTo(most), account, after.ms, after.id(), stop.ms, stop.id())
	if more {
		p.Next = cursorAfter(at(stop.ms), stop.session)
	}
	if f.Search != "" {
		p.Items = slices.DeleteFunc(p.Items, func(v exeunt.Session) bool { return !v.Matches(f.Search) })
	}
	if len(p.Items) >= limit {
		p.Items = p.Items[:limit]
		p.Next = cursorAfter(p.Items[limit-1].Started, p.Items[limit-1].ID)
	}
	return p, err
}

// walkTo returns the last session of a step, and false with the zero place when the step reaches the end.
func (s *Store) walkTo(ctx context.Context, q string, args ...any) (stop pageEnd, more bool, err error) {
	more, err = found(s.read.QueryRowContext(ctx, q, args...).Scan(&stop.ms, &stop.session))
	return stop, more, unavailable("sessions", err)
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
func (s *Store) everyones(
	ctx context.Context, f exeunt.SessionFilter, limit int,
) (p exeunt.Page[exeunt.Session], err error) {
	after, err := parsePageEnd(f.After)
	if err != nil {
		return p, err
	}
	stop, more, err := s.walkTo(ctx, walk, after.ms, after.id(), walkStep-1)
	if err != nil {
		return p, err
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

// CountSessions returns how many sessions there are on all pages together, whatever is searched for.
func (s *Store) CountSessions(ctx context.Context, f exeunt.SessionFilter) (n int64, err error) {
	if f.Everyone {
		_, n, err = s.Count(ctx)
		return n, err
	}
	counter := `live_sessions`
	if f.State == exeunt.SessionsEnded {
		counter = `ended_sessions`
	}
	err = s.read.QueryRowContext(ctx, `SELECT COALESCE(max(`+counter+`), 0) FROM accounts WHERE id = $1`,
		f.Account.Bytes()).Scan(&n)
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
