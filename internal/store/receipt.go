package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// Recorded is what is stored of an ending.
type Recorded struct {
	exeunt.Event
	Log string // the name of the log's history
	// Sessions are sessions that ended by it, with their app sessions: of an end of an app session its session, with
	// that one alone. Whole: they are all.
	Sessions []exeunt.Session
	Whole    bool
	// Told are deliveries to apps about its sessions. They have been recorded if ToldKnown: after that, what is
	// missing among them is not owed, or no longer stored.
	Told      []exeunt.Delivery
	ToldKnown bool
}

// Ending returns the event of an ending and the name of the log. ErrReceiptGone when the log has no ending of that
// number and time: it was deleted by the retention, or was lost with a database that was replaced by an older one.
func (s *Store) Ending(ctx context.Context, seq int64, when time.Time) (r Recorded, err error) {
	var history []byte
	row := s.read.QueryRowContext(ctx, `SELECT (SELECT history FROM log_head WHERE id = 1), ended, `+eventColumns+`
		FROM events WHERE seq = $1`, seq)
	var ended int64
	r.Event, err = scanEvent(prefixed{row, []any{&history, &ended}})
	r.Event.Ended, r.Log = ended, hex.EncodeToString(history)
	err = notFound("ending", err)
	if errors.Is(err, exeunt.ErrNotFound) || err == nil && (r.Kind != exeunt.EventEnded || !r.At.Equal(when)) {
		return Recorded{}, fmt.Errorf("ending %d: %w", seq, exeunt.ErrReceiptGone)
	}
	return r, err
}

// AddEnded adds what is stored of the sessions that ended, at most so many, and of whom that is told.
func (s *Store) AddEnded(ctx context.Context, r *Recorded, limit int) error {
	c, err := s.LogCursor(ctx) // before the deliveries are read
	if err != nil {
		return err
	}
	r.ToldKnown = c.Seq >= r.Seq
	switch {
	case r.Scope != exeunt.ScopeSession:
		err = s.addEndedTogether(ctx, r, limit)
	default:
		err = s.addEndedOne(ctx, r)
	}
	if err == nil && len(r.Sessions) > 0 {
		r.Told, err = s.deliveriesOf(ctx, r)
	}
	return err
}

func (s *Store) addEndedOne(ctx context.Context, r *Recorded) error {
	v, err := s.Session(ctx, r.Account, r.Session)
	if errors.Is(err, exeunt.ErrNotFound) {
		return nil // no longer stored
	}
	if err != nil {
		return err
	}
	r.Whole = true
	if !r.AppSession.IsZero() {
		app, err := s.AppSession(ctx, r.Account, r.AppSession)
		if errors.Is(err, exeunt.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		app.End = nil // it is what has ended
		v.Apps, v.AppCount = []exeunt.AppSession{app}, 1
	}
	r.Sessions = []exeunt.Session{v}
	return nil
}

func (s *Store) addEndedTogether(ctx context.Context, r *Recorded, limit int) error {
	place := endedPlace{at: ms(r.At), seq: r.Seq, among: true, pageEnd: pageEnd{ms: ms(r.At) + clocksDiffer}}
	var ids []exeunt.SessionID
	for read := 0; place.among && len(ids) < limit && read < accountStep; read += endedStep {
		part, err := s.endedByOne(ctx, r.Account, place)
		if err != nil {
			return err
		}
		ids, place = append(ids, part.ids...), part.next
	}
	ids = ids[:min(len(ids), limit)]
	named, err := s.sessionsNamed(ctx, r.Account, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if v, ok := named[id]; ok {
			r.Sessions = append(r.Sessions, v)
		}
	}
	r.Whole = int64(len(r.Sessions)) == r.Event.Ended
	return s.addApps(ctx, r.Sessions)
}

// maxDeliveriesOf bounds how many deliveries about several sessions are read.
const maxDeliveriesOf = 4 * maxDeliveries

// deliveriesOf returns whom the end of the sessions is told, by itself or with every session of the account.
func (s *Store) deliveriesOf(ctx context.Context, r *Recorded) ([]exeunt.Delivery, error) {
	args := []any{r.Account.Bytes(), ms(r.At), present(exeunt.SessionID{})}
	var in strings.Builder
	for _, v := range r.Sessions {
		args = append(args, v.ID.Bytes())
		fmt.Fprintf(&in, ", $%d", len(args))
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries
		WHERE account_id = $1 AND at >= $2 AND session_id IN ($3`+in.String()+`)
		ORDER BY client_id, session_id LIMIT `+fmt.Sprint(maxDeliveriesOf), args...)
	return collect(rows, err, "deliveries", scanDelivery)
}

// ReceiptKey is a public key that receipts were signed with.
type ReceiptKey struct {
	ID      string
	Key     []byte // a JSON Web Key
	Created time.Time
}

// KeepReceiptKey stores a public key, unless it is there. It is never deleted.
func (s *Store) KeepReceiptKey(ctx context.Context, k ReceiptKey) error {
	return s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO receipt_keys (id, key, created) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			k.ID, string(k.Key), ms(k.Created))
		return err
	})
}

// ReceiptKeys returns the public keys that receipts were signed with, newest first.
func (s *Store) ReceiptKeys(ctx context.Context) ([]ReceiptKey, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, key, created FROM receipt_keys ORDER BY created DESC, id`)
	return collect(rows, err, "receipt keys", func(r rowScanner) (k ReceiptKey, err error) {
		var created int64
		var text string
		err = r.Scan(&k.ID, &text, &created)
		k.Key, k.Created = []byte(text), at(created)
		return k, err
	})
}
