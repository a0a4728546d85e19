package feed

import (
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

func advance(t *testing.T, f *Feed, from, to int64) {
	t.Helper()
	var list []exeunt.Event
	for n := from; n <= to; n++ {
		list = append(list, exeunt.Event{Seq: n, By: exeunt.Actor{Label: "Pixel 8"}, Kind: exeunt.EventEnded,
			Target: exeunt.Target{Account: exeunt.NewAccountID(), Scope: exeunt.ScopeAccount}, Generation: n})
	}
	if err := f.Own(list); err != nil {
		t.Fatal(err)
	}
}

func TestTailIsReadByNumber(t *testing.T) {
	f := New(memoryOf(live.New(40, live.Options{})), nil)
	if p := f.Position(); p.Seq != 40 || p.Epoch == "" || p.Age != 0 ||
		p.Epoch == New(memoryOf(live.New(40, live.Options{})), nil).Position().Epoch {
		t.Errorf("%+v", p)
	}
	at := f.Position().Place
	_, _, more, ok := f.Since(at, 10)
	if !ok {
		t.Error("the head is no place to begin at")
	}
	advance(t, f, 41, 60)
	select {
	case <-more:
	default:
		t.Error("a waiting reader is not told of more")
	}
	for seq := int64(40); seq < 60; {
		list, next, _, ok := f.Since(at, 7)
		if !ok || len(list) == 0 || len(list) > 7 {
			t.Fatalf("after %d: %d events, %v", seq, len(list), ok)
		}
		for _, e := range list {
			if seq++; e.Seq != seq || e.By.Label != "" || e.Digest != e.Event.Digest() {
				t.Fatalf("after %d comes %d by %q", seq-1, e.Seq, e.By.Label)
			}
		}
		if at = next; at.Seq != seq || at.Digest != list[len(list)-1].Digest {
			t.Fatalf("after %d the place is %+v", seq, at)
		}
	}
	if p := f.Position(); p.Place != at {
		t.Errorf("the log ends at %+v, and its reader is at %+v", p.Place, at)
	}
	for _, seq := range []int64{39, 61} {
		if _, ok := f.Resume(f.Position().Epoch, seq, ""); ok {
			t.Errorf("%d is in the log of another history", seq)
		}
	}
}

func TestTailForgetsTheOldest(t *testing.T) {
	f := New(memoryOf(live.New(0, live.Options{})), nil)
	begin := f.Position().Place
	advance(t, f, 1, 5)
	at := f.Position().Place
	advance(t, f, 6, tailSize+5)
	if _, _, _, ok := f.Since(begin, 1); ok {
		t.Error("an event that is no longer there was passed over")
	}
	if list, _, _, ok := f.Since(at, 1); !ok || list[0].Seq != 6 {
		t.Errorf("%v, %v", list, ok)
	}
	// The fifth itself has made room: nobody can tell any more which it was.
	for _, digest := range []string{at.Digest, ""} {
		if _, ok := f.Resume(f.Position().Epoch, 5, digest); ok {
			t.Errorf("the place after %q was found again", digest)
		}
	}
	if _, ok := f.Resume(f.Position().Epoch, 6, f.tail.ring[6].Event.Digest()); !ok {
		t.Error("the oldest event is no place to go on from")
	}
}

// A reader goes on only after the very event that it has.
func TestAPlaceIsTheEventsNotTheNumbers(t *testing.T) {
	f := New(memoryOf(live.New(0, live.Options{})), nil)
	advance(t, f, 1, 3)
	epoch, second, third := f.Position().Epoch, f.tail.ring[2].Event.Digest(), f.tail.ring[3].Event.Digest()
	p, ok := f.Resume(epoch, 2, second)
	if list, _, _, there := f.Since(p, 9); !ok || !there || len(list) != 1 {
		t.Errorf("%v, %v: %d events follow", ok, there, len(list))
	}
	for name, c := range map[string]struct {
		epoch    string
		seq      int64
		digest   string
		resumes  bool
		diverges bool
	}{
		"the event itself":              {epoch, 2, second, true, false},
		"another event":                 {epoch, 2, third, false, true},
		"nonsense":                      {epoch, 2, "x", false, true},
		"more than it":                  {epoch, 2, second + "0", false, true},
		"the number alone":              {epoch, 2, "", false, true},
		"another epoch":                 {"x", 2, second, false, true},
		"no epoch":                      {"", 2, second, false, true},
		"before the first event":        {epoch, 0, "", true, false},
		"something before the first":    {epoch, 0, "x", false, true},
		"an event that is not here yet": {epoch, 4, "x", false, false},
	} {
		if p, ok := f.Resume(c.epoch, c.seq, c.digest); ok != c.resumes || ok && p.Digest != c.digest {
			t.Errorf("%s: resumes %v at %+v", name, ok, p)
		}
		if diverges := f.Diverges(c.epoch, c.seq, c.digest); diverges != c.diverges {
			t.Errorf("%s: diverges %v", name, diverges)
		}
	}
	f.Begin(3)
	if _, _, _, ok := f.Since(p, 1); ok {
		t.Error("a place outlived its history")
	}
	if _, ok := f.Resume(epoch, 2, second); ok {
		t.Error("a reader goes on after an event that is no longer there")
	}
}
