package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/testpg"
)

func newImport(handle string, groups ...string) Import {
	return Import{Account: exeunt.Account{ID: exeunt.NewAccountID(), Handle: handle, Name: handle, Status: exeunt.AccountActive,
		Groups: groups}, Credential: Credential{"their hash"}}
}

// Of accounts that are imported together those are there that can be, with their groups, and nothing of the others.
func TestImport(t *testing.T) { onEachEngine(t, imports) }

func imports(t *testing.T, s *testStore) {
	taken := s.account()
	ada, grace, lin := newImport("ada", "admins", "staff"), newImport("grace", "staff"), newImport("lin")
	twice := newImport("ada", "staff")
	ada.Account.Email, ada.Account.EmailConfirmed = "ada@example.com", true
	second := newImport("second", "staff")
	second.Account.Email, second.Account.EmailConfirmed = "ADA@example.com", true
	grace.Account.Status = exeunt.AccountDisabled
	lin.Credential = Credential{}
	link := exeunt.NewToken(exeunt.UseInvite)
	lin.Reset = &ImportReset{Hash: link.Hash(), Expires: epoch.Add(time.Hour)}
	list := []Import{ada, newImport(taken.Handle, "staff"), grace, twice, second, lin}
	out, err := s.Import(t.Context(), list, operator, epoch)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, exeunt.ErrHandleTaken, nil, exeunt.ErrHandleTaken, exeunt.ErrEmailTaken, nil} {
		if len(out) != 6 || !errors.Is(out[i].Refused, want) || (want == nil) != (out[i].Refused == nil) {
			t.Fatalf("%d: %+v", i, out)
		}
	}
	for _, v := range []Import{ada, grace, lin} {
		a, c, err := s.Credential(t.Context(), v.Account.ID)
		if err != nil || a.Handle != v.Account.Handle || a.Status != v.Account.Status || c != v.Credential ||
			!slices.Equal(a.Groups, v.Account.Groups) || a.EmailConfirmed != v.Account.EmailConfirmed ||
			a.PasswordSet.IsZero() != (c.PasswordHash == "") {
			t.Errorf("%+v, %+v, %v", a, c, err)
		}
	}
	if v, err := s.Invite(t.Context(), link.Hash(), epoch); err != nil || v.Account != lin.Account.ID {
		t.Errorf("%+v, %v", v, err)
	}
	for group, want := range map[string]int64{"admins": 1, "staff": 2} {
		if g, err := s.Group(t.Context(), group); err != nil || g.Members != want {
			t.Errorf("%+v, %v", g, err)
		}
	}
	entries, err := s.Audit(t.Context(), exeunt.AuditFilter{Account: ada.Account.ID})
	if p, err := s.Profile(t.Context(), ada.Account.ID); err != nil || p.Version != 3 {
		t.Errorf("version %d, %v", p.Version, err)
	}
	if err != nil || len(entries.Items) != 3 || entries.Items[2].Action != exeunt.AuditSignUp ||
		entries.Items[2].By.Label != operator.Label {
		t.Errorf("%+v, %v", entries.Items, err)
	}
	if owner, err := s.EmailOwner(t.Context(), "Ada@Example.com"); owner != "ada" || err != nil {
		t.Error(owner, err)
	}
}

// An import must not keep others from signing out: this is for how long one of its transactions holds the log. It is as
// large as account makes them.
func BenchmarkImport(b *testing.B) {
	for engine, open := range map[string]func() *testStore{
		"sqlite":   func() *testStore { return newStore(b) },
		"postgres": func() *testStore { return openStore(b, testpg.NewDatabase(b)) },
	} {
		b.Run(engine, func(b *testing.B) {
			s, n := open(), 0
			for b.Loop() {
				list := make([]Import, 16)
				for i := range list {
					n++
					list[i] = newImport(fmt.Sprintf("p%d", n), "staff", "wiki", fmt.Sprintf("team%d", i))
				}
				if _, err := s.Import(b.Context(), list, operator, epoch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
