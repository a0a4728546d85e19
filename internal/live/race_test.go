package live

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// Checks, notes of activity, insertions, events, evictions, scans and resets
// at once: an answer is about the session whose token was asked for, and what
// has ended stays refused. Places change hands all the time, as all sessions
// are in two shards and few are kept.
func TestChecksBesideChanges(t *testing.T) {
	x := New(0, Options{Limit: 300})
	const accounts, each = 8, 40
	type one struct {
		Snapshot
		over *atomic.Bool
	}
	var all []one
	kept := map[exeunt.AccountID]exeunt.SessionID{}
	for range accounts {
		acc := exeunt.NewAccountID()
		for range each {
			s := withApp(snapshot(0, acc, 1))
			s.Hash[0], s.AppHash[0] = 0, 1
			all = append(all, one{s, new(atomic.Bool)})
			kept[acc] = s.Session.ID
		}
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	var usable atomic.Int64
	for worker := range 2 {
		wg.Go(func() {
			for i := worker; !stop.Load(); i += 7 {
				s := all[i%len(all)]
				h, app := s.Hash, exeunt.AppSessionID{}
				if i%2 == 0 {
					h, app = s.AppHash, s.App.ID
				}
				over := s.over.Load()
				a := x.Check(h, epoch)
				if a.State == Absent {
					runtime.Gosched()
					continue
				}
				if a.Session != s.Session.ID || a.Account != s.Session.Account || a.App != app ||
					!a.IssuedAt().Equal(s.Session.Started) {
					t.Errorf("asked for %v, answered %+v", s.Session.ID, a)
					return
				}
				if a.Usable() {
					usable.Add(1)
					if over {
						t.Error("an ended session is usable")
						return
					}
				}
				x.Touch(a, epoch.Add(time.Duration(i%1000)*time.Millisecond))
			}
		})
	}
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ {
			s := all[i*13%len(all)].Snapshot
			s.Epoch, s.Dropped, s.Seq = x.Epoch(), x.Dropped(), 0
			x.Insert(s)
			switch i % 50 {
			case 0:
				x.Forget()
			case 1:
				x.MarkSaved(x.Unsaved())
			case 2:
				x.Late(epoch)
				x.SeenAt(s.Session.ID)
			}
		}
	})
	seq := int64(0)
	do := func(e exeunt.Event) {
		seq++
		e.Seq = seq
		if seq%3 == 0 {
			x.ApplyOwn([]exeunt.Event{e})
		}
		if err := x.Apply([]exeunt.Event{e}); err != nil {
			t.Error(err)
		}
	}
	for round := range each {
		for i, s := range all {
			if i%each == round && s.Session.ID != kept[s.Session.Account] {
				do(event(0, exeunt.ScopeSession, s.Session.Account, s.Session.ID, 0))
				s.over.Store(true)
			}
		}
		time.Sleep(time.Millisecond)
	}
	for acc, id := range kept {
		do(event(0, exeunt.ScopeOthers, acc, id, 2))
	}
	for _, s := range all {
		if s.Session.ID != kept[s.Session.Account] {
			s.over.Store(true)
		}
	}
	time.Sleep(20 * time.Millisecond)
	stop.Store(true)
	wg.Wait()
	if usable.Load() == 0 {
		t.Error("nothing was ever usable")
	}
}

// Nobody who is there is missed while tables grow.
func TestGrowthHidesNobody(t *testing.T) {
	x := New(0, Options{})
	var known atomic.Int64
	const n = 5_000
	all := make([]Snapshot, n)
	for i := range all {
		all[i] = snapshot(0, exeunt.NewAccountID(), 1)
		all[i].Hash[0] = 0 // in one shard, which grows dozens of times
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := 0; known.Load() < n; i += 17 {
				k := known.Load()
				if k == 0 {
					runtime.Gosched()
					continue
				}
				if state := x.Check(all[int64(i)%k].Hash, epoch).State; state != Usable {
					t.Errorf("number %d of %d is %v", int64(i)%k, k, state)
					return
				}
			}
		})
	}
	for i := range all {
		x.Insert(all[i])
		known.Store(int64(i + 1))
	}
	wg.Wait()
}

// Whoever asks for a token while it comes in as the first of its shard may hold
// a view without entries whose slots name one all the same.
func TestChecksBesideTheFirstOfAShard(t *testing.T) {
	for range 40 {
		x := New(0, Options{})
		var asked atomic.Pointer[exeunt.TokenHash]
		var wg sync.WaitGroup
		var stop atomic.Bool
		for range 2 {
			wg.Go(func() {
				for !stop.Load() {
					if h := asked.Load(); h != nil {
						x.Check(*h, epoch)
					}
				}
			})
		}
		for shard := range shardCount {
			s := snapshot(0, exeunt.NewAccountID(), 1)
			s.Hash[0] = byte(shard)
			asked.Store(&s.Hash)
			x.Insert(s)
			want(t, x, s.Hash, epoch, Usable)
		}
		stop.Store(true)
		wg.Wait()
	}
}
