package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func (s *testStore) changeGroup(name string, remove bool, accounts ...exeunt.AccountID) []exeunt.AccountID {
	s.t.Helper()
	changed, err := s.ChangeGroup(s.t.Context(), GroupChange{Group: name, Accounts: accounts, Remove: remove}, operator, epoch)
	if err != nil {
		s.t.Fatal(err)
	}
	return changed
}

// A change of groups is an event of its account, names the operator, raises the version of the profile that carries
// them, and is recorded once.
func TestGroups(t *testing.T) { onEachEngine(t, groups) }

func groups(t *testing.T, s *testStore) {
	a, b := s.account(), s.account()
	n := newSession(s.proof(a.ID), epoch)
	if _, err := s.StartSession(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	before, err := s.Profile(t.Context(), a.ID)
	if err != nil || before.Groups != nil {
		t.Fatalf("%+v, %v", before, err)
	}
	for _, c := range []struct {
		name    string
		remove  bool
		changed int
		events  int64
		a       []string
	}{
		{"staff", false, 2, 2, []string{"staff"}},
		{"staff", false, 0, 0, []string{"staff"}},
		{"admins", false, 2, 2, []string{"admins", "staff"}},
		{"none", true, 0, 0, []string{"admins", "staff"}},
		{"staff", true, 2, 2, []string{"admins"}},
		{"staff", true, 0, 0, []string{"admins"}},
	} {
		head, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := s.changeGroup(c.name, c.remove, a.ID, b.ID, a.ID); len(got) != c.changed {
			t.Errorf("%+v: %d changed", c, len(got))
		}
		events, err := s.Events(t.Context(), head, 10)
		if err != nil || int64(len(events)) != c.events {
			t.Errorf("%+v: %d events, %v", c, len(events), err)
		}
		profile, err := s.Profile(t.Context(), a.ID)
		if err != nil || !slices.Equal(profile.Groups, c.a) {
			t.Errorf("%+v: the profile is %+v, %v", c, profile, err)
		}
		if want := before.Version + min(c.events, 1); profile.Version != want {
			t.Errorf("%+v: the profile's version is %d, want %d", c, profile.Version, want)
		}
		before = profile
		sn, err := s.Load(t.Context(), exeunt.UseSession, n.Hash)
		if err != nil || !slices.Equal(sn.Profile.Groups, c.a) || sn.Profile.Version != profile.Version {
			t.Errorf("%+v: the snapshot has %+v, %v", c, sn.Profile, err)
		}
		if got, _, err := s.Identify(t.Context(), a.Handle); err != nil || !slices.Equal(got.Groups, c.a) {
			t.Errorf("%+v: the account has %v, %v", c, got.Groups, err)
		}
		if c.events == 0 {
			continue
		}
		e := events[0]
		want := exeunt.Event{Seq: e.Seq, At: epoch, Kind: exeunt.EventGroupsChanged, Target: exeunt.Target{Account: a.ID},
			Reason: exeunt.Reason(map[bool]string{false: "added ", true: "removed "}[c.remove] + c.name), By: operator,
			Version: profile.Version, Row: e.Row}
		if e != want {
			t.Errorf("the event is %+v, want %+v", e, want)
		}
	}
	audit, err := s.Audit(t.Context(), exeunt.AuditFilter{Account: a.ID, Limit: 1})
	if err != nil || audit.Items[0].Action != exeunt.AuditGroups || audit.Items[0].Detail != "removed staff" ||
		audit.Items[0].By != operator {
		t.Errorf("the audit says %+v, %v", audit.Items, err)
	}
	if _, err := s.Group(t.Context(), "staff"); err == nil {
		t.Error("a group without members exists")
	}
	s.checkLog()
}

// An account is in at most MaxGroups, and a change that is refused for one account changes none.
func TestAGroupTooMany(t *testing.T) { onEachEngine(t, aGroupTooMany) }

func aGroupTooMany(t *testing.T, s *testStore) {
	full, other := s.account(), s.account()
	for i := range exeunt.MaxGroups {
		s.changeGroup(fmt.Sprintf("group-%02d", i), false, full.ID)
	}
	head := s.count(`SELECT seq FROM log_head`)
	change := func(name string, accounts ...exeunt.AccountID) error {
		_, err := s.ChangeGroup(t.Context(), GroupChange{Group: name, Accounts: accounts}, operator, epoch)
		return err
	}
	wantErr(t, change("more", other.ID, full.ID), exeunt.ErrManyGroups)
	wantErr(t, change("more", other.ID, exeunt.NewAccountID()), exeunt.ErrNotFound)
	if err := change("group-00", full.ID); err != nil {
		t.Error(err)
	}
	if now := s.count(`SELECT seq FROM log_head`); now != head {
		t.Errorf("%d events were recorded", now-head)
	}
	if p, err := s.Profile(t.Context(), other.ID); err != nil || p.Groups != nil {
		t.Errorf("the other account is in %v, %v", p.Groups, err)
	}
	s.changeGroup("group-00", true, full.ID)
	if err := change("more", other.ID, full.ID); err != nil {
		t.Error(err)
	}
	s.checkLog()
}

// Lists of groups and of their members are read page by page, and miss nobody.
func TestListsOfGroups(t *testing.T) { onEachEngine(t, listsOfGroups) }

func listsOfGroups(t *testing.T, s *testStore) {
	var handles []string
	for i := range 7 {
		a := s.account()
		handles = append(handles, a.Handle)
		_, err := s.ChangeGroup(t.Context(), GroupChange{Group: "all", Accounts: []exeunt.AccountID{a.ID}}, operator,
			epoch.Add(time.Duration(i/3)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		s.changeGroup(fmt.Sprint("only-", i), false, a.ID)
	}
	for _, limit := range []int{1, 2, 7, 0} {
		var names, members []string
		since := epoch
		for after, first := exeunt.Cursor(""), true; first || after != ""; first = false {
			p, err := s.Groups(t.Context(), exeunt.GroupFilter{After: after, Limit: limit})
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range p.Items {
				names = append(names, fmt.Sprint(g.Name, g.Members))
			}
			after = p.Next
		}
		for after, first := exeunt.Cursor(""), true; first || after != ""; first = false {
			p, err := s.Members(t.Context(), exeunt.MemberFilter{Group: "all", After: after, Limit: limit})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range p.Items {
				if m.Since.Before(since) || m.Status != exeunt.AccountActive || m.Account.IsZero() {
					t.Errorf("%+v after one since %v", m, since)
				}
				members, since = append(members, m.Handle), m.Since
			}
			after = p.Next
		}
		if want := []string{"all7", "only-01", "only-11", "only-21", "only-31", "only-41", "only-51", "only-61"}; !slices.
			Equal(names, want) {
			t.Errorf("by %d: the groups are %v", limit, names)
		}
		if slices.Sort(members); !slices.Equal(members, slices.Sorted(slices.Values(handles))) {
			t.Errorf("by %d: the members are %v, want %v", limit, members, handles)
		}
	}
	if n, err := s.CountGroups(t.Context()); err != nil || n != 8 {
		t.Errorf("%d groups, %v", n, err)
	}
	_, err := s.Members(t.Context(), exeunt.MemberFilter{Group: "all", After: "1.xy"})
	wantErr(t, err, exeunt.ErrBadRequest)
}
