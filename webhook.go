package exeunt

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// WebhookName names a webhook of the configuration file.
type WebhookName string

// MessageType says what a message to a webhook tells of.
type MessageType string

// The types that a webhook may want. Their texts are those of client/webhook.
const (
	// MessageStarted: a session started.
	MessageStarted MessageType = "session.started"
	// MessageEnded: sessions ended, however many, by one event of the log.
	MessageEnded MessageType = "session.ended"
	// MessageSecured: somebody else may have used the account, and it was secured.
	MessageSecured MessageType = "account.secured"
)

// MessageTypes are all that a webhook may want.
var MessageTypes = []MessageType{MessageStarted, MessageEnded, MessageSecured}

// MaxWebhooks is how many there may be: each has places of its own for its attempts.
const MaxWebhooks = 8

// Webhook is an address that is told of what happens, by the specification Standard Webhooks.
type Webhook struct {
	Name   WebhookName
	URL    string
	Events []MessageType
}

// Validate returns an error for the first invalid setting.
func (w *Webhook) Validate() error {
	if !clientShape.MatchString(string(w.Name)) {
		return fmt.Errorf("webhook: invalid name %q: use a letter, then up to 39 of a-z, 0-9 and -", w.Name)
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("webhook %s: %s", w.Name, fmt.Sprintf(format, args...))
	}
	if u, err := url.Parse(w.URL); err != nil || !webAddress(u, w.URL) {
		return fail("invalid url: use http or https, without user and fragment, and up to %d bytes", maxAddress)
	}
	var all []string
	for _, t := range MessageTypes {
		all = append(all, string(t))
	}
	if len(w.Events) == 0 {
		return fail("events is not set: name some of %s", strings.Join(all, ", "))
	}
	for i, t := range w.Events {
		switch {
		case !slices.Contains(MessageTypes, t):
			return fail("unknown event %q: use %s", t, strings.Join(all, ", "))
		case slices.Contains(w.Events[:i], t):
			return fail("event %q is named twice", t)
		}
	}
	return nil
}

// Wants reports whether the webhook is told of that.
func (w *Webhook) Wants(t MessageType) bool { return slices.Contains(w.Events, t) }

// MessageID identifies a message, also to the webhook. The same message to several webhooks has the same.
type MessageID string

// Message is what one webhook is told, once. It is stored until it is confirmed, and for a while if it was given up.
type Message struct {
	Webhook  WebhookName
	ID       MessageID
	Account  AccountID
	Body     []byte    // the same for each attempt
	Attempts int64     // that have begun
	Due      time.Time // when it is tried next; while it is being tried, when another node may
	GiveUp   time.Time // after which it is not tried again
}

// MessageTotals say how it stands with the messages to a webhook.
type MessageTotals struct {
	Webhook WebhookName
	Pending Total
	Since   time.Time // since when the oldest of them is pending; zero if none is
	Error   string    // what that one met last
	GaveUp  Total     // in the last days
}
