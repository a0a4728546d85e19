package store

import (
	"slices"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// What a receipt says of an ending is what is stored of it, for as long as that is, and never more.
func TestEndingsAreKnownAfterwards(t *testing.T) { onEachEngine(t, endingsAreKnownAfterwards) }

func endingsAreKnownAfterwards(t *testing.T, s *testStore) {
	a := s.account()
	one, two, kept := s.session(a.ID), s.session(a.ID), s.session(a.ID)
	app := s.appSession(one, "chirp", epoch)
	s.appSession(one, "photos", epoch)
	s.appSession(two, "chirp", epoch)
	s.session(s.account().ID)
	read := func(out Ending, limit int) Recorded {
		t.Helper()
		r, err := s.Ending(t.Context(), out.Seq, out.At)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddEnded(t.Context(), &r, limit); err != nil {
			t.Fatal(err)
		}
		return r
	}
	want := func(what string, r Recorded, ended int64, whole bool, sessions ...exeunt.Session) {
		t.Helper()
		var got, list []string
		for _, v := range r.Sessions {
			got = append(got, v.ID.String())
		}
		for _, v := range sessions {
			list = append(list, v.ID.String())
		}
		slices.Sort(got)
		slices.Sort(list)
		if r.Event.Ended != ended || r.Whole != whole || !slices.Equal(got, list) || len(r.Log) != 32 {
			t.Errorf("%s: ended %d, whole %v, %v, log %q; want %d, %v, %v", what, r.Event.Ended, r.Whole, got, r.Log, ended, whole, list)
		}
	}
	rev := endOne(one)
	rev.AppSession = app
	alone := s.end(rev)
	r := read(alone, 10)
	want("an app session", r, 1, true, one)
	if len(r.Sessions[0].Apps) != 1 || r.Sessions[0].Apps[0].ID != app || r.ToldKnown {
		t.Errorf("of an app session: %+v", r)
	}
	single := s.end(endOne(one))
	if r = read(single, 10); len(r.Sessions[0].Apps) != 1 || r.Sessions[0].Apps[0].Client != "photos" {
		t.Errorf("the app that had ended before counts: %+v", r.Sessions[0].Apps)
	}
	want("one session", r, 1, true, one)
	others := s.end(endOthers(kept))
	want("all others", read(others, 10), 1, true, two)
	last := s.session(a.ID)
	account := s.end(endAll(a.ID))
	later := s.session(a.ID)
	want("the account", read(account, 10), 2, true, kept, last)
	if r = read(account, 1); len(r.Sessions) != 1 || r.Whole {
		t.Errorf("a part: %d sessions, whole %v", len(r.Sessions), r.Whole)
	}
	s.writeEnds()
	want("the account, once the ends are written", read(account, 10), 2, true, kept, last)
	s.end(endOne(later))

	// Deliveries about its sessions, by themselves or with all of the account; none of an earlier end, or of others.
	from, err := s.LogCursor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	owed := func(v exeunt.SessionID, c exeunt.ClientID, e Ending) exeunt.Delivery {
		return exeunt.Delivery{Account: a.ID, Session: v, Client: c, Seq: e.Seq, At: e.At}
	}
	early := owed(one.ID, "early", single)
	early.At = epoch.Add(-time.Hour)
	if _, err := s.RecordOwed(t.Context(), from, LogCursor{Seq: account.Seq}, []exeunt.Delivery{early,
		owed(one.ID, "photos", single), owed(two.ID, "chirp", others), owed(exeunt.SessionID{}, "bulk", account)}, nil, epoch); err != nil {
		t.Fatal(err)
	}
	told := func(r Recorded) (list []string) {
		for _, d := range r.Told {
			list = append(list, string(d.Client))
		}
		return list
	}
	if r = read(single, 10); !slices.Equal(told(r), []string{"bulk", "photos"}) || !r.ToldKnown {
		t.Errorf("one session: %v, known %v", told(r), r.ToldKnown)
	}
	if r = read(others, 10); !slices.Equal(told(r), []string{"bulk", "chirp"}) {
		t.Errorf("all others: %v", told(r))
	}
	// An ending of that number at another time is none: a restored database counts on from an earlier one.
	_, err = s.Ending(t.Context(), single.Seq, single.At.Add(time.Millisecond))
	wantErr(t, err, exeunt.ErrReceiptGone)
	_, err = s.Ending(t.Context(), 1<<40, single.At)
	wantErr(t, err, exeunt.ErrReceiptGone)

	// The session goes first, then the event.
	s.readLog()
	r30 := Retention{Ended: time.Hour, Audit: 100 * time.Hour}
	late := epoch.Add(50 * time.Hour)
	for range 3 {
		if _, err := s.Purge(t.Context(), r30, late); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.WorkOffDue(t.Context(), r30, late); err != nil {
			t.Fatal(err)
		}
	}
	want("one session, deleted", read(single, 10), 1, false)
	want("the account, deleted", read(account, 10), 2, false)
	s.writeEnds()
	s.readLog()
	if _, err := s.Purge(t.Context(), r30, epoch.Add(200*time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err = s.Ending(t.Context(), account.Seq, account.At)
	wantErr(t, err, exeunt.ErrReceiptGone)
}

func TestReceiptKeysAreKept(t *testing.T) { onEachEngine(t, receiptKeysAreKept) }

func receiptKeysAreKept(t *testing.T, s *testStore) {
	for i, k := range []string{"one", "two", "one"} {
		if err := s.KeepReceiptKey(t.Context(), ReceiptKey{ID: k, Key: []byte(`{"kid":"` + k + `"}`),
			Created: epoch.Add(time.Duration(i) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DropKeys(t.Context()); err != nil { // after a lost master key
		t.Fatal(err)
	}
	list, err := s.ReceiptKeys(t.Context())
	if err != nil || len(list) != 2 || list[0].ID != "two" || !list[1].Created.Equal(epoch) || string(list[0].Key) != `{"kid":"two"}` {
		t.Errorf("%+v, %v", list, err)
	}
}
