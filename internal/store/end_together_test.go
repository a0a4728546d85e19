package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// What is ended together has the outcome that it would have by itself.
func TestEndingsTogether(t *testing.T) { onEachEngine(t, endingsTogether) }

func endingsTogether(t *testing.T, s *testStore) {
	a, b := s.account(), s.account()
	now := epoch.Add(90 * time.Minute) // idle 1 h, absolute 24 h
	person := func(v exeunt.Session) exeunt.Actor {
		return exeunt.Actor{Kind: exeunt.ActorPerson, Account: v.Account, Session: v.ID, Label: "made up"}
	}
	type wish struct {
		name   string
		by     exeunt.Actor
		rev    exeunt.Revocation
		err    error
		out    Ending
		ending *exeunt.Ended
	}
	ended := func(v exeunt.Session, by exeunt.Actor, label string, at time.Time, reason exeunt.Reason) *exeunt.Ended {
		return &exeunt.Ended{At: at, Reason: reason, By: by.Kind, BySession: by.Session, ByLabel: label}
	}
	one := Ending{At: now, Ended: 1}
	var wishes []*wish
	add := func(name string, by exeunt.Actor, rev exeunt.Revocation, err error, out Ending, e *exeunt.Ended) *wish {
		w := &wish{name, by, rev, err, out, e}
		wishes = append(wishes, w)
		return w
	}
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}

	generation := s.session(b.ID)
	s.end(endAll(b.ID))
	before := s.session(a.ID)
	s.end(endOne(before))
	known := s.session(a.ID)
	keyed := endOne(known)
	keyed.Key = "known"
	if _, err := s.End(t.Context(), operator, keyed, Change{}, now); err != nil {
		t.Fatal(err)
	}

	for i := range 70 { // more than there are rows in one statement
		v := s.session([]exeunt.AccountID{a.ID, b.ID}[i%2])
		add(fmt.Sprint("own ", i), person(v), endOne(v), nil, one,
			ended(v, person(v), "a browser", now, exeunt.ReasonSignedOut))
	}
	v := s.session(a.ID)
	own := endOne(v)
	own.Key = "own"
	add("own with a key", person(v), own, nil, one, ended(v, person(v), "a browser", now, exeunt.ReasonSignedOut))
	add("own with the same key", person(v), own, nil, Ending{At: now, Ended: 1, Already: true}, nil)
	v = s.session(a.ID)
	add("an operator's", operator, endOne(v), nil, one, ended(v, operator, "root", now, exeunt.ReasonSignedOut))
	add("the same again", exeunt.System(), endOne(v), nil, Ending{At: now, Already: true}, nil)
	v = s.session(a.ID)
	rev := endOne(v)
	rev.Key = "fresh"
	add("with a key", operator, rev, nil, one, ended(v, operator, "root", now, exeunt.ReasonSignedOut))
	add("with the same key", operator, rev, nil, Ending{At: now, Ended: 1, Already: true}, nil)
	v = s.session(a.ID)
	rev = endOne(v)
	rev.Key = "fresh"
	add("with a key that is used beside it", operator, rev, exeunt.ErrKeyReused, Ending{}, nil)
	rev.Key = "known"
	add("with a key that was used before", operator, rev, exeunt.ErrKeyReused, Ending{}, nil)
	add("whose key has its outcome", operator, keyed, nil, Ending{At: now, Ended: 1, Already: true}, nil)
	rev.Key = "fresh" // another actor's
	add("another's key", exeunt.System(), rev, nil, one, ended(v, exeunt.System(), "", now, exeunt.ReasonSignedOut))
	v = s.session(a.ID)
	rev = endOne(v)
	rev.Reason = exeunt.ReasonIdle
	add("idle", exeunt.System(), rev, nil, one, ended(v, exeunt.System(), "", epoch.Add(time.Hour), exeunt.ReasonIdle))
	v = s.session(a.ID)
	rev = endOne(v)
	rev.Reason = exeunt.ReasonAbsolute
	add("not yet", exeunt.System(), rev, ErrStillGood, Ending{}, nil)
	add("ended before", exeunt.System(), endOne(before), nil, Ending{At: now, Already: true}, nil)
	add("ended with others", exeunt.System(), endOne(generation), nil, Ending{At: now, Already: true}, nil)
	nobody := exeunt.Session{ID: exeunt.NewSessionID(), Account: a.ID}
	add("nobody's", exeunt.System(), endOne(nobody), exeunt.ErrNotFound, Ending{}, nil)
	foreign := s.session(b.ID)
	foreign.Account = a.ID
	add("another account's", exeunt.System(), endOne(foreign), exeunt.ErrNotFound, Ending{}, nil)

	release := s.hold()
	head, transactions := s.count(`SELECT seq FROM log_head`), s.count(`SELECT touched FROM log_head`)
	var wg sync.WaitGroup
	outs, errs := make([]Ending, len(wishes)), make([]error, len(wishes))
	for i, w := range wishes {
		wg.Go(func() { outs[i], errs[i] = s.End(context.Background(), w.by, w.rev, Change{}, now) })
		s.queued(i + 1) // in this order
	}
	release()
	wg.Wait()
	if n := s.count(`SELECT touched FROM log_head`) - transactions; n > 3 {
		t.Errorf("%d transactions", n)
	}
	numbers := map[int64]bool{}
	for i, w := range wishes {
		wantErr(t, errs[i], w.err)
		if outs[i].Seq > head && !outs[i].Already {
			if numbers[outs[i].Seq] {
				t.Errorf("%s: its number %d is given twice", w.name, outs[i].Seq)
			}
			numbers[outs[i].Seq] = true
		} else if w.out.Ended == 1 && !w.out.Already {
			t.Errorf("%s: its number is %d", w.name, outs[i].Seq)
		}
		if w.err == nil && (!outs[i].At.Equal(w.out.At) || outs[i].Ended != w.out.Ended ||
			outs[i].Already != w.out.Already) {
			t.Errorf("%s: %+v, want %+v", w.name, outs[i], w.out)
		}
		if w.ending == nil {
			continue
		}
		got, err := s.Session(t.Context(), w.rev.Account, w.rev.Session)
		if err != nil || got.End == nil || !got.End.At.Equal(w.ending.At) {
			t.Errorf("%s: %+v, %v", w.name, got.End, err)
			continue
		}
		got.End.At = w.ending.At
		if *got.End != *w.ending {
			t.Errorf("%s: ended as %+v, want %+v", w.name, *got.End, *w.ending)
		}
	}
	if n := s.count(`SELECT count(*) FROM outcomes`); n != 3 {
		t.Errorf("%d outcomes are kept, want 3", n)
	}
	s.checkLog()
}
