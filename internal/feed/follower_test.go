package feed

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// server is a log as a test wants it to be seen.
type server struct {
	events  []exeunt.Event
	before  int64 // events deleted because they were old
	confirm error
	asked   int
}

func (s *server) Confirm(context.Context) (time.Time, error) {
	s.asked++
	return time.Time{}, s.confirm
}

func (s *server) Next(_ context.Context, seq int64, limit int, _ time.Duration) (out []exeunt.Event, err error) {
	for _, e := range s.events {
		if e.Seq >= seq && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

func (s *server) Head(context.Context) (int64, error) { return s.before + int64(len(s.events)), nil }
func (s *server) Server() int64                       { return 1 }
func (s *server) History() string                     { return "h" }
func (s *server) Close()                              {}

func ends(seq int64) exeunt.Event {
	return exeunt.Event{Seq: seq, Kind: exeunt.EventEnded,
		Target: exeunt.Target{Account: exeunt.NewAccountID(), Scope: exeunt.ScopeSession,
			Session: exeunt.NewSessionID()}}
}

func newFollower() (*Follower, *live.Index) {
	f := &Follower{Staleness: time.Hour, Log: slog.New(slog.DiscardHandler)}
	index := live.New(0, live.Options{})
	New(memoryOf(index), f)
	return f, index
}

// If a heartbeat comes between a look into memory and the question whether it is fresh, the old answer must not
// count as fresh.
func TestAWindowIsNotOpenedByALaterHeartbeat(t *testing.T) {
	f, _ := newFollower()
	f.Staleness = time.Millisecond
	if err := f.beat(t.Context(), &server{}); err != nil {
		t.Fatal(err)
	}
	w := f.feed.Window()
	for w.Open() {
	}
	f.Staleness = time.Hour
	if err := f.beat(t.Context(), &server{}); err != nil {
		t.Fatal(err)
	}
	if w.Open() || !f.feed.Fresh() {
		t.Errorf("the old window is open: %v; memory is fresh: %v", w.Open(), f.feed.Fresh())
	}
}

func TestOnlyAConfirmedHeartbeatMakesFresh(t *testing.T) {
	f, index := newFollower()
	src := &server{events: []exeunt.Event{ends(1), ends(2)},
		confirm: errors.New("the wait for the standby was cancelled")}
	if err := f.beat(t.Context(), src); err == nil || f.feed.Fresh() {
		t.Errorf("%v, fresh %v", err, f.feed.Fresh())
	}
	// Reading on makes nothing fresh either.
	if err := f.catchUp(t.Context(), src, 0); err != nil || index.Applied() != 2 || f.feed.Fresh() {
		t.Errorf("%v, applied %d, fresh %v", err, index.Applied(), f.feed.Fresh())
	}
	src.confirm = nil
	if err := f.beat(t.Context(), src); err != nil || !f.feed.Fresh() {
		t.Errorf("%v, fresh %v", err, f.feed.Fresh())
	}
}

// A server that counts no more has another history too, so finding one without a confirmed heartbeat changes
// nothing.
func TestAnotherHistoryCountsOnlyOnceConfirmed(t *testing.T) {
	f, index := newFollower()
	log := []exeunt.Event{ends(1), ends(2), ends(3)}
	if err := f.beat(t.Context(), &server{events: log}); err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string][]exeunt.Event{
		"another event": {log[0], log[1], ends(3), ends(4)}, "a shorter one": log[:2],
		"a hole": {log[0], log[1], log[2], ends(5)},
	} {
		epoch := index.Epoch()
		src := &server{events: other}
		if err := f.catchUp(t.Context(), src, 0); !errors.Is(err, errDiverged) || index.Epoch() != epoch {
			t.Errorf("%s: %v, epoch %d → %d", name, err, epoch, index.Epoch())
		}
		if err := f.beat(t.Context(), src); err != nil || index.Epoch() == epoch ||
			index.Applied() != int64(len(other)) || !f.feed.Fresh() {
			t.Errorf("%s, confirmed: %v, epoch %d → %d, applied %d", name, err, epoch, index.Epoch(), index.Applied())
		}
		f.feed.Begin(0)
		if f.last = nil; f.beat(t.Context(), &server{events: log}) != nil {
			t.Fatal("the first history again")
		}
	}
}

// Whatever happened to a node, it names the same position as another node on the same log, and none of its readers
// stays in a log that is gone.
func TestNodesAgreeOnAPlaceAgain(t *testing.T) {
	follow := func(log []exeunt.Event) (*Follower, *live.Index) {
		f, index := newFollower()
		if err := f.beat(t.Context(), &server{events: log}); err != nil {
			t.Fatal(err)
		}
		return f, index
	}
	log := []exeunt.Event{ends(1), ends(2), ends(3)}
	for i := range log {
		log[i].Row = 700
	}
	putBack := slices.Clone(log)
	for i := range putBack {
		putBack[i].Row = 800
	}
	for name, other := range map[string][]exeunt.Event{
		"as long":                  {log[0], log[1], ends(3)},
		"longer":                   {log[0], log[1], ends(3), ends(4)},
		"shorter":                  log[:2],
		"a copy that was put back": putBack,
	} {
		f, index := follow(log)
		before, epoch := f.feed.Position(), index.Epoch()
		late, _ := follow(other)
		if err := f.beat(t.Context(), &server{events: other}); err != nil {
			t.Fatal(err)
		}
		now, want := f.feed.Position(), late.feed.Position()
		if index.Epoch() == epoch || now.Digest == "" || now.Seq != want.Seq || now.Digest != want.Digest ||
			now.Epoch != want.Epoch {
			t.Errorf("%s: one node is at %+v, the other at %+v", name, now, want)
		}
		for _, f := range []*Follower{f, late} {
			if _, ok := f.feed.Resume(before.Epoch, before.Seq, before.Digest); ok {
				t.Errorf("%s: a reader of the lost log goes on in this one", name)
			}
		}
		if _, _, _, ok := f.feed.Since(before.Place, 1); ok {
			t.Errorf("%s: an open stream goes on", name)
		}
		if _, ok := late.feed.Resume(now.Epoch, now.Seq, now.Digest); !ok {
			t.Errorf("%s: a reader cannot go from one node to the other", name)
		}
	}
}

// What an earlier run left is believed only if the log that is followed now has the same event where that ended.
func TestMemoryOfAnEarlierRunMustFitTheLog(t *testing.T) {
	log := []exeunt.Event{ends(1), ends(2), ends(3)}
	for name, c := range map[string]struct {
		now  []exeunt.Event
		kept bool
	}{
		"the same":           {log, true},
		"the same, gone on":  {append(log[:3:3], ends(4)), true},
		"another last event": {[]exeunt.Event{log[0], log[1], ends(3), ends(4)}, false},
		"a shorter one":      {log[:2], false},
	} {
		f, index := newFollower()
		if err := index.Apply(log); err != nil {
			t.Fatal(err)
		}
		f.GoOn(&log[2])
		epoch := index.Epoch()
		if err := f.beat(t.Context(), &server{events: c.now}); err != nil {
			t.Fatal(err)
		}
		if kept := index.Epoch() == epoch; kept != c.kept || index.Applied() != int64(len(c.now)) || !f.feed.Fresh() {
			t.Errorf("%s: memory kept %v, want %v; applied %d, fresh %v", name, kept, c.kept, index.Applied(),
				f.feed.Fresh())
		}
	}
}

// All events but the last may have been deleted because of their age.
func TestALogThatWasDeletedForItsAgeIsNoOther(t *testing.T) {
	f, index := newFollower()
	log := []exeunt.Event{ends(1), ends(2)}
	if err := f.beat(t.Context(), &server{events: log}); err != nil {
		t.Fatal(err)
	}
	epoch := index.Epoch()
	if err := f.beat(t.Context(), &server{before: 1, events: log[1:]}); err != nil || index.Epoch() != epoch ||
		!f.feed.Fresh() {
		t.Errorf("%v, epoch %d → %d", err, epoch, index.Epoch())
	}
}

// The server that has confirmed may be deposed by then, and this node may have ended a session on its successor:
// what it reads of that session afterwards must not make it usable.
func TestOwnEndingsOutliveAReplacedHistory(t *testing.T) {
	f, index := newFollower()
	old := []exeunt.Event{ends(1), ends(2)}
	if err := f.beat(t.Context(), &server{events: old}); err != nil {
		t.Fatal(err)
	}
	s := live.Snapshot{}
	s.Snapshot = exeunt.Snapshot{Hash: exeunt.NewToken(exeunt.UseSession).Hash(), Session: exeunt.Session{
		ID: exeunt.NewSessionID(), Account: exeunt.NewAccountID(), Started: time.Now(), Seen: time.Now(),
		Idle: time.Hour, ExpiresAt: time.Now().Add(time.Hour)}}
	insert := func(seq int64) live.State {
		s.Seq, s.Epoch = seq, index.Epoch()
		index.Insert(s)
		return index.Check(s.Hash, time.Now()).State
	}
	other := &late{server{events: []exeunt.Event{old[0], ends(2), ends(3), ends(4)}}, func() {
		mine := ends(3)
		mine.Account, mine.Session = s.Session.Account, s.Session.ID
		if err := f.feed.Own([]exeunt.Event{mine}); err != nil {
			t.Fatal(err)
		}
	}}
	if err := f.beat(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if got := insert(4); got != live.Indeterminate {
		t.Errorf("a session that this node has just ended is %v", got)
	}
	if err := f.beat(t.Context(), &other.server); err != nil {
		t.Fatal(err)
	}
	if got := insert(4); got == live.Indeterminate {
		t.Error("the ending is never resolved")
	}
}

// late is a server during whose confirmation something happens.
type late struct {
	server
	meanwhile func()
}

func (l *late) Confirm(ctx context.Context) (time.Time, error) {
	l.meanwhile()
	return l.server.Confirm(ctx)
}
