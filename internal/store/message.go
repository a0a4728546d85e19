package store

import (
	"context"
	"fmt"
	"time"

	"github.com/exeunt/exeunt"
)

const (
	// MessagesKept is for how long a message to a webhook that was given up is counted.
	MessagesKept = 7 * 24 * time.Hour
	// MaxPendingMessages is how many messages to a webhook are pending: beyond it the oldest are given up.
	MaxPendingMessages = 100_000
)

// messageDisplaced is the error of a message that gave way to newer ones.
const messageDisplaced = "too_many"

var messageRows = forMany(`INSERT INTO messages (webhook, id, account_id, body, attempts, due, give_up, error, finished)
	VALUES `, `(?, ?, ?, ?, 0, ?, ?, '', NULL)`, ` ON CONFLICT (webhook, id) DO NOTHING`)

// addMessages records what webhooks are to be told, in the present transaction.
func (t *tx) addMessages(list []exeunt.Message, now time.Time) error {
	t.messaged = t.messaged || len(list) > 0
	return messageRows.exec(t, len(list), func(to []any, row int) []any {
		m := &list[row]
		return append(to, m.Webhook, m.ID, m.Account.Bytes(), m.Body, ms(now), ms(now.Add(GiveUpAfter)))
	})
}

// tellWebhooks records what webhooks are told of a session that has started. client is whose it is, if it is the session
// of an app on a person's device.
func (t *tx) tellWebhooks(v *exeunt.Session, client exeunt.ClientID) error {
	if t.started == nil {
		return nil
	}
	return t.addMessages(t.started(v, client), v.Started)
}

// MessageQueued receives after this node has recorded messages to webhooks.
func (s *Store) MessageQueued() <-chan struct{} { return s.messaged }

func (s *Store) wakeMessenger() {
	select {
	case s.messaged <- struct{}{}:
	default:
	}
}

const messageColumns = `webhook, id, account_id, body, attempts, due, give_up`

func scanMessage(r rowScanner) (m exeunt.Message, err error) {
	var due, giveUp int64
	err = r.Scan(&m.Webhook, &m.ID, &m.Account, &m.Body, &m.Attempts, &due, &giveUp)
	m.Due, m.GiveUp = at(due), at(giveUp)
	return m, err
}

// OwingWebhook is a webhook with pending messages.
type OwingWebhook struct {
	Webhook exeunt.WebhookName
	Due     time.Time // when the first of them is
}

// OwingWebhooks returns the webhooks with pending messages. It reads one entry of an index for each.
func (s *Store) OwingWebhooks(ctx context.Context) ([]OwingWebhook, error) {
	rows, err := s.read.QueryContext(ctx, `WITH RECURSIVE w (name) AS (
		SELECT min(webhook) FROM messages WHERE finished IS NULL UNION ALL
		SELECT (SELECT min(m.webhook) FROM messages m WHERE m.finished IS NULL AND m.webhook > w.name)
			FROM w WHERE w.name IS NOT NULL)
		SELECT w.name, COALESCE((SELECT min(m.due) FROM messages m WHERE m.webhook = w.name AND m.finished IS NULL), 0)
			FROM w WHERE w.name IS NOT NULL`)
	return collect(rows, err, "webhooks", func(r rowScanner) (o OwingWebhook, err error) {
		var due int64
		err = r.Scan(&o.Webhook, &due)
		o.Due = at(due)
		return o, err
	})
}

// DueMessages returns a webhook's pending messages that are due, the longest first.
func (s *Store) DueMessages(
	ctx context.Context, webhook exeunt.WebhookName, now time.Time, limit int,
) ([]exeunt.Message, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+messageColumns+` FROM messages
		WHERE webhook = $1 AND finished IS NULL AND due <= $2 ORDER BY due LIMIT $3`, webhook, ms(now), limit)
	return collect(rows, err, "messages", scanMessage)
}

// ClaimMessages begins an attempt of each that is still as given, so that no other node makes one meanwhile, and returns
// those. The list is short.
func (s *Store) ClaimMessages(
	ctx context.Context, list []exeunt.Message, now time.Time,
) (claimed []exeunt.Message, err error) {
	until := now.Add(AttemptLease)
	return committed(ctx, s, func(t *tx) (claimed []exeunt.Message, err error) {
		for _, m := range list {
			n, err := t.exec(`UPDATE messages SET due = $1, attempts = attempts + 1 WHERE webhook = $2 AND id = $3
				AND attempts = $4 AND due + 0 = $5 AND finished IS NULL`, ms(until), m.Webhook, m.ID, m.Attempts, ms(m.Due))
			if err != nil {
				return nil, err
			}
			if n == 1 {
				m.Due, m.Attempts = until, m.Attempts+1
				claimed = append(claimed, m)
			}
		}
		return claimed, nil
	})
}

// ConfirmMessage deletes a message that was delivered, by whichever attempt, also if it was just given up.
func (s *Store) ConfirmMessage(ctx context.Context, m exeunt.Message) error {
	return s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM messages WHERE webhook = $1 AND id = $2`, m.Webhook, m.ID)
		return err
	})
}

// FailMessage records what a claimed attempt has met. The message has the new due time; over: it is not tried again.
func (s *Store) FailMessage(ctx context.Context, m exeunt.Message, why string, over bool, now time.Time) error {
	return s.commit(ctx, func(t *tx) error {
		if over {
			_, err := t.exec(giveUpMessage+` AND attempts = $5`, ms(now), why, m.Webhook, m.ID, m.Attempts)
			return err
		}
		_, err := t.exec(`UPDATE messages SET error = $1, due = $2 WHERE webhook = $3 AND id = $4 AND attempts = $5
			AND finished IS NULL`, why, ms(m.Due), m.Webhook, m.ID, m.Attempts)
		return err
	})
}

// giveUpMessage leaves no body: nobody reads it any more.
const giveUpMessage = `UPDATE messages SET finished = $1, error = $2, body = '' WHERE webhook = $3 AND id = $4
	AND finished IS NULL`

// GiveUpOldMessages gives up a bounded number of the webhook's messages that have been pending for too long.
func (s *Store) GiveUpOldMessages(ctx context.Context, webhook exeunt.WebhookName, why string, now time.Time) error {
	_, err := s.giveUpMessages(ctx, why, now, `SELECT id FROM messages WHERE webhook = $1 AND finished IS NULL
		AND give_up <= $2 AND due <= $2 ORDER BY give_up LIMIT $3`, webhook, ms(now), maintenanceStep)
	return err
}

// GiveUpManyMessages gives up a bounded number of the webhook's oldest messages beyond the most that may be pending, and
// returns how many.
func (s *Store) GiveUpManyMessages(
	ctx context.Context, webhook exeunt.WebhookName, most int, now time.Time,
) (int, error) {
	return s.giveUpMessages(ctx, messageDisplaced, now, `SELECT id FROM messages WHERE webhook = $1 AND finished IS NULL
		ORDER BY give_up DESC LIMIT $3 OFFSET $2`, webhook, most, maintenanceStep)
}

func (s *Store) giveUpMessages(
	ctx context.Context, why string, now time.Time, which string, webhook exeunt.WebhookName, args ...any,
) (int, error) {
	rows, err := s.read.QueryContext(ctx, which, append([]any{webhook}, args...)...)
	list, err := collect(rows, err, "messages", func(r rowScanner) (id exeunt.MessageID, err error) {
		return id, r.Scan(&id)
	})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return len(list), s.commit(ctx, func(t *tx) error {
		for _, id := range list {
			if _, err := t.exec(giveUpMessage, ms(now), why, webhook, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// MessageTotals says how it stands with the messages to each webhook that has any which are pending or were given up.
func (s *Store) MessageTotals(ctx context.Context) (out []exeunt.MessageTotals, err error) {
	rows, err := s.read.QueryContext(ctx, `WITH RECURSIVE w (name) AS (SELECT min(webhook) FROM messages UNION ALL
		SELECT (SELECT min(m.webhook) FROM messages m WHERE m.webhook > w.name) FROM w WHERE w.name IS NOT NULL)
		SELECT w.name FROM w WHERE w.name IS NOT NULL`)
	names, err := collect(rows, err, "webhooks", func(r rowScanner) (n exeunt.WebhookName, err error) { return n, r.Scan(&n) })
	for _, name := range names {
		v, giveUp := exeunt.MessageTotals{Webhook: name}, int64(0)
		pending, err := found(s.read.QueryRowContext(ctx, `SELECT give_up, error FROM messages
			WHERE webhook = $1 AND finished IS NULL ORDER BY give_up LIMIT 1`, name).Scan(&giveUp, &v.Error))
		if err != nil {
			return out, unavailable("messages", err)
		}
		if pending {
			v.Since = at(giveUp).Add(-GiveUpAfter)
		}
		for _, of := range []struct {
			which string
			to    *exeunt.Total
		}{{"IS NULL", &v.Pending}, {"IS NOT NULL", &v.GaveUp}} {
			if err := s.read.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*) FROM (SELECT 1 FROM messages
				WHERE webhook = $1 AND finished %s LIMIT %d) AS counted`, of.which, maxCounted+1), name).
				Scan(&of.to.Count); err != nil {
				return out, unavailable("messages", err)
			}
			if of.to.Count > maxCounted {
				*of.to = exeunt.Total{Count: maxCounted, AtLeast: true}
			}
		}
		out = append(out, v)
	}
	return out, err
}
