package store

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
)

// clientEnd is what WriteEnds has to do for one event that ended app sessions of a client: all of a registration, or
// those of people who may not use the client any more. Nobody waits for it: checks refuse them since the event, see Load.
type clientEnd struct {
	event   exeunt.Event
	after   exeunt.AccountID   // the last account looked at
	outside []exeunt.AccountID // of those, the ones to end something of
}

// writeOfClient continues with the round's first client.
func (s *Store) writeOfClient(ctx context.Context, r *togetherRound, now time.Time) error {
	of, write := &r.clients[0], s.writeNarrowed
	if of.event.Reason == exeunt.ReasonClientRemoved {
		write = s.writeRemoved
	}
	more, err := write(ctx, of, now)
	if err == nil && !more {
		r.clients = r.clients[1:]
	}
	return err
}

// writeRemoved writes the ends of app sessions of a client that was removed, and deletes what people had allowed it. The
// event has ended the app sessions; a session that an app had of its own ends with an event of its own. Codes and devices
// expire soon.
func (s *Store) writeRemoved(ctx context.Context, of *clientEnd, now time.Time) (more bool, err error) {
	e := &of.event
	rows, err := s.read.QueryContext(ctx, `SELECT `+appColumns+`, s.label, s.kind
		FROM app_sessions p JOIN sessions s ON s.account_id = p.account_id AND s.id = p.session_id
		WHERE p.client_id = $1 AND p.registration < $2 AND p.ended_at IS NULL LIMIT $3`, e.Client, e.Seq, endAtOnce)
	apps, err := collect(rows, err, "app sessions", scanAppUse)
	if err != nil {
		return false, err
	}
	if len(apps) > 0 {
		return true, s.commit(ctx, func(t *tx) error { return t.writeRemoved(e, apps, now) })
	}
	allowed, err := s.consentsBefore(ctx, e)
	if err != nil || len(allowed) == 0 {
		return false, err
	}
	return true, s.commit(ctx, func(t *tx) error {
		for _, account := range allowed {
			if _, err := t.exec(`DELETE FROM consents WHERE account_id = $1 AND client_id = $2 AND registration < $3`,
				account.Bytes(), e.Client, e.Seq); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) writeRemoved(e *exeunt.Event, apps []AppUse, now time.Time) error {
	var own []*ending
	for _, u := range apps {
		of := exeunt.Target{Account: u.Account, Scope: exeunt.ScopeSession, Session: u.Session, AppSession: u.ID}
		if err := t.endApp(newEnding(e.By, exeunt.Revocation{Target: of, Reason: e.Reason}, Change{}, e.At)); err != nil {
			return err
		}
		if of = u.Target(); of.AppSession.IsZero() {
			own = append(own, newEnding(e.By, exeunt.Revocation{Target: of, Reason: e.Reason}, Change{}, now))
		}
	}
	return t.end(own...)
}

func (s *Store) consentsBefore(ctx context.Context, e *exeunt.Event) ([]exeunt.AccountID, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT account_id FROM consents WHERE client_id = $1 AND registration < $2
		LIMIT $3`, e.Client, e.Seq, endAtOnce)
	return collect(rows, err, "consents", func(r rowScanner) (id exeunt.AccountID, err error) {
		return id, r.Scan(&id)
	})
}

// writeNarrowed ends what people have in a client who may not use it any more, with an event for each, from which the
// app is told. It looks at some accounts, or ends something of one.
func (s *Store) writeNarrowed(ctx context.Context, of *clientEnd, now time.Time) (more bool, err error) {
	e := &of.event
	if len(of.outside) == 0 {
		return s.lookForOutsiders(ctx, of)
	}
	account, left := of.outside[0], 0
	if err := s.commit(ctx, func(t *tx) error {
		// Looked up again: they may have been put into a group since.
		admitted, err := t.admits(e.Client, account)
		if left = endAtOnce; err != nil || admitted {
			return err
		}
		return t.endInClient(account, e.Client, &left, e.By, now)
	}); err != nil {
		return true, err
	}
	if left > 0 {
		of.outside = of.outside[1:]
	}
	return true, nil
}

// lookForOutsiders goes on to the next accounts that have something in a client.
func (s *Store) lookForOutsiders(ctx context.Context, of *clientEnd) (more bool, err error) {
	type user struct {
		account exeunt.AccountID
		groups  groupScan
	}
	after := of.after.Raw()
	rows, err := s.read.QueryContext(ctx, `SELECT p.account_id, (SELECT `+groupNames+` g WHERE g.account_id = p.account_id)
		FROM clients k CROSS JOIN app_sessions p WHERE k.id = $1 AND p.client_id = k.id AND p.registration = k.registration
		AND p.account_id > $2 AND p.ended_at IS NULL ORDER BY p.account_id LIMIT $3`,
		of.event.Client, after[:], maintenanceStep)
	list, err := collect(rows, err, "app sessions", func(r rowScanner) (u user, err error) {
		return u, r.Scan(&u.account, &u.groups)
	})
	if err != nil || len(list) == 0 {
		return false, err
	}
	c, err := s.Client(ctx, of.event.Client)
	if err != nil {
		return false, err
	}
	for _, u := range list {
		if u.account != of.after && !c.Admits(u.groups) {
			of.outside = append(of.outside, u.account)
		}
		of.after = u.account
	}
	return true, nil
}
