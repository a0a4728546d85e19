package store

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/exeunt/exeunt"
)

// An account's ended sessions are listed by the events of their endings, latest first: the log is in that order
// already, so an ending maintains no list. The event of one session names it. One that ended many, by raising the
// account's generation, is followed by those sessions, latest sign-in first.

// endedPlace is a place in that list: after an event, or among the sessions that an event ended.
type endedPlace struct {
	at, seq int64
	among   bool
	pageEnd // with among: the place among the event's sessions
}

func firstEnded() endedPlace { return endedPlace{at: math.MaxInt64, seq: math.MaxInt64} }

func (p endedPlace) cursor() exeunt.Cursor {
	c := strconv.FormatInt(p.at, 10) + "." + strconv.FormatInt(p.seq, 10)
	if p.among {
		c += "." + strconv.FormatInt(p.ms, 10) + "." + p.session.String()
	}
	return exeunt.Cursor(c)
}

func parseEndedPlace(c exeunt.Cursor) (p endedPlace, err error) {
	if c == "" {
		return firstEnded(), nil
	}
	parts := strings.Split(string(c), ".")
	if len(parts) == 4 {
		p.among = true
		p.pageEnd, err = parsePageEnd(exeunt.Cursor(parts[2] + "." + parts[3]))
	} else if len(parts) != 2 {
		return p, badCursor(c)
	}
	var errs [2]error
	if err == nil {
		p.at, errs[0] = strconv.ParseInt(parts[0], 10, 64)
		p.seq, errs[1] = strconv.ParseInt(parts[1], 10, 64)
	}
	if err != nil || errs[0] != nil || errs[1] != nil {
		return p, badCursor(c)
	}
	return p, nil
}

// endedStep is how many events or sessions a part of the list is read from.
const endedStep = 128

// endedPart is what a few events, or a part of the sessions that one event ended, add to the list.
type endedPart struct {
	ids    []exeunt.SessionID
	places []endedPlace // after each of ids
	next   endedPlace
	more   bool
	end    *exeunt.Ended // of those whose rows do not have it yet
}

func (p *endedPart) add(id exeunt.SessionID, after endedPlace) {
	p.ids, p.places = append(p.ids, id), append(p.places, after)
}

func (s *Store) endedOf(
	ctx context.Context, f exeunt.SessionFilter, limit int,
) (p exeunt.Page[exeunt.Session], err error) {
	place, err := parseEndedPlace(f.After)
	if err != nil {
		return p, err
	}
	for read := 0; read < accountStep; read += endedStep {
		part, err := s.endedPart(ctx, f.Account, place)
		if err != nil {
			return p, err
		}
		list, err := s.sessionsNamed(ctx, f.Account, part.ids)
		if err != nil {
			return p, err
		}
		for i, id := range part.ids {
			v, stored := list[id]
			if stored && v.End == nil && part.end != nil {
				end := *part.end
				v.End = &end
			}
			if !stored || v.End == nil || f.Search != "" && !v.Matches(f.Search) {
				continue
			}
			v.End.Seq, v.End.Recorded = part.places[i].seq, at(part.places[i].at)
			if p.Items = append(p.Items, v); len(p.Items) == limit {
				p.Next = part.places[i].cursor()
				return p, nil
			}
		}
		if place = part.next; !part.more {
			return p, nil
		}
	}
	p.Next = place.cursor()
	return p, nil
}

func (s *Store) endedPart(ctx context.Context, account exeunt.AccountID, after endedPlace) (endedPart, error) {
	if after.among {
		return s.endedByOne(ctx, account, after)
	}
	return s.endedOneByOne(ctx, account, after)
}

// endedOneByOne reads events up to the first that ended many sessions.
func (s *Store) endedOneByOne(
	ctx context.Context, account exeunt.AccountID, after endedPlace,
) (part endedPart, err error) {
	type event struct {
		at, seq, generation int64
		kind                exeunt.EventKind
		session             exeunt.SessionID
		app                 bool
	}
	rows, err := s.read.QueryContext(ctx, `SELECT at, seq, generation, kind, session_id, app_session_id IS NOT NULL
		FROM events WHERE account_id = $1 AND (at, seq) < ($2, $3) ORDER BY at DESC, seq DESC LIMIT `+
		strconv.Itoa(endedStep), account.Bytes(), after.at, after.seq)
	list, err := collect(rows, err, "events", func(r rowScanner) (e event, err error) {
		err = r.Scan(&e.at, &e.seq, &e.generation, &e.kind, &e.session, &e.app)
		return e, err
	})
	if err != nil {
		return part, err
	}
	for _, e := range list {
		part.next = endedPlace{at: e.at, seq: e.seq}
		switch {
		case e.kind != exeunt.EventEnded || e.app:
		case e.generation > 0:
			part.next.among, part.next.ms = true, e.at+clocksDiffer
			part.more = true
			return part, nil
		default:
			part.add(e.session, part.next)
		}
	}
	part.more = len(list) == endedStep
	return part, nil
}

// clocksDiffer is by how much, in milliseconds, a session of another node may seem to have begun after the event that
// ended it, or before the one that its account's generation at its start came from. Nodes whose clock is wrong by
// 2 s are not ready.
const clocksDiffer = 60_000

// endedByOne reads sessions that an event ended together. It ended those of the generation before its own that had not
// ended before. They began after the event that raised the account to that generation, but for the session that this
// one left alone.
func (s *Store) endedByOne(
	ctx context.Context, account exeunt.AccountID, after endedPlace,
) (part endedPart, err error) {
	var generation, since int64
	var kept exeunt.SessionID
	end := exeunt.Ended{At: at(after.at)}
	ok, err := found(s.read.QueryRowContext(ctx, `SELECT e.generation - 1, e.reason, e.by_kind, e.by_session, e.by_label,
		COALESCE(b.at, 0), CASE WHEN b.scope = 'others' THEN b.session_id END FROM events e
		LEFT JOIN events b ON b.account_id = e.account_id AND b.generation = e.generation - 1 AND b.generation > 0
		WHERE e.seq = $1 AND e.account_id = $2 AND e.generation > 0`, after.seq, account.Bytes()).
		Scan(&generation, &end.Reason, &end.By, &end.BySession, &end.ByLabel, &since, &kept))
	part.next, part.more, part.end = endedPlace{at: after.at, seq: after.seq}, true, &end
	if err != nil || !ok { // without the event, it is older than audit entries may be
		return part, unavailable("event", err)
	}
	member := func(r rowScanner) (v pageEnd, is bool, err error) {
		err = r.Scan(&v.session, &v.ms, &is)
		return v, is, err
	}
	add := func(v pageEnd) {
		place := after
		place.pageEnd = v
		part.add(v.session, place)
	}
	since -= clocksDiffer
	const columns = `SELECT s.id, s.started, s.generation = $2 AND (s.ended_at IS NULL OR s.ended_at = $3
		AND s.ended_reason NOT IN ('idle', 'absolute') AND NOT EXISTS (SELECT 1 FROM events e
			WHERE e.account_id = s.account_id AND e.at = $3 AND e.session_id = s.id AND e.kind = 'ended'
			AND e.scope = 'session' AND e.app_session_id IS NULL)) FROM sessions s WHERE s.account_id = $1 `
	type row struct {
		pageEnd
		member bool
	}
	rows, err := s.read.QueryContext(ctx, columns+`AND s.started >= $4 AND (s.started, s.id) < ($5, $6)
		ORDER BY s.started DESC, s.id DESC LIMIT `+strconv.Itoa(endedStep),
		account.Bytes(), generation, after.at, since, after.ms, after.id())
	list, err := collect(rows, err, "sessions", func(r rowScanner) (v row, err error) {
		v.pageEnd, v.member, err = member(r)
		return v, err
	})
	if err != nil {
		return part, err
	}
	for _, v := range list {
		if v.member {
			add(v.pageEnd)
		}
	}
	if len(list) == endedStep {
		part.next = after
		part.next.pageEnd = list[len(list)-1].pageEnd
		return part, nil
	}
	if kept.IsZero() {
		return part, nil
	}
	v, is, err := member(s.read.QueryRowContext(ctx,
		columns+`AND s.id = $4 AND s.started < $5 AND (s.started, s.id) < ($6, $7)`,
		account.Bytes(), generation, after.at, kept.Bytes(), since, after.ms, after.id()))
	if is {
		add(v)
	}
	_, err = found(err)
	return part, unavailable("session", err)
}

// namedSession reads a session's row, with its end if that is in it. It does not name the account, and joins none: a
// server that takes accounts to be small, or few, would read all of one, or all of them.
const namedSession = `SELECT s.id, s.account_id, (SELECT a.handle FROM accounts a WHERE a.id = s.account_id), ` +
	sessionRow + `s.ended_at, s.ended_reason, s.ended_by, s.ended_by_session, s.ended_by_label FROM sessions s WHERE s.id `

// sessionsNamed reads a few sessions of an account.
func (s *Store) sessionsNamed(
	ctx context.Context, account exeunt.AccountID, ids []exeunt.SessionID,
) (map[exeunt.SessionID]exeunt.Session, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var args []any
	var in strings.Builder
	for _, id := range ids {
		args = append(args, id.Bytes())
		fmt.Fprintf(&in, ", $%d", len(args))
	}
	list, err := s.querySessions(ctx, namedSession+`IN (`+in.String()[2:]+`)`, args...)
	out := make(map[exeunt.SessionID]exeunt.Session, len(list))
	for _, v := range list {
		if v.Account == account {
			out[v.ID] = v
		}
	}
	return out, err
}
