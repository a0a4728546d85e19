package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The example of the specification's own libraries.
const (
	theirSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	theirID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	theirBody      = `{"test": 2432232314}`
	theirSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var theirTime = time.Unix(1614265330, 0)

func parse(t testing.TB, text string) Secret {
	t.Helper()
	s, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSignatureOfTheSpecification(t *testing.T) {
	if got := Sign(theirID, theirTime, []byte(theirBody), parse(t, theirSecret)); got != theirSignature {
		t.Errorf("it is %s, want %s", got, theirSignature)
	}
}

const (
	body     = `{"type":"session.ended","timestamp":"2026-11-30T17:00:00.123Z","data":{"account_id":"acc_1","session_id":"ses_1","scope":"session","reason":"signed_out","by":"person","more":1}}`
	newer    = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	stranger = "whsec_//////////////////////////////////////////8="
)

var now = time.Unix(1_800_000_000, 0)

// signed are the headers of the body.
func signed(id string, sent time.Time, body string, secrets ...Secret) http.Header {
	var all []string
	for _, s := range secrets {
		all = append(all, Sign(id, sent, []byte(body), s))
	}
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", strconv.FormatInt(sent.Unix(), 10))
	h.Set("webhook-signature", strings.Join(all, " "))
	return h
}

func TestVerify(t *testing.T) {
	old, next := parse(t, theirSecret), parse(t, newer)
	want := Message{ID: "msg_1", Sent: now, Event: Event{Type: SessionEnded,
		Timestamp: time.Date(2026, 11, 30, 17, 0, 0, 123e6, time.UTC),
		Data:      Data{Account: "acc_1", Session: "ses_1", Scope: ScopeSession, Reason: "signed_out", By: "person"}}}
	for what, c := range map[string]struct {
		secret Secret
		by     []Secret
	}{"one secret": {old, []Secret{old}}, "the newer of two": {next, []Secret{next, old}}, "the older of two": {old, []Secret{next, old}}} {
		if got, err := Verify(signed("msg_1", now, body, c.by...), []byte(body), c.secret, now); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	if _, err := Verify(signed("msg_1", now, body, next, old), []byte(body), parse(t, stranger), now); !errors.Is(err, ErrSignature) {
		t.Errorf("a stranger's secret: %v", err)
	}
	if _, err := Verify(signed("msg_1", now, body, old), []byte(body), Secret{}, now); !errors.Is(err, ErrSecret) {
		t.Errorf("without a secret: %v", err)
	}
	for passed, want := range map[time.Duration]error{-Tolerance - time.Second: ErrTimestamp, -Tolerance: nil, Tolerance: nil,
		Tolerance + time.Second: ErrTimestamp} {
		if _, err := Verify(signed("msg_1", now, body, old), []byte(body), old, now.Add(passed)); !errors.Is(err, want) {
			t.Errorf("%v later: %v", passed, err)
		}
	}
	for _, other := range []string{`{"type":""}`, `{}`, `[]`, ``, `{"type":"ping"`} {
		if _, err := Verify(signed("msg_1", now, other, old), []byte(other), old, now); !errors.Is(err, ErrBody) {
			t.Errorf("the body %s: %v", other, err)
		}
	}
}

// Whatever is changed on the way, the message is refused.
func TestTamperedMessagesAreRefused(t *testing.T) {
	secret := parse(t, theirSecret)
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	good := strings.TrimPrefix(Sign("msg_1", now, []byte(body), secret), "v1,")
	for what, c := range map[string]struct {
		change func(http.Header)
		body   string
		want   error
	}{
		"another body":        {func(http.Header) {}, strings.Replace(body, "ses_1", "ses_2", 1), ErrSignature},
		"a space more":        {func(http.Header) {}, body + " ", ErrSignature},
		"another ID":          {set(HeaderID, "msg_2"), body, ErrSignature},
		"a later time":        {set(HeaderTimestamp, strconv.FormatInt(now.Unix()+1, 10)), body, ErrSignature},
		"no time":             {set(HeaderTimestamp, ""), body, ErrHeaders},
		"a time of words":     {set(HeaderTimestamp, "now"), body, ErrHeaders},
		"no ID":               {func(h http.Header) { h.Del(HeaderID) }, body, ErrHeaders},
		"no signature":        {func(h http.Header) { h.Del(HeaderSignature) }, body, ErrHeaders},
		"an empty signature":  {set(HeaderSignature, "v1,"), body, ErrSignature},
		"another version":     {set(HeaderSignature, "v1a,"+good), body, ErrSignature},
		"no version":          {set(HeaderSignature, good), body, ErrSignature},
		"one of another text": {set(HeaderSignature, theirSignature), body, ErrSignature},
		"a part of it":        {set(HeaderSignature, "v1,"+good[:24]), body, ErrSignature},
		"no base64":           {set(HeaderSignature, "v1,?"), body, ErrSignature},
		"a dot from ID to time": {func(h http.Header) {
			h.Set(HeaderID, "msg_1."+h.Get(HeaderTimestamp)[:1])
			h.Set(HeaderTimestamp, h.Get(HeaderTimestamp)[1:])
		}, body, ErrTimestamp},
	} {
		h := signed("msg_1", now, body, secret)
		c.change(h)
		if got, err := Verify(h, []byte(c.body), secret, now); !errors.Is(err, c.want) || got != (Message{}) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	for text, ok := range map[string]bool{
		theirSecret: true, newer: true, "": false, "whsec_": false, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": false,
		"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFQ==":       false, // 22 bytes
		"whsec_" + strings.Repeat("AAAA", 21) + "AA==": true, "whsec_" + strings.Repeat("AAAA", 22): false,
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS": false, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS-": false,
	} {
		if s, err := ParseSecret(text); (err == nil) != ok || ok == s.IsZero() || err != nil && !errors.Is(err, ErrSecret) {
			t.Errorf("%q: %v", text, err)
		}
	}
	var said strings.Builder
	s := parse(t, theirSecret)
	slog.New(slog.NewTextHandler(&said, nil)).Info("it", "secret", s, "in", struct{ S Secret }{s})
	b, err := json.Marshal(map[string]any{"s": s})
	said.Write(b)
	fmt.Fprintf(&said, "%v %+v %#v %s %q %x %d %v", s, s, s, s, s, s, s, struct{ s Secret }{s})
	for _, text := range []string{"MfKQ", "31f290", "1\xf2\x90"} {
		if err != nil || strings.Contains(said.String(), text) {
			t.Errorf("it prints %s, %v", &said, err)
		}
	}
}

// Verify must refuse what is made up, and not fail.
func FuzzVerify(f *testing.F) {
	f.Add("msg_1", "1800000000", "v1,AAAA v1a,x v1", body)
	f.Add("", "-1", " ", "{")
	f.Fuzz(func(t *testing.T, id, sent, signature, body string) {
		h := http.Header{HeaderID: {id}, HeaderTimestamp: {sent}, HeaderSignature: {signature}}
		if m, err := Verify(h, []byte(body), parse(t, theirSecret), now); err == nil {
			t.Errorf("verified %+v", m)
		}
	})
}
