package store

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func testConnector(id exeunt.ClientID) exeunt.Connector {
	return exeunt.Connector{Client: id, Headers: []string{"Authorization: Bearer {secret}"}, Sealed: []byte("sealed"), Steps: []exeunt.Step{
		{URL: "https://app.example/users?name={handle}", Find: "/id", List: "/users", Where: "/name", Equals: "{handle}"},
		{Method: "DELETE", URL: "https://app.example/users/{found}/sessions", Success: []int{204, 404}, Body: `{}`,
			Headers: []string{"X-A: b"}},
	}}
}

// The connectors of the file are those of the clients, whoever registered them; each change is an event, and the same
// again is none.
func TestConnectorsFollowTheFile(t *testing.T) { onEachEngine(t, connectorsFollowTheFile) }

func connectorsFollowTheFile(t *testing.T, s *testStore) {
	by := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "configuration file"}
	client := func(id exeunt.ClientID) exeunt.Client {
		return exeunt.Client{ID: id, Name: "App", HomeURL: "https://app.example/", Keys: []exeunt.TokenHash{{1}},
			RedirectURIs: []string{"https://app.example/callback"}}
	}
	if err := s.AddClient(t.Context(), client("app"), by, epoch); err != nil {
		t.Fatal(err)
	}
	events := func() (n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, e := range s.announced {
			if e.Kind == exeunt.EventClientChanged {
				n++
			}
		}
		return n
	}
	reconcile := func(want int, unknown []exeunt.ClientID, list ...exeunt.Connector) {
		t.Helper()
		before := events()
		got, err := s.ReconcileConnectors(t.Context(), list, by, epoch.Add(time.Minute))
		if err != nil || !reflect.DeepEqual(got, unknown) {
			t.Fatalf("%v, %v", got, err)
		}
		if n := events() - before; n != want {
			t.Errorf("%d events, want %d", n, want)
		}
	}
	is := func(want *exeunt.Connector) {
		t.Helper()
		c, err := s.Client(t.Context(), "app")
		if err != nil || !reflect.DeepEqual(c.Connector, want) {
			t.Errorf("%+v, want %+v, %v", c.Connector, want, err)
		}
		list, err := s.Clients(t.Context())
		if err != nil || !reflect.DeepEqual(list[0].Connector, want) {
			t.Errorf("%+v of the list, want %+v, %v", list[0].Connector, want, err)
		}
	}
	a, other := testConnector("app"), testConnector("later")
	is(nil)
	reconcile(2, []exeunt.ClientID{"later"}, a, other)
	is(&a)
	reconcile(0, []exeunt.ClientID{"later"}, a, other)
	a.Sealed = []byte("sealed anew")
	reconcile(1, []exeunt.ClientID{"later"}, a, other)
	is(&a)

	// An operator cannot give it another way to be told, and keeps the connector with any other change.
	change := func(c *exeunt.Client) error { c.BackchannelURI = "https://app.example/out"; return nil }
	if _, err := s.ChangeClient(t.Context(), "app", by, epoch, change); !errors.Is(err, exeunt.ErrClientSettings) {
		t.Errorf("both ways: %v", err)
	}
	if _, err := s.ChangeClient(t.Context(), "app", by, epoch, func(c *exeunt.Client) error { c.Name = "B"; return nil }); err != nil {
		t.Error(err)
	}
	is(&a)
	late := client("later")
	late.BackchannelURI = "https://app.example/out"
	if err := s.AddClient(t.Context(), late, by, epoch); !errors.Is(err, exeunt.ErrClientSettings) {
		t.Errorf("both ways of a new client: %v", err)
	}
	reconcile(2, nil)
	is(nil)
	if _, err := s.ChangeClient(t.Context(), "app", by, epoch, change); err != nil {
		t.Error(err)
	}
	if _, err := s.ReconcileConnectors(t.Context(), []exeunt.Connector{a}, by, epoch); !errors.Is(err, exeunt.ErrClientSettings) {
		t.Errorf("both ways by the file: %v", err)
	}
	is(nil)
}
