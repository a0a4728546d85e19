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
		list = append(list, exeunt.Event{Seq: n, By: exeunt.Actor{Label: "Pixel 8"}, Revocation: exeunt.Revocation{Account: exeunt.NewAccountID(), Scope: exeunt.ScopeAccount}, Generation: n})
	}
	if err := f.Own(list); err != nil {
		t.Fatal(err)
	}
}

func TestTailIsReadByNumber(t *testing.T) {
	f := New(live.New(40, live.Options{}), nil)
	if p := f.Position(); p.Seq != 40 || p.Epoch == "" || p.Age != 0 || p.Epoch == New(live.New(40, live.Options{}), nil).Position().Epoch {
		t.Errorf("%+v", p)
	}
	_, more, ok := f.Since(40, 10)
	if !ok {
		t.Error("the head is no place to begin at")
	}
	advance(t, f, 41, 60)
	select {
	case <-more:
	default:
		t.Error("a waiting reader is not told of more")
	}
	for at := int64(40); at < 60; {
		list, _, ok := f.Since(at, 7)
		if !ok || len(list) == 0 || len(list) > 7 {
			t.Fatalf("after %d: %d events, %v", at, len(list), ok)
		}
		for _, e := range list {
			if at++; e.Seq != at || e.By.Label != "" {
				t.Fatalf("after %d comes %d by %q", at-1, e.Seq, e.By.Label)
			}
		}
	}
	for _, at := range []int64{39, 61} {
		if _, _, ok := f.Since(at, 7); ok {
			t.Errorf("%d is in the log of another history", at)
		}
	}
}

func TestTailForgetsTheOldest(t *testing.T) {
	f := New(live.New(0, live.Options{}), nil)
	advance(t, f, 1, tailSize+5)
	if _, _, ok := f.Since(4, 1); ok {
		t.Error("an event that is no longer there was passed over")
	}
	if list, _, ok := f.Since(5, 1); !ok || list[0].Seq != 6 {
		t.Errorf("%v, %v", list, ok)
	}
}
