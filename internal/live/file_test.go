package live

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func anyMark(Mark) error { return nil }

func noCaller(int64) ([]byte, error) { return nil, nil }

// save returns the file of an index.
func save(t testing.TB, x *Index, caller string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := x.Save(&out, func(int64) ([]byte, error) { return []byte(caller), nil }); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (x *Index) loadBytes(file []byte, accept func(Mark) error) error {
	return x.Load(bytes.NewReader(file), int64(len(file)), accept)
}

// saved is an index with something of everything, and its file.
func saved(t testing.TB) (x *Index, all map[exeunt.TokenHash]State, file []byte) {
	t.Helper()
	x, all = New(7, Options{}), map[exeunt.TokenHash]State{}
	seq := int64(7)
	do := func(scope exeunt.Scope, s Snapshot, app exeunt.AppSessionID, generation int64) {
		seq++
		e := event(seq, scope, s.Session.Account, s.Session.ID, generation)
		e.AppSession = app
		if err := x.Apply([]exeunt.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	insert := func(s Snapshot, parent, app State) Snapshot {
		s.Seq = seq
		if !x.Insert(s) {
			t.Fatal("not inserted")
		}
		all[s.Hash] = parent
		if s.App != nil {
			all[s.AppHash] = app
		}
		return s
	}
	for range 60 {
		insert(withApp(snapshot(seq, exeunt.NewAccountID(), 1)), Usable, Usable)
	}
	gone := insert(withApp(snapshot(seq, exeunt.NewAccountID(), 1)), Absent, Absent)
	do(exeunt.ScopeSession, gone, exeunt.AppSessionID{}, 0)
	x.Forget() // leaves free entries and a free cohort
	ended := insert(withApp(snapshot(seq, exeunt.NewAccountID(), 1)), Ended, Ended)
	do(exeunt.ScopeSession, ended, exeunt.AppSessionID{}, 0)
	half := insert(withApp(snapshot(seq, exeunt.NewAccountID(), 1)), Usable, Ended)
	do(exeunt.ScopeSession, half, half.App.ID, 0)
	acc := exeunt.NewAccountID()
	insert(withApp(snapshot(seq, acc, 1)), Ended, Ended)
	keep := insert(withApp(snapshot(seq, acc, 1)), Usable, Usable)
	do(exeunt.ScopeOthers, keep, exeunt.AppSessionID{}, 2)
	late := snapshot(seq, exeunt.NewAccountID(), 1)
	late.Session.Kind, late.Session.Idle = exeunt.KindShared, time.Minute
	insert(late, TimedOut, Absent)
	want(t.(*testing.T), x, late.Hash, epoch.Add(time.Minute), TimedOut)
	return x, all, save(t, x, "who I am")
}

func TestTheFileCarriesTheTable(t *testing.T) {
	x, all, file := saved(t)
	y := New(0, Options{})
	var some Snapshot // which somebody wished to end, and nobody knows whether they did
	for h, state := range all {
		if a := x.Check(h, epoch); state == Usable && a.App.IsZero() {
			some.Hash, some.Session.ID, some.Session.Account, some.Session.Generation = h, a.Session, a.Account, 1
			break
		}
	}
	doubt := exeunt.Revocation{Target: exeunt.Target{Account: some.Session.Account, Scope: exeunt.ScopeSession,
		Session: some.Session.ID}}
	y.PutInDoubt(doubt.Target)
	var mark Mark
	if err := y.loadBytes(file, func(m Mark) error { mark = m; return nil }); err != nil {
		t.Fatal(err)
	}
	left := 3 // a session that ended by itself, its app session, and an app session that did
	if mark.Seq != x.Applied() || string(mark.Caller) != "who I am" || y.Applied() != x.Applied() ||
		y.Len() != x.Len()-left {
		t.Errorf("mark %+v, applied %d of %d, %d tokens of %d", mark, y.Applied(), x.Applied(), y.Len(), x.Len())
	}
	want(t, y, some.Hash, epoch, Indeterminate)
	y.Resolve(doubt.Target)
	check := func() {
		t.Helper()
		for h, state := range all {
			if state == Ended { // that, the store tells
				want(t, y, h, epoch, Absent)
				continue
			}
			want(t, y, h, epoch, state)
			a, b := x.Check(h, epoch), y.Check(h, epoch)
			if a.Session != b.Session || a.App != b.App || a.Account != b.Account || a.Client != b.Client ||
				a.Kind != b.Kind ||
				a.issued != b.issued || a.expires != b.expires || a.idleAt != b.idleAt || a.profile != b.profile {
				t.Errorf("saved %+v, loaded %+v", a, b)
			}
		}
	}
	check()
	if l := y.Late(epoch.Add(time.Minute)); len(l) != 1 || l[0].Reason != exeunt.ReasonIdle {
		t.Errorf("late: %+v", l)
	}
	// It goes on from there: events end what they cover, entries are reused,
	// snapshots from before are refused.
	apply(t, y, event(y.Applied()+1, exeunt.ScopeAccount, some.Session.Account, exeunt.SessionID{}, 5))
	apply(t, y, event(y.Applied()+1, exeunt.ScopeSession, some.Session.Account, some.Session.ID, 0))
	want(t, y, some.Hash, epoch, Ended)
	// What was read before the file was written may be covered by events that
	// this index has never seen.
	for _, s := range []Snapshot{some, snapshot(x.Applied()-1, exeunt.NewAccountID(), 1)} {
		if y.Insert(s) {
			t.Error("a snapshot from before the file was inserted")
		}
	}
	if !y.Insert(snapshot(x.Applied(), exeunt.NewAccountID(), 1)) {
		t.Error("a snapshot as old as the file was refused")
	}
	before := y.Len()
	y.Forget()
	if n := y.Len(); n >= before {
		t.Errorf("%d tokens after forgetting the dead of %d", n, before)
	}
	if err := y.loadBytes(file, anyMark); !errors.Is(err, ErrFile) {
		t.Errorf("loaded over what is there: %v", err)
	}
}

// What was used since the file was written only the store knows.
func TestLoadedSessionsAreAskedForBeforeTheyAreIdle(t *testing.T) {
	s := snapshot(0, exeunt.NewAccountID(), 1)
	x := New(0, Options{})
	x.Insert(s)
	file := save(t, x, "")
	x = New(0, Options{})
	if err := x.loadBytes(file, anyMark); err != nil {
		t.Fatal(err)
	}
	want(t, x, s.Hash, epoch.Add(time.Hour-time.Millisecond), Usable)
	want(t, x, s.Hash, epoch.Add(time.Hour), SeemsIdle)
	s.Session.Seen, s.Asked = epoch.Add(10*time.Minute), epoch.Add(time.Hour)
	x.Insert(s)
	want(t, x, s.Hash, epoch.Add(time.Hour), Usable)
	want(t, x, s.Hash, epoch.Add(70*time.Minute), TimedOut) // nobody but this node touches it any more
}

// Damage at any place is found, and leaves the index empty.
func TestDamagedFiles(t *testing.T) {
	_, _, file := saved(t)
	refused := func(what string, b []byte) {
		t.Helper()
		x := New(0, Options{})
		err := x.loadBytes(b, anyMark)
		if !errors.Is(err, ErrFile) || x.Len() != 0 || x.Applied() != 0 {
			t.Errorf("%s: %v, %d tokens, applied %d", what, err, x.Len(), x.Applied())
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		b := bytes.Clone(file)
		at := r.IntN(len(b))
		b[at] ^= 1 << r.IntN(8)
		refused("a flipped bit", b)
		refused("cut short", file[:r.IntN(len(file))])
	}
	for _, p := range parts(t, file) { // a bit of each part's head, and one of what follows
		for _, at := range []int64{p.at - partHead + r.Int64N(partHead), p.at + r.Int64N(max(p.length, 1))} {
			if at == int64(len(file)) {
				continue // it is empty, and the last
			}
			b := bytes.Clone(file)
			b[at] ^= 1 << r.IntN(8)
			refused("a flipped bit in a part", b)
		}
	}
	for at := range fileHead { // the first line, byte by byte
		b := bytes.Clone(file)
		b[at] ^= 0x10
		refused("a flipped bit in front", b)
	}
	refused("nothing", nil)
	refused("something else", []byte(strings.Repeat("-----BEGIN", 100)))
	foreign := New(0, Options{})
	other := errors.New("another installation")
	if err := foreign.loadBytes(file, func(Mark) error { return other }); !errors.Is(err, other) || foreign.Len() != 0 {
		t.Errorf("foreign: %v", err)
	}
	for version, said := range map[uint32]string{fileVersion - 1: "version 3", fileVersion + 1: "version 5"} {
		b := bytes.Clone(file)
		binary.LittleEndian.PutUint32(b[len(fileMagic):], version)
		if err := New(0, Options{}).loadBytes(b, anyMark); !errors.Is(err, ErrFile) ||
			!strings.Contains(err.Error(), said) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// Whatever the words of a file say, as long as its checksums are right, the
// table it makes is one that can be asked, or it is refused.
func TestFilesThatDoNotFitTogether(t *testing.T) {
	_, tokens, file := saved(t)
	r := rand.New(rand.NewPCG(3, 4))
	loaded := 0
	all := parts(t, file)
	for range 300 {
		b := bytes.Clone(file)
		for range 1 + r.IntN(20) {
			p := all[r.IntN(len(all))]
			if p.length > 0 {
				b[p.at+r.Int64N(p.length)] = byte(r.Uint32() >> r.IntN(32))
			}
		}
		x := New(0, Options{})
		if err := x.loadBytes(resum(b), anyMark); err != nil {
			if !errors.Is(err, ErrFile) || x.Len() != 0 {
				t.Fatalf("%v, %d tokens", err, x.Len())
			}
			continue
		}
		loaded++
		exercise(x, tokens)
	}
	if loaded == 0 {
		t.Error("all were refused, so that nothing was tried")
	}
}

func exercise(x *Index, all map[exeunt.TokenHash]State) {
	for h := range all {
		x.Touch(x.Check(h, epoch), epoch.Add(time.Second))
	}
	x.MarkSaved(x.Unsaved())
	x.Late(epoch)
	x.Forget()
	x.Insert(withApp(snapshot(x.Applied(), exeunt.NewAccountID(), 1)))
	_ = x.Save(io.Discard, noCaller)
}

// resum writes the checksums that a file's parts would have.
func resum(file []byte) []byte {
	all, _ := partsOf(bytes.NewReader(file), int64(len(file)))
	for _, p := range all {
		binary.LittleEndian.PutUint32(file[p.at-4:], crc32.Checksum(file[p.at:p.at+p.length], castagnoli))
	}
	return file
}

func parts(t *testing.T, file []byte) []part {
	t.Helper()
	all, err := partsOf(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// FuzzLoad: a file may be anything at all.
func FuzzLoad(f *testing.F) {
	x := New(0, Options{})
	s := withApp(snapshot(0, exeunt.NewAccountID(), 1))
	x.Insert(s)
	file := save(f, x, "mark")
	f.Add([]byte{}, false)
	f.Add(file, false)
	f.Add(file, true)
	f.Add(file[:200], true)
	all := map[exeunt.TokenHash]State{s.Hash: Usable, s.AppHash: Usable}
	f.Fuzz(func(t *testing.T, b []byte, sums bool) {
		if sums {
			b = resum(bytes.Clone(b))
		}
		x := New(0, Options{})
		if err := x.loadBytes(b, anyMark); err == nil {
			exercise(x, all)
		} else if !errors.Is(err, ErrFile) || x.Len() != 0 {
			t.Fatalf("%v, %d tokens", err, x.Len())
		}
	})
}

// An account has one current cohort: whoever ends its sessions ends those of that one.
func TestTwoCurrentCohortsOfAnAccountAreRefused(t *testing.T) {
	x := New(0, Options{})
	for range 2 {
		x.Insert(snapshot(0, exeunt.NewAccountID(), 1))
	}
	file := save(t, x, "")
	cohorts := parts(t, file)[shardCount]
	copy(file[cohorts.at+cohortLen:][:16], file[cohorts.at:]) // of the first one's account
	if err := New(0, Options{}).loadBytes(resum(file), anyMark); !errors.Is(err, ErrFile) {
		t.Errorf("loaded: %v", err)
	}
}

// What was copied before a reset is of another history than what is copied after it.
func TestAResetEndsASave(t *testing.T) {
	x := New(5, Options{})
	d := &disturbed{at: map[int]bool{100: true}, do: func() { x.Reset(3) }}
	if err := x.Save(d, noCaller); err == nil {
		t.Error("the file was written")
	}
	if err := x.Save(&disturbed{}, noCaller); err != nil {
		t.Errorf("the next file: %v", err)
	}
}

// What is written of a cohort that changes meanwhile is of different moments,
// whichever part it is that has been written by then.
func TestCohortsThatChangeDuringASave(t *testing.T) {
	ends := func(scope exeunt.Scope, account exeunt.AccountID, keep exeunt.SessionID) *exeunt.Event {
		e := event(1, scope, account, keep, 2)
		return &e
	}
	one, alone, passed := snapshot(0, exeunt.NewAccountID(), 1), snapshot(0, exeunt.NewAccountID(), 1),
		snapshot(0, exeunt.NewAccountID(), 1)
	known := []Snapshot{one, alone, passed, snapshot(0, one.Session.Account, 1), snapshot(0, passed.Session.Account, 1),
		snapshot(0, passed.Session.Account, 2)}
	for name, change := range map[string]struct {
		event *exeunt.Event
		comes exeunt.AccountID // with a session, after the event
	}{
		"an account comes": {comes: exeunt.NewAccountID()},
		"a session comes":  {comes: one.Session.Account},
		"all end":          {event: ends(exeunt.ScopeAccount, one.Session.Account, exeunt.SessionID{})},
		"all but one end":  {event: ends(exeunt.ScopeOthers, one.Session.Account, one.Session.ID)},
		"all there are, are kept": {event: ends(exeunt.ScopeOthers, alone.Session.Account, alone.Session.ID),
			comes: exeunt.NewAccountID()},
		"one turns out to be kept": {event: ends(exeunt.ScopeOthers, passed.Session.Account, passed.Session.ID)},
	} {
		// Before all, before the second and in the midst of the shards, and before each part after them.
		for _, at := range []int{1, 2, 100, 1 + shardCount, 2 + shardCount, 3 + shardCount} {
			x, y := New(0, Options{}), New(0, Options{})
			for _, s := range known {
				if !x.Insert(s) {
					t.Fatal("not inserted")
				}
			}
			d := &disturbed{at: map[int]bool{at: true}, do: func() {
				if change.event != nil {
					apply(t, x, *change.event)
				}
				if !change.comes.IsZero() && !x.Insert(snapshot(x.Applied(), change.comes, 1)) {
					t.Fatal("not inserted")
				}
			}}
			if err := x.Save(d, noCaller); err != nil {
				t.Fatal(err)
			}
			if err := y.loadBytes(d.file.Bytes(), anyMark); err != nil {
				t.Fatalf("%s before part %d: %v", name, at, err)
			}
			y.sound(t)
			if change.event != nil {
				apply(t, y, *change.event)
			}
			for _, s := range known {
				// What was not whole is left out, and loaded when it is asked for.
				if was, is := x.Check(s.Hash, epoch).State, y.Check(s.Hash, epoch).State; is != was && is != Absent {
					t.Errorf("%s before part %d: a session is %v, was %v", name, at, is, was)
				}
			}
			y.sound(t)
		}
	}
}
