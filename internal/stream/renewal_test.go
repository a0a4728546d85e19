package stream

import (
	"net/http"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
)

// When a browser gets new cookies, its stream says nothing of it and closes: the page opens another with those. The
// old ones open none. An app's stream says that its session has ended.
func TestStreamsThroughARenewal(t *testing.T) {
	s := newSite(t, exeunt.DefaultPolicy())
	old, session := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindKept)
	app, _ := s.NewAppSession(t, session, testnode.Chirp)
	in := eventsOf(s.get(t, "/session/stream", s.AsBrowser(old)))
	if got := next(t, in); got.State != client.Live {
		t.Fatalf("%+v", got)
	}
	inApp := eventsOf(s.get(t, "/api/v1/session/stream", testnode.AsApp(app)))
	next(t, inApp)
	_, token, err := s.EndOthers(t.Context(), testnode.PersonIn(session), old, "")
	if err != nil {
		t.Fatal(err)
	}
	for {
		e, ok := testnode.Receive(t, in, "the end of the stream")
		if !ok {
			break
		}
		if e.name == "state" {
			t.Errorf("it says %s", e.data)
		}
	}
	if resp := s.get(t, "/session/stream", s.AsBrowser(old)); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the old cookies are answered %s", resp.Status)
	}
	if got := next(t, eventsOf(s.get(t, "/session/stream", s.AsBrowser(token)))); got.State != client.Live {
		t.Errorf("%+v", got)
	}
	got := next(t, inApp)
	if got.State != client.Over || got.Reason != "renewed" {
		t.Errorf("the app's stream says %+v", got)
	}
}
