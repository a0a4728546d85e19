package store

import (
	"reflect"
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
		_, err := t.exec(`INSERT INTO clients (id, settings, key_hashes, source, created, changed)
			VALUES ($1, '{"redirect_uris": ["r"]}', $2, $3, 0, 0) ON CONFLICT DO NOTHING`, id, []byte{},
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
	if err := s.PutClient(t.Context(), c, operator, epoch); err != nil {
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

	if err := s.PutClient(t.Context(), a, operator, epoch); err != nil {
		t.Fatal(err)
	}
	if err := s.PutClient(t.Context(), a, operator, epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	head = s.wantClients(head, ids{"a"}, a)
	if err := s.RemoveClient(t.Context(), a.ID, operator, epoch); err != nil {
		t.Fatal(err)
	}
	head = s.wantClients(head, ids{"a"})
	wantErr(t, s.RemoveClient(t.Context(), a.ID, operator, epoch), exeunt.ErrNotFound)
	_, err := s.Client(t.Context(), a.ID)
	wantErr(t, err, exeunt.ErrNotFound)
	s.wantClients(head, nil)
	s.checkLog()
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
