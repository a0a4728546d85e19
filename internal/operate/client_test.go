package operate_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/testnode"
)

func newClient(id exeunt.ClientID) exeunt.Client {
	return exeunt.Client{ID: id, Name: "Notes", RedirectURIs: []string{"https://notes.example.com/cb"}}
}

// Every change of a client is an event by the operator who made it. This node knows of it when the call returns.
func TestClientsAreChangedByOperators(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	s := service(n)
	ctx := t.Context()
	head, err := n.Store.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	given := newClient("notes")
	given.Keys = []exeunt.TokenHash{{1}} // nobody chooses a secret
	c, secret, err := s.AddClient(ctx, operator, given)
	if err != nil || secret.Use() != exeunt.UseClient || c.FromFile ||
		!slices.Equal(c.Keys, []exeunt.TokenHash{secret.Hash()}) {
		t.Fatalf("%+v, %v", c, err)
	}
	known := func() exeunt.Client {
		t.Helper()
		c, err := n.OAuth.Client("notes")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if !known().HasKey(secret.Hash()) {
		t.Error("the node does not know the client's secret")
	}
	c, fresh, err := s.ChangeClient(ctx, operator, "notes", func(c *exeunt.Client) error { c.Name = "More"; return nil })
	if err != nil || !fresh.IsZero() || c.Name != "More" || known().Name != "More" || !known().HasKey(secret.Hash()) {
		t.Errorf("%+v, %v", c, err)
	}
	public := func(c *exeunt.Client) error { c.Auth = exeunt.ClientPublic; return nil }
	if c, fresh, err = s.ChangeClient(ctx, operator, "notes", public); err != nil || len(c.Keys) != 0 || !fresh.IsZero() {
		t.Errorf("a public client: %+v, %v", c, err)
	}
	c, fresh, err = s.ChangeClient(ctx, operator, "notes", func(c *exeunt.Client) error { c.Auth = ""; return nil })
	if err != nil || !known().HasKey(fresh.Hash()) || known().HasKey(secret.Hash()) {
		t.Errorf("no longer public: %+v, %v", c, err)
	}
	if left, err := s.RemoveClient(ctx, operator, "notes"); err != nil || left != (exeunt.Total{}) {
		t.Errorf("%+v, %v", left, err)
	}
	if _, err := n.OAuth.Client("notes"); !errors.Is(err, exeunt.ErrNotFound) {
		t.Errorf("the node still knows it: %v", err)
	}
	events, err := n.Store.Events(ctx, head, 100)
	if err != nil || len(events) != 5 {
		t.Fatalf("%+v, %v", events, err)
	}
	for i, e := range events {
		want := exeunt.EventClientChanged
		if i == len(events)-1 {
			want = exeunt.EventAppsEnded
		}
		if e.Kind != want || e.Client != "notes" || e.By != operator {
			t.Errorf("%+v", e)
		}
	}
}

// An app has two secrets at most: a new one and the one before it, until that is removed.
func TestSecretsAreRotated(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	s := service(n)
	_, first, err := s.AddClient(t.Context(), operator, newClient("notes"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.DropOldSecret(t.Context(), operator, "notes"); !errors.Is(err, exeunt.ErrNoOldSecret) {
		t.Error(err)
	}
	valid := func(what string, want ...exeunt.Token) {
		t.Helper()
		c, err := n.OAuth.Client("notes")
		if err != nil || len(c.Keys) != len(want) {
			t.Errorf("%s: %d secrets, %v", what, len(c.Keys), err)
		}
		for _, secret := range want {
			if !c.HasKey(secret.Hash()) {
				t.Errorf("%s: a secret is no longer valid", what)
			}
		}
	}
	rotate := func() exeunt.Token {
		t.Helper()
		_, secret, err := s.RotateSecret(t.Context(), operator, "notes")
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	valid("at first", first)
	second := rotate()
	valid("rotated", first, second)
	third := rotate()
	valid("rotated twice", second, third)
	if _, err := s.DropOldSecret(t.Context(), operator, "notes"); err != nil {
		t.Error(err)
	}
	valid("the old one removed", third)
	public := func(c *exeunt.Client) error { c.Auth = exeunt.ClientPublic; return nil }
	if _, _, err := s.ChangeClient(t.Context(), operator, "notes", public); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.RotateSecret(t.Context(), operator, "notes"); !errors.Is(err, exeunt.ErrNoSecret) {
		t.Error(err)
	}
}

// The app sessions of a client that is removed are counted, and have ended.
func TestAppSessionsEndWithTheirClient(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	s := service(n)
	_, secret, err := s.AddClient(t.Context(), operator, newClient("notes"))
	if err != nil {
		t.Fatal(err)
	}
	n.Keys["notes"] = secret
	_, v := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	token, _ := n.NewAppSession(t, v, "notes")
	if got, err := s.Client(t.Context(), operator, "notes"); err != nil || got.AppSessions.Count != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if left, err := s.RemoveClient(t.Context(), operator, "notes"); err != nil || left.Count != 1 {
		t.Errorf("%+v, %v", left, err)
	}
	if n.Check(t.Context(), token).Usable() {
		t.Error("the app session outlives its client")
	}
}
