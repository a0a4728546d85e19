package app

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/config"
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
