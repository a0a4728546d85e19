package app

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/fanout"
	"github.com/exeunt/exeunt/internal/keys"
)

// A start makes the clients of the configuration file those that it names now, and
// leaves an operator's alone. With the same file it records nothing, and somebody
// else's database is not touched.
func TestAStartTakesOverTheClientsOfTheFile(t *testing.T) {
	client := func(id string) config.Client {
		return config.Client{ID: id, Name: id, HomeURL: "https://app.example/",
			RedirectURIs: []string{"https://app.example/callback"}, Auth: string(exeunt.ClientPublic)}
	}
	c := site(t)
	head := int64(0)
	for _, step := range []struct {
		file   []config.Client
		want   []exeunt.ClientID
		events int64
	}{
		{[]config.Client{client("a"), client("b")}, []exeunt.ClientID{"a", "b"}, 2},
		{[]config.Client{client("a"), client("b")}, []exeunt.ClientID{"a", "b"}, 0},
		{[]config.Client{client("b"), client("c")}, []exeunt.ClientID{"b", "c"}, 2},
		{nil, nil, 2},
		{nil, []exeunt.ClientID{"operators"}, 0},
		{[]config.Client{client("a")}, []exeunt.ClientID{"a", "operators"}, 1},
	} {
		c.Clients = step.file
		mistaken := c
		mistaken.MasterKey = config.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
		_, err := New(t.Context(), mistaken, Options{Log: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, keys.ErrWrongMaster) {
			t.Fatalf("with another master key: %v", err)
		}
		r := start(t, c)
		var got []exeunt.ClientID
		for id := range r.OAuth.Clients() {
			got = append(got, id)
		}
		slices.Sort(got)
		if !slices.Equal(got, step.want) {
			t.Errorf("registered are %v, want %v", got, step.want)
		}
		now, err := r.Store.Head(t.Context())
		if err != nil || now-head != step.events {
			t.Errorf("%v: %d events, %v", step.want, now-head, err)
		}
		if head = now; len(step.want) == 0 {
			operators := exeunt.Client{ID: "operators", Name: "Theirs", HomeURL: "https://app.example/",
				RedirectURIs: []string{"https://app.example/callback"}, Auth: exeunt.ClientPublic}
			operator := exeunt.Actor{Kind: exeunt.ActorOperator}
			if err := r.Store.AddClient(t.Context(), operators, operator, r.now()); err != nil {
				t.Fatal(err)
			}
			head++
		}
		r.stop()
	}
}

// A connector's secret is sealed once, and again only when it changes, so that a start with the same file is no change.
// Of another client it is of no use.
func TestAStartTakesOverTheConnectorsOfTheFile(t *testing.T) {
	connector := func(secret string) config.Connector {
		return config.Connector{Client: "app", Secret: config.Secret(secret), Headers: []string{"X-Key: {secret}"},
			Steps: []config.Step{{URL: "https://app.example/users/{handle}/logout"}}}
	}
	c := site(t)
	c.Clients = []config.Client{{ID: "app", Name: "App", RedirectURIs: []string{"https://app.example/callback"},
		Auth: string(exeunt.ClientPublic)}}
	var before []byte
	head := int64(1) // of the client
	for i, step := range []struct {
		file   []config.Connector
		events int64
		secret string
		same   bool // as it was sealed before
	}{
		{[]config.Connector{connector("one secret")}, 1, "one secret", false},
		{[]config.Connector{connector("one secret")}, 0, "one secret", true},
		{[]config.Connector{connector("another secret")}, 1, "another secret", false},
		{nil, 1, "", false},
	} {
		c.Connectors = step.file
		r := start(t, c)
		got := r.OAuth.Clients()["app"].Connector
		if (got != nil) != (step.file != nil) {
			t.Fatalf("%d: %+v", i, got)
		}
		if got != nil {
			text, err := r.master.Open(fanout.Purpose("app"), got.Sealed)
			if err != nil || string(text) != step.secret || bytes.Equal(got.Sealed, before) != step.same {
				t.Errorf("%d: %q, %v", i, text, err)
			}
			if _, err := r.master.Open(fanout.Purpose("other"), got.Sealed); err == nil {
				t.Errorf("%d: it opens as another client's", i)
			}
			before = got.Sealed
		}
		now, err := r.Store.Head(t.Context())
		if err != nil || now-head != step.events {
			t.Errorf("%d: %d events, %v", i, now-head, err)
		}
		head = now
		r.stop()
	}
}
