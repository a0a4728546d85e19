package store

import (
	"context"
	"fmt"
	"math"
	"net/netip"

	"github.com/exeunt/exeunt"
)

// Audit returns a page of the account's audit entries: its events, and the rows of audit, which say after which
// event they were recorded.
func (s *Store) Audit(ctx context.Context, f exeunt.AuditFilter) (p exeunt.Page[exeunt.AuditEntry], err error) {
	if f.Only == nil {
		return s.auditPage(ctx, f)
	}
	limit, step := exeunt.PageSize(f.Limit), f
	step.Limit = exeunt.MaxPage
	p.Next = f.After
	for read := 0; read < accountStep; read += step.Limit {
		step.After = p.Next
		list, places, err := s.auditStep(ctx, step)
		if err != nil {
			return exeunt.Page[exeunt.AuditEntry]{}, err
		}
		for i, e := range list {
			if !f.Only(e) {
				continue
			}
			if p.Items = append(p.Items, e); len(p.Items) == limit {
				p.Next = places[i]
				return p, nil
			}
		}
		if len(list) < step.Limit {
			p.Next = ""
			return p, nil
		}
		p.Next = places[len(places)-1]
	}
	return p, nil
}

func (s *Store) auditPage(ctx context.Context, f exeunt.AuditFilter) (p exeunt.Page[exeunt.AuditEntry], err error) {
	list, places, err := s.auditStep(ctx, f)
	p.Items = list
	if n := len(places); n == exeunt.PageSize(f.Limit) {
		p.Next = places[n-1]
	}
	return p, err
}

// auditStep returns the next entries, and the place after each. The place is compared in a way that no index can be
// used for besides the account's: with few accounts, one engine would look for it in the whole table.
func (s *Store) auditStep(
	ctx context.Context, f exeunt.AuditFilter,
) (list []exeunt.AuditEntry, places []exeunt.Cursor, err error) {
	limit, when, seq, id := exeunt.PageSize(f.Limit), int64(math.MaxInt64), int64(0), int64(0)
	if f.After != "" {
		if _, err := fmt.Sscanf(string(f.After), "%d.%d.%d", &when, &seq, &id); err != nil {
			return nil, nil, badCursor(f.After)
		}
	}
	rows, err := s.read.QueryContext(ctx, `SELECT at, account_id, action, session_id, by_kind, by_account, by_session,
		by_label, by_address, detail, seq, id, client_id, COALESCE((SELECT s.label FROM sessions s
			WHERE s.account_id = $1 AND s.id = entries.session_id), '') FROM (
		SELECT * FROM (SELECT seq, id, at, account_id, action, session_id, by_kind, by_account, by_session, by_label,
			by_address, detail, '' AS client_id FROM audit WHERE account_id = $1 AND at <= $3 AND NOT (at = $3 AND (seq, id) >= ($4, $5))
			ORDER BY at DESC, seq DESC, id DESC LIMIT $2) AS others
		UNION ALL
		SELECT * FROM (SELECT seq, 0, at, account_id,
			CASE kind WHEN 'ended' THEN 'end' WHEN 'renewed' THEN 'token_renewed'
				WHEN 'groups_changed' THEN 'groups_change' WHEN 'profile_changed' THEN 'profile_change' ELSE kind END, session_id, by_kind, by_account,
			by_session, by_label, by_address, CASE kind WHEN 'ended' THEN scope || ' ' || reason ELSE reason END, client_id
			FROM events WHERE account_id = $1 AND at <= $3 AND NOT (at = $3 AND (seq, 0) >= ($4, $5))
			ORDER BY at DESC, seq DESC LIMIT $2) AS logged
		) AS entries ORDER BY at DESC, seq DESC, id DESC LIMIT $2`, f.Account.Bytes(), limit, when, seq, id)
	list, err = collect(rows, err, "audit", func(r rowScanner) (e exeunt.AuditEntry, err error) {
		var address string
		err = r.Scan(&when, &e.Account, &e.Action, &e.Session, &e.By.Kind, &e.By.Account, &e.By.Session, &e.By.Label,
			&address, &e.Detail, &seq, &id, &e.Client, &e.Label)
		e.At = at(when)
		e.By.Address, _ = netip.ParseAddr(address) // "" is the zero address
		places = append(places, exeunt.Cursor(fmt.Sprintf("%d.%d.%d", when, seq, id)))
		return e, err
	})
	return list, places, err
}

// maxCounted is up to how many audit entries of an account are counted.
const maxCounted = 10_000

// CountAudit returns how many entries there are on all pages together, or at least that many.
func (s *Store) CountAudit(ctx context.Context, f exeunt.AuditFilter) (n exeunt.Total, err error) {
	err = s.read.QueryRowContext(ctx, fmt.Sprintf(`SELECT
		(SELECT count(*) FROM (SELECT 1 FROM audit WHERE account_id = $1 LIMIT %d) AS others) +
		(SELECT count(*) FROM (SELECT 1 FROM events WHERE account_id = $1 LIMIT %[1]d) AS logged)`, maxCounted+1),
		f.Account.Bytes()).Scan(&n.Count)
	if n.Count > maxCounted {
		n = exeunt.Total{Count: maxCounted, AtLeast: true}
	}
	return n, unavailable("number of audit entries", err)
}

// Events returns the events after a number, in order.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]exeunt.Event, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+eventColumns+` FROM events WHERE seq > $1 ORDER BY seq LIMIT $2`,
		after, limit)
	return collect(rows, err, "events", scanEvent)
}

const eventColumns = `seq, at, kind, account_id, scope, session_id, app_session_id, client_id, generation, version,
	reason, by_kind, by_account, by_session, by_app, by_label`

// eventValues returns an event's values of eventColumns.
func eventValues(e *exeunt.Event) []any {
	return []any{e.Seq, ms(e.At), e.Kind, e.Account.Bytes(), e.Scope, e.Session.Bytes(), e.AppSession.Bytes(), e.Client,
		e.Generation, e.Version, e.Reason, e.By.Kind, e.By.Account.Bytes(), e.By.Session.Bytes(), e.By.App.Bytes(),
		e.By.Label}
}

func scanEvent(r rowScanner) (e exeunt.Event, err error) {
	var when int64
	err = r.Scan(&e.Seq, &when, &e.Kind, &e.Account, &e.Scope, &e.Session, &e.AppSession, &e.Client, &e.Generation,
		&e.Version, &e.Reason, &e.By.Kind, &e.By.Account, &e.By.Session, &e.By.App, &e.By.Label)
	e.At = at(when)
	return e, err
}

// AddAudit records an audit entry by itself, unless its account has been deleted meanwhile.
func (s *Store) AddAudit(ctx context.Context, e exeunt.AuditEntry) error {
	return s.commit(ctx, func(t *tx) error {
		var there bool
		err := t.row(`SELECT EXISTS (SELECT 1 FROM accounts WHERE id = $1 AND status <> 'deleted')`, e.Account.Bytes()).
			Scan(&there)
		if err != nil || !there {
			return err
		}
		return t.audit(e)
	})
}
