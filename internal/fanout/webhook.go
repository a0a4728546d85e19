package fanout

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client/webhook"
)

const (
	// goneFor is for how long a webhook is left alone that has answered 410.
	goneFor = time.Hour
	// tidyEvery is how often the pending messages of a webhook are counted, so that they do not become too many.
	tidyEvery = time.Minute
)

// notConfigured is the error of messages to a webhook that no node has known for as long as they were to be tried.
const notConfigured = "not_configured"

func (s *Service) sendMessages(ctx context.Context) {
	var sending sync.WaitGroup
	defer sending.Wait()
	tidied := map[exeunt.WebhookName]time.Time{}
	failures := 0
	for {
		wait, err := s.messageRound(ctx, &sending, tidied)
		if failures++; err == nil {
			failures = 0
		} else if wait = min(backoff(failures), longPause); ctx.Err() == nil {
			s.logged("look for messages to webhooks", err)
		}
		select {
		case <-s.wakeHooks:
		case <-s.Store.MessageQueued():
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// messageRound begins the attempts that are due and have a place. It returns how long to wait for the next round.
func (s *Service) messageRound(
	ctx context.Context, sending *sync.WaitGroup, tidied map[exeunt.WebhookName]time.Time,
) (wait time.Duration, err error) {
	now, wait := s.Now(), lookEvery
	later := func(at time.Time) { wait = max(min(wait, at.Sub(now)), shortestWait) }
	owing, err := s.Store.OwingWebhooks(ctx)
	if err != nil {
		return wait, err
	}
	for _, o := range owing {
		w := s.webhook(o.Webhook)
		if last, is := tidied[o.Webhook]; !is || !now.Before(last.Add(tidyEvery)) {
			tidied[o.Webhook] = now
			if err := s.tidyMessages(ctx, o.Webhook, w != nil, now); err != nil {
				return wait, err
			}
		}
		if w == nil { // another node may know it
			continue
		}
		if o.Due.After(now) {
			later(o.Due)
			continue
		}
		begun, next, err := s.beginMessages(ctx, sending, w, now)
		switch {
		case err != nil:
			return wait, err
		case begun:
			wait = shortestWait // there may be more than one round takes
		case !next.IsZero():
			later(next)
		}
	}
	return wait, nil
}

// beginMessages begins attempts to one webhook. If it may have none now, next is when to ask again, or zero when an
// attempt that ends wakes the sender.
func (s *Service) beginMessages(
	ctx context.Context, sending *sync.WaitGroup, w *Webhook, now time.Time,
) (begun bool, next time.Time, err error) {
	free, next := s.toWebhooks.begin(w.Name, perClient, now)
	if free == 0 {
		return false, next, nil
	}
	list, err := s.Store.DueMessages(ctx, w.Name, now, free)
	var claimed []exeunt.Message
	if err == nil && len(list) > 0 {
		claimed, err = s.Store.ClaimMessages(ctx, list, now)
	}
	s.toWebhooks.giveBack(w.Name, free-len(claimed))
	for _, m := range claimed {
		sending.Go(func() { s.attemptMessage(ctx, w, m) })
	}
	return len(list) > 0, time.Time{}, err
}

// tidyMessages gives up what has been pending for too long to a webhook that cannot be reached, and what is too much.
func (s *Service) tidyMessages(ctx context.Context, name exeunt.WebhookName, known bool, now time.Time) error {
	var err error
	switch {
	case !known:
		err = s.Store.GiveUpOldMessages(ctx, name, notConfigured, now)
	case s.toWebhooks.isOpen(name):
		err = s.Store.GiveUpOldMessages(ctx, name, "unreachable", now)
	}
	if err != nil {
		return err
	}
	many := 0
	for ctx.Err() == nil {
		n, err := s.Store.GiveUpManyMessages(ctx, name, s.mostMessages, now)
		if many += n; err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	if many > 0 {
		s.Log.Warn("too many messages to a webhook are pending; the oldest were given up", "webhook", name, "given_up", many)
	}
	return nil
}

func (s *Service) webhook(name exeunt.WebhookName) *Webhook {
	i := slices.IndexFunc(s.Webhooks, func(w Webhook) bool { return w.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Webhooks[i]
}

// attemptMessage makes a claimed attempt and records what came of it.
func (s *Service) attemptMessage(ctx context.Context, w *Webhook, m exeunt.Message) {
	a, made := answer{err: "late"}, false
	// Otherwise the lease would be over before the request.
	if !s.Now().Add(postTimeout).After(m.Due) {
		a, _ = s.postMessage(ctx, w, m.ID, m.Body, 0)
		if made = a.confirmed || ctx.Err() == nil; !made {
			a = answer{err: "stopped"}
		}
	}
	now := s.Now()
	if made {
		s.noteAnswer(w.Name, a, now)
	} else {
		s.toWebhooks.giveBack(w.Name, 1)
	}
	// A crash before the commit: the attempt is made again once its lease is over, with the same ID.
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	var err error
	switch {
	case a.confirmed:
		err = s.Store.ConfirmMessage(record, m)
	case made && !now.Before(m.GiveUp):
		err = s.Store.FailMessage(record, m, a.err, true, now)
	default:
		if m.Due = now.Add(max(a.after, backoff(int(min(m.Attempts, 1000))))); ctx.Err() != nil {
			m.Due = now // this node stops, another may go on
		}
		err = s.Store.FailMessage(record, m, a.err, false, now)
	}
	if err != nil {
		s.logged("record that a webhook was told", err)
	}
	s.wakeMessenger()
}

func (s *Service) wakeMessenger() {
	select {
	case s.wakeHooks <- struct{}{}:
	default:
	}
}

// noteAnswer notes what came of an attempt, and logs one line when the webhook cannot be reached any more, and one when
// it can again.
func (s *Service) noteAnswer(name exeunt.WebhookName, a answer, now time.Time) {
	is := s.toWebhooks.end(name, a, now)
	switch {
	case a.gone():
		s.Log.Warn("a webhook answers that it is gone (410): it is left alone for an hour; if it is, remove it from the "+
			"configuration file", "webhook", name)
	case is.opened:
		s.Log.Info("a webhook cannot be reached; trying now and then", "webhook", name, "err", a.err)
	case is.closed:
		s.Log.Info("a webhook can be reached again", "webhook", name)
	}
}

const goneError = "http_410"

func (a answer) gone() bool { return a.err == goneError }

// postMessage sends a message, signed anew, and returns what that means. Of the answer's body it reads keep bytes.
func (s *Service) postMessage(
	ctx context.Context, w *Webhook, id exeunt.MessageID, body []byte, keep int64,
) (a answer, said Said) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return answer{err: "address"}, said
	}
	now := s.Now()
	var signatures []string
	for _, secret := range w.Secrets {
		signatures = append(signatures, webhook.Sign(string(id), now, body, secret))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Exeunt")
	req.Header.Set(webhook.HeaderID, string(id))
	req.Header.Set(webhook.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(webhook.HeaderSignature, strings.Join(signatures, " "))
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{err: classOf(err)}, said
	}
	defer resp.Body.Close()
	if keep > 0 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, keep)) // as far as it came
		said.Body = string(text)
	}
	said.Status = resp.StatusCode
	return meaning(resp, now), said
}

// meaning is what an answer of a webhook means. Redirects are not followed, and are no success.
func meaning(resp *http.Response, now time.Time) (a answer) {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return answer{confirmed: true}
	}
	a.err = fmt.Sprintf("http_%d", code)
	switch code {
	case http.StatusGone:
		a.after = goneFor
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		a.after = min(retryAfter(resp.Header.Get("Retry-After"), now), longestAfter)
	}
	return a
}

// retryAfter reads a number of seconds or a date (RFC 9110 section 10.2.3); anything else is 0.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(n, 0), int(longestAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// Said is what a webhook has answered to a test.
type Said struct {
	Status int           // 0: it did not answer
	Error  string        // a word for what went wrong; "" if it was well
	Body   string        // its beginning
	Took   time.Duration // for all of it
}

// saidLength is how many bytes of an answer to a test are shown.
const saidLength = 512

// Test sends a ping to a webhook, once, and returns what it answered. It returns ErrNotFound if there is no such webhook.
func (s *Service) Test(ctx context.Context, name exeunt.WebhookName) (Said, error) {
	w := s.webhook(name)
	if w == nil {
		return Said{}, fmt.Errorf("webhook %s: %w", name, exeunt.ErrNotFound)
	}
	began := time.Now()
	body, err := json.Marshal(webhook.Event{Type: webhook.Ping, Timestamp: s.Now().UTC()})
	if err != nil {
		return Said{}, err
	}
	a, said := s.postMessage(ctx, w, exeunt.MessageID("msg_"+rand.Text()), body, saidLength)
	said.Error, said.Took = a.err, time.Since(began)
	return said, nil
}

// WebhookState says how it stands with a webhook.
type WebhookState struct {
	exeunt.Webhook // no more than the name, if this node does not know it
	exeunt.MessageTotals
	Known bool // it is in this node's configuration file
	// Open: this node has failed to reach it so often that it only tries now and then.
	Open bool
}

// States says how it stands with each webhook, those first that are configured.
func (s *Service) States(ctx context.Context) (out []WebhookState, err error) {
	totals, err := s.Store.MessageTotals(ctx)
	for _, w := range s.Webhooks {
		v := WebhookState{Webhook: w.Webhook, Known: true, Open: s.toWebhooks.isOpen(w.Name)}
		for _, t := range totals {
			if t.Webhook == w.Name {
				v.MessageTotals = t
			}
		}
		out = append(out, v)
	}
	for _, t := range totals {
		if s.webhook(t.Webhook) == nil {
			out = append(out, WebhookState{Webhook: exeunt.Webhook{Name: t.Webhook}, MessageTotals: t})
		}
	}
	return out, err
}
