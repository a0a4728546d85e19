package store

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// Whatever the history of an account, its list of ended sessions has each once, in the order of their ends: also
// sessions that were left alone by earlier endings, and those that ended alone at the very moment of an ending of many.
func TestTheEndedAreListedInTheOrderOfTheirEnds(t *testing.T) { onEachEngine(t, theEndedAreInOrder) }

func theEndedAreInOrder(t *testing.T, s *testStore) {
	a, seed := s.account(), rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	s.session(s.account().ID)
	var live []exeunt.Session
	var ends [][]exeunt.SessionID // each ending's
	now := epoch
	end := func(rev exeunt.Revocation) {
		if _, err := s.End(t.Context(), exeunt.System(), rev, Change{}, now); err != nil {
			t.Fatal(err)
		}
	}
	for range 150 {
		if random.IntN(4) > 0 { // else at the same moment
			now = now.Add(time.Duration(random.IntN(300_000)) * time.Millisecond)
		}
		n := random.IntN(100)
		switch {
		case n < 55 || len(live) == 0:
			start := newSession(s.proof(a.ID), now)
			if _, err := s.StartSession(t.Context(), start); err != nil {
				t.Fatal(err)
			}
			live = append(live, start.Session)
		case n < 80:
			i := random.IntN(len(live))
			end(endOne(live[i]))
			ends = append(ends, []exeunt.SessionID{live[i].ID})
			live = slices.Delete(live, i, i+1)
		case n < 90:
			i := random.IntN(len(live))
			kept := live[i]
			end(endOthers(kept))
			ends = append(ends, ids(slices.Delete(live, i, i+1)))
			live = []exeunt.Session{kept}
		default:
			end(endAll(a.ID))
			ends = append(ends, ids(live))
			live = nil
		}
	}
	want := 0
	for _, one := range ends {
		want += len(one)
	}
	for _, when := range []string{"before the rows are written", "afterwards"} {
		for _, limit := range []int{1, 3, 500} {
			f := exeunt.SessionFilter{Account: a.ID, State: exeunt.SessionsEnded, Limit: limit}
			all, _ := s.listed(f)
			n, err := s.CountSessions(t.Context(), f)
			if err != nil || len(all) != want || n != int64(want) {
				t.Fatalf("%s, %d at once: %d are listed and %d counted of %d, %v (seed %d)", when, limit, len(all), n,
					want, err, seed)
			}
			rest := ids(all)
			for _, of := range slices.Backward(ends) {
				for _, id := range rest[:len(of)] {
					if !slices.Contains(of, id) {
						t.Fatalf("%s: %s is out of order (seed %d)", when, id, seed)
					}
				}
				rest = rest[len(of):]
			}
		}
		s.writeEnds()
	}
	s.checkLog()
}

func ids(list []exeunt.Session) (out []exeunt.SessionID) {
	for _, v := range list {
		out = append(out, v.ID)
	}
	return out
}

// A search finds what is on any page, by the label or by either address.
func TestSearch(t *testing.T) { onEachEngine(t, search) }

func search(t *testing.T, s *testStore) {
	a := s.account()
	for i, label := range []string{"Pixel 8", "Firefox", "Žižkov", "pixel 7", "100%"} {
		n := newSession(s.proof(a.ID), epoch.Add(time.Duration(i)*time.Second))
		n.Session.Label, n.Session.Address = label, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		if _, err := s.StartSession(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if err := s.SaveActivity(t.Context(), []exeunt.Activity{{Account: a.ID, Session: n.Session.ID, Seen: epoch,
				Address: netip.MustParseAddr("2001:db8::7")}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, state := range []exeunt.SessionState{exeunt.SessionsActive, exeunt.SessionsEnded} {
		for text, want := range map[string]string{
			"PIXEL": "[pixel 7 Pixel 8]", "žiž": "[Žižkov]", "%": "[100%]", "192.0.2.3": "[pixel 7]",
			"2001:DB8": "[Firefox]", "_": "[]", "": "[100% pixel 7 Žižkov Firefox Pixel 8]",
		} {
			for _, limit := range []int{1, 10} {
				all, _ := s.listed(exeunt.SessionFilter{Account: a.ID, State: state, Search: text, Limit: limit})
				var labels []string
				for _, v := range all {
					labels = append(labels, v.Label)
				}
				if got := fmt.Sprint(labels); got != want {
					t.Errorf("%s %q: %s, want %s", state, text, got, want)
				}
			}
		}
		s.end(endAll(a.ID))
	}
}

// The address of the latest activity is stored with it; activity without an address leaves it as it was.
func TestTheLastAddressIsSavedWithActivity(t *testing.T) { onEachEngine(t, theLastAddress) }

func theLastAddress(t *testing.T, s *testStore) {
	n := newSession(s.proof(s.account().ID), epoch)
	first, last := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.9")
	n.Session.Address = first
	if _, err := s.StartSession(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ seen, want netip.Addr }{
		{netip.Addr{}, first}, {last, last}, {netip.Addr{}, last}, {first, first},
	} {
		if err := s.SaveActivity(t.Context(), []exeunt.Activity{{Account: n.Session.Account, Session: n.Session.ID,
			Seen: epoch.Add(time.Duration(i) * time.Minute), Address: c.seen}}); err != nil {
			t.Fatal(err)
		}
		v, err := s.Session(t.Context(), n.Session.Account, n.Session.ID)
		if err != nil || v.Address != first || v.LastAddress != c.want || v.Moved() != (c.want == last) {
			t.Errorf("after %v: from %v, last %v, %v", c.seen, v.Address, v.LastAddress, err)
		}
	}
}
