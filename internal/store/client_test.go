package store

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

var operator = exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}

func newClient(id exeunt.ClientID) exeunt.Client {
	return exeunt.Client{ID: id, Name: string(id), HomeURL: "https://" + string(id) + ".example",
		RedirectURIs: []string{"https://" + string(id) + ".example/callback",
			"https://" + string(id) + ".example/other"},
		Keys: []exeunt.TokenHash{exeunt.NewToken(exeunt.UseClient).Hash(),
			exeunt.NewToken(exeunt.UseClient).Hash()}}
}

// register adds a client without an event, for tests that count events.
func (s *testStore) register(id exeunt.ClientID) {
	s.t.Helper()
	if err := s.commit(s.t.Context(), func(t *tx) error {
		_, err := t.exec(`INSERT INTO clients (id, settings, key_hashes, source, created, changed, registration)
			VALUES ($1, '{"redirect_uris": ["r"]}', $2, $3, 0, 0, 0) ON CONFLICT DO NOTHING`, id, []byte{},
			ClientFromFile)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
}

// clientEvents returns the clients that the log's events after a number are about.
func (s *testStore) clientEvents(after int64) (ids []exeunt.ClientID) {
	s.t.Helper()
	events, err := s.Events(s.t.Context(), after, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range events {
		want := exeunt.Event{Seq: e.Seq, At: e.At, Kind: exeunt.EventClientChanged,
			Target: exeunt.Target{Client: e.Client}, By: operator}
		if _, err := s.Client(s.t.Context(), e.Client); errors.Is(err, exeunt.ErrNotFound) {
			want.Kind, want.Reason = exeunt.EventAppsEnded, exeunt.ReasonClientRemoved
		}
		if e != want {
			s.t.Errorf("the event is %+v", e)
		}
		ids = append(ids, e.Client)
	}
	return ids
}

// wantClients compares the registered clients, and the events after a number, and returns the log's head.
func (s *testStore) wantClients(after int64, events []exeunt.ClientID, want ...exeunt.Client) int64 {
	s.t.Helper()
	got, err := s.Clients(s.t.Context())
	if err != nil || len(got) != len(want) {
		s.t.Fatalf("%+v, %v", got, err)
	}
	for i := range want {
		one, err := s.Client(s.t.Context(), want[i].ID)
		if one.Registration == 0 || one.Registration != got[i].Registration {
			s.t.Errorf("registrations %d and %d", one.Registration, got[i].Registration)
		}
		one.Registration, got[i].Registration = 0, 0
		if err != nil || !reflect.DeepEqual(one, want[i]) || !reflect.DeepEqual(got[i], want[i]) {
			s.t.Errorf("registered is %+v and in the list %+v, want %+v; %v", one, got[i], want[i], err)
		}
	}
	if got := s.clientEvents(after); !reflect.DeepEqual(got, events) {
		s.t.Errorf("there are events about %v, want %v", got, events)
	}
	head, err := s.Head(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return head
}

// The clients of the file are those that it names now; an operator's own stay. What has not changed makes no event.
func TestClientsAreReconciled(t *testing.T) { onEachEngine(t, clientsAreReconciled) }

func clientsAreReconciled(t *testing.T, s *testStore) {
	reconcile := func(file ...exeunt.Client) {
		t.Helper()
		if err := s.ReconcileClients(t.Context(), file, operator, epoch); err != nil {
			t.Fatal(err)
		}
	}
	type ids = []exeunt.ClientID
	a, b, c := newClient("a"), newClient("b"), newClient("c")
	reconcile(b, a)
	head := s.wantClients(0, ids{"b", "a"}, a, b)
	reconcile(a, b)
	head = s.wantClients(head, nil, a, b)
	for _, change := range []func(){
		func() { a.Name = "another" }, func() { a.HomeURL += "/x" }, func() { a.RedirectURIs = a.RedirectURIs[:1] },
		func() { a.Keys = a.Keys[1:] }, func() { a.Keys = nil },
	} {
		change()
		reconcile(a, b)
		head = s.wantClients(head, ids{"a"}, a, b)
	}
	if err := s.AddClient(t.Context(), c, operator, epoch); err != nil {
		t.Fatal(err)
	}
	head = s.wantClients(head, ids{"c"}, a, b, c)
	reconcile(a)
	head = s.wantClients(head, ids{"b"}, a, c)
	reconcile()
	head = s.wantClients(head, ids{"a"}, c)
	reconcile(c) // it is the file's from now on
	head = s.wantClients(head, ids{"c"}, c)
	reconcile()
	head = s.wantClients(head, ids{"c"})
	s.checkLog()
}

// What operators register, change and remove is an event each, and what changes nothing is none. An invalid client, one
// of the configuration file, and an ID that is taken are refused.
func TestOperatorsChangeClients(t *testing.T) { onEachEngine(t, operatorsChangeClients) }

func operatorsChangeClients(t *testing.T, s *testStore) {
	type ids = []exeunt.ClientID
	a, file := newClient("a"), newClient("file")
	if err := s.ReconcileClients(t.Context(), []exeunt.Client{file}, operator, epoch); err != nil {
		t.Fatal(err)
	}
	head := s.wantClients(0, ids{"file"}, file)
	later := epoch.Add(time.Hour)
	change := func(id exeunt.ClientID, change func(*exeunt.Client) error) error {
		_, err := s.ChangeClient(t.Context(), id, operator, later, change)
		return err
	}
	rename := func(c *exeunt.Client) error { c.Name = "another"; return nil }
	spoil := func(c *exeunt.Client) error { c.RedirectURIs = nil; return nil }
	refused := errors.New("refused")

	wantErr(t, change(a.ID, rename), exeunt.ErrNotFound)
	wantErr(t, s.RemoveClient(t.Context(), a.ID, operator, later), exeunt.ErrNotFound)
	bad := a
	bad.Keys = nil
	wantErr(t, s.AddClient(t.Context(), bad, operator, epoch), exeunt.ErrClientSettings)
	head = s.wantClients(head, nil, file)
	if err := s.AddClient(t.Context(), a, operator, epoch); err != nil {
		t.Fatal(err)
	}
	head = s.wantClients(head, ids{"a"}, a, file)
	for _, taken := range []exeunt.Client{a, newClient("a"), newClient("file")} {
		wantErr(t, s.AddClient(t.Context(), taken, operator, later), exeunt.ErrClientTaken)
	}
	wantErr(t, change(a.ID, spoil), exeunt.ErrClientSettings)
	wantErr(t, change(a.ID, func(c *exeunt.Client) error { c.Name = "another"; return refused }), refused)
	wantErr(t, change(file.ID, rename), exeunt.ErrClientOfFile)
	wantErr(t, s.RemoveClient(t.Context(), file.ID, operator, later), exeunt.ErrClientOfFile)
	if err := change(a.ID, func(*exeunt.Client) error { return nil }); err != nil {
		t.Error(err)
	}
	head = s.wantClients(head, nil, a, file)
	if got, err := s.RegisteredClient(t.Context(), a.ID); err != nil || got.Source != ClientFromOperator ||
		!got.Created.Equal(epoch) || !got.Changed.Equal(epoch) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := change(a.ID, rename); err != nil {
		t.Error(err)
	}
	a.Name = "another"
	head = s.wantClients(head, ids{"a"}, a, file)
	got, err := s.RegisteredClient(t.Context(), a.ID)
	if err != nil || !got.Created.Equal(epoch) || !got.Changed.Equal(later) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.RemoveClient(t.Context(), a.ID, operator, later); err != nil {
		t.Error(err)
	}
	head = s.wantClients(head, ids{"a"}, file)
	wantErr(t, s.RemoveClient(t.Context(), a.ID, operator, later), exeunt.ErrNotFound)
	_, err = s.Client(t.Context(), a.ID)
	wantErr(t, err, exeunt.ErrNotFound)
	s.wantClients(head, nil, file)
	s.checkLog()
}

// A change begins with what others have changed meanwhile, so none is lost.
func TestClientsAreChangedTogether(t *testing.T) { onEachEngine(t, clientsAreChangedTogether) }

func clientsAreChangedTogether(t *testing.T, s *testStore) {
	c := newClient("a")
	if err := s.AddClient(t.Context(), c, operator, epoch); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			if _, err := s.ChangeClient(t.Context(), c.ID, operator, epoch, func(c *exeunt.Client) error {
				c.Groups = append(c.Groups, fmt.Sprint("group", i))
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, err := s.Client(t.Context(), c.ID); err != nil || len(got.Groups) != 12 {
		t.Errorf("%v, %v", got.Groups, err)
	}
}

// Counted are the app sessions that can be used still.
func TestAppSessionsOfAClientAreCounted(t *testing.T) { onEachEngine(t, appSessionsAreCounted) }

func appSessionsAreCounted(t *testing.T, s *testStore) {
	s.register("chirp")
	a := s.account()
	want := func(want int64) {
		t.Helper()
		if n, err := s.CountAppsOf(t.Context(), "chirp"); err != nil || n != (exeunt.Total{Count: want}) {
			t.Errorf("%+v, want %d; %v", n, want, err)
		}
	}
	want(0)
	var sessions []exeunt.Session
	for range 3 {
		v := s.session(a.ID)
		s.appSession(v, "chirp", epoch)
		sessions = append(sessions, v)
	}
	want(3)
	s.end(endOne(sessions[0]))
	want(2)
	s.end(endOthers(sessions[1]))
	want(1)
	s.end(endAll(a.ID))
	want(0)
}

// The list of clients goes on where a page ended.
func TestClientsAreListedInPages(t *testing.T) {
	s := newStore(t)
	for _, id := range []exeunt.ClientID{"c", "a", "e", "d", "b"} {
		if err := s.AddClient(t.Context(), newClient(id), operator, epoch); err != nil {
			t.Fatal(err)
		}
	}
	var got []exeunt.ClientID
	after := exeunt.Cursor("")
	for range 3 {
		p, err := s.RegisteredClients(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Items {
			got = append(got, c.ID)
		}
		after = p.Next
	}
	n, err := s.CountClients(t.Context())
	want := []exeunt.ClientID{"a", "b", "c", "d", "e"}
	if !slices.Equal(got, want) || n != 5 || err != nil || after != "" {
		t.Errorf("%v of %d, then %q; %v", got, n, after, err)
	}
}

// Of several nodes that start at once with the same file, only one changes clients.
func TestNodesReconcileTheSameFileOnce(t *testing.T) { onEachEngine(t, nodesReconcileOnce) }

func nodesReconcileOnce(t *testing.T, s *testStore) {
	nodes := []*testStore{s}
	if s.traits.patience > 0 { // a server's database has several nodes
		nodes = append(nodes, openStore(t, s.url), openStore(t, s.url))
	}
	a, b, c := newClient("a"), newClient("b"), newClient("c")
	if err := s.ReconcileClients(t.Context(), []exeunt.Client{a, b}, operator, epoch); err != nil {
		t.Fatal(err)
	}
	b.Name = "another"
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			if err := nodes[i%len(nodes)].ReconcileClients(t.Context(), []exeunt.Client{b, c}, operator,
				epoch); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.wantClients(2, []exeunt.ClientID{"b", "c", "a"}, b, c)
}
