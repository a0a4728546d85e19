package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// A filter goes through the whole history in pages, each entry once, and shows no other account's.
func TestAuditIsFilteredInPages(t *testing.T) { onEachEngine(t, auditIsFilteredInPages) }

func auditIsFilteredInPages(t *testing.T, s *testStore) {
	a, other := s.account(), s.account()
	v := s.session(a.ID)
	s.session(other.ID)
	for i := range 3 * exeunt.MaxPage {
		action := exeunt.AuditSignInFailed
		if i%100 == 0 {
			action = exeunt.AuditStatus
		}
		if err := s.AddAudit(t.Context(), exeunt.AuditEntry{At: epoch.Add(time.Duration(i/7) * time.Second), Account: a.ID,
			Action: action, By: exeunt.System(), Detail: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	s.end(endOne(v))
	read := func(only func(exeunt.AuditEntry) bool) (list []exeunt.AuditEntry) {
		f := exeunt.AuditFilter{Account: a.ID, Only: only, Limit: 2}
		for range 3 * exeunt.MaxPage {
			p, err := s.Audit(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if list = append(list, p.Items...); p.Next == "" {
				return list
			}
			f.After = p.Next
		}
		t.Fatal("the list has no end")
		return nil
	}
	seen := map[string]bool{}
	status := read(func(e exeunt.AuditEntry) bool { return e.Action == exeunt.AuditStatus })
	for i, e := range status {
		if e.Account != a.ID || seen[e.Detail] || i > 0 && e.At.After(status[i-1].At) {
			t.Errorf("%+v", e)
		}
		seen[e.Detail] = true
	}
	if want := (3*exeunt.MaxPage + 99) / 100; len(status) != want {
		t.Errorf("%d entries, want %d", len(status), want)
	}
	ended := read(func(e exeunt.AuditEntry) bool { return e.Action == exeunt.AuditEnd })
	if len(ended) != 1 || ended[0].Label != v.Label || ended[0].Session != v.ID {
		t.Errorf("%+v", ended)
	}
	if n := len(read(func(e exeunt.AuditEntry) bool { return false })); n != 0 {
		t.Errorf("%d entries that nobody wanted", n)
	}
	// An event from a newer program keeps its own name.
	s.insert(t, a.ID)
	if p, err := s.Audit(t.Context(), exeunt.AuditFilter{Account: a.ID, Limit: 1}); err != nil ||
		p.Items[0].Action != "factor_lost" {
		t.Errorf("%+v, %v", p, err)
	}
}

// insert adds an event of a kind that this program does not know.
func (s *testStore) insert(t *testing.T, id exeunt.AccountID) {
	t.Helper()
	if err := s.commit(t.Context(), func(x *tx) error {
		return x.appendEvents([]exeunt.Event{{At: epoch.Add(time.Hour), Kind: "factor_lost", By: exeunt.System(),
			Target: exeunt.Target{Account: id}}})
	}); err != nil {
		t.Fatal(err)
	}
}
