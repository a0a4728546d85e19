package store

import (
	"context"
	"net/netip"

	"github.com/exeunt/exeunt"
)

// Audit returns the account's audit entries, newest first: its events, and what is
// recorded beside them, which tells after which event that was.
func (s *Store) Audit(ctx context.Context, account exeunt.AccountID, limit int) ([]exeunt.AuditEntry, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT at, account_id, action, session_id, by_kind, by_account, by_session, by_label, by_address, detail FROM (
		SELECT * FROM (SELECT seq, id, at, account_id, action, session_id, by_kind, by_account, by_session, by_label, by_address, detail
			FROM audit WHERE account_id = $1 ORDER BY at DESC, id DESC LIMIT $2) AS others
		UNION ALL
		SELECT * FROM (SELECT seq, 0, at, account_id, CASE kind WHEN 'ended' THEN 'end' ELSE 'profile_change' END, session_id,
			by_kind, by_account, by_session, by_label, by_address, CASE kind WHEN 'ended' THEN scope || ' ' || reason ELSE reason END
			FROM events WHERE account_id = $1 ORDER BY at DESC, seq DESC LIMIT $2) AS logged
		) AS entries ORDER BY at DESC, seq DESC, id DESC LIMIT $2`, account.Bytes(), limit)
	return collect(rows, err, "audit", func(r rowScanner) (e exeunt.AuditEntry, err error) {
		var when int64
		var address string
		err = r.Scan(&when, &e.Account, &e.Action, &e.Session, &e.By.Kind, &e.By.Account, &e.By.Session, &e.By.Label, &address, &e.Detail)
		e.At = at(when)
		e.By.Address, _ = netip.ParseAddr(address) // "" is the zero address
		return e, err
	})
}

// Events returns the events after a number, in order.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]exeunt.Event, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+eventColumns+` FROM events WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	return collect(rows, err, "events", scanEvent)
}

const eventColumns = `seq, at, kind, account_id, scope, session_id, app_session_id, client_id, generation, version, reason,
	by_kind, by_account, by_session, by_label`

// eventValues are an event's values of eventColumns.
func eventValues(e *exeunt.Event) []any {
	return []any{e.Seq, ms(e.At), e.Kind, e.Account.Bytes(), e.Scope, e.Session.Bytes(), e.AppSession.Bytes(), e.Client, e.Generation, e.Version,
		e.Reason, e.By.Kind, e.By.Account.Bytes(), e.By.Session.Bytes(), e.By.Label}
}

func scanEvent(r rowScanner) (e exeunt.Event, err error) {
	var when int64
	err = r.Scan(&e.Seq, &when, &e.Kind, &e.Account, &e.Scope, &e.Session, &e.AppSession, &e.Client, &e.Generation, &e.Version,
		&e.Reason, &e.By.Kind, &e.By.Account, &e.By.Session, &e.By.Label)
	e.At = at(when)
	return e, err
}
