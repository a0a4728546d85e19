package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a message.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// Tolerance is how far the time of sending may be from now, either way. An older message may be a repeated one.
const Tolerance = 5 * time.Minute

// MaxBody is how many bytes a body has at most. Whoever reads one need read no more.
const MaxBody = 16 << 10

// Errors of Verify. A message with one must not be acted on; answer it with 400.
var (
	ErrHeaders   = errors.New("the message lacks a header, or has an invalid one")
	ErrTimestamp = errors.New("the message was sent too long ago, or in the future")
	ErrSignature = errors.New("no signature of the message is by this secret")
	ErrBody      = errors.New("the message's body is no event")
)

// Message is a message whose signature was verified.
type Message struct {
	// ID is the same each time the message is sent. Whoever has acted on it answers 2xx and does nothing more.
	ID   string
	Sent time.Time // this time, to the second
	Event
}

// Verify returns the message of a request, whose body is exactly as it was received. now is the present time. The error
// wraps ErrHeaders, ErrTimestamp, ErrSignature, ErrBody or, for a zero secret, ErrSecret.
func Verify(h http.Header, body []byte, secret Secret, now time.Time) (Message, error) {
	m := Message{ID: h.Get(HeaderID)}
	seconds, err := strconv.ParseInt(h.Get(HeaderTimestamp), 10, 64)
	if m.ID == "" || err != nil || h.Get(HeaderSignature) == "" {
		return Message{}, fmt.Errorf("%w: %s, %s and %s are needed", ErrHeaders, HeaderID, HeaderTimestamp, HeaderSignature)
	}
	m.Sent = time.Unix(seconds, 0)
	if m.Sent.Before(now.Add(-Tolerance)) || m.Sent.After(now.Add(Tolerance)) {
		return Message{}, fmt.Errorf("%w: at %s", ErrTimestamp, m.Sent.UTC().Format(time.RFC3339))
	}
	if secret.IsZero() {
		return Message{}, ErrSecret
	}
	want := sum(m.ID, m.Sent, body, secret)
	for _, one := range strings.Fields(h.Get(HeaderSignature)) {
		version, encoded, _ := strings.Cut(one, ",")
		got, err := base64.StdEncoding.DecodeString(encoded)
		if version != "v1" || err != nil || !hmac.Equal(got, want) {
			continue
		}
		if err := json.Unmarshal(body, &m.Event); err != nil || m.Type == "" {
			return Message{}, ErrBody
		}
		return m, nil
	}
	return Message{}, ErrSignature
}

// Sign returns the signature of a message that is sent at a time, for HeaderSignature. Those by several secrets stand in
// it with spaces between. It panics if the secret is the zero Secret.
func Sign(id string, sent time.Time, body []byte, secret Secret) string {
	return "v1," + base64.StdEncoding.EncodeToString(sum(id, sent, body, secret))
}

func sum(id string, sent time.Time, body []byte, secret Secret) []byte {
	mac := hmac.New(sha256.New, []byte(*secret.key))
	fmt.Fprintf(mac, "%s.%d.", id, sent.Unix())
	mac.Write(body)
	return mac.Sum(nil)
}
