package feed

import (
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

func isAwake(l *Listener) bool {
	select {
	case <-l.C():
		return true
	default:
		return false
	}
}

func TestAdvanceAppliesThenWakes(t *testing.T) {
	index := live.New(0, live.Options{})
	f := New(memoryOf(index), nil)
	mine, theirs := exeunt.NewAccountID(), exeunt.NewAccountID()
	a, b, other := f.Listen(mine), f.Listen(mine), f.Listen(theirs)
	defer a.Close()
	defer other.Close()
	event := exeunt.Event{Seq: 1, Kind: exeunt.EventEnded,
		Target: exeunt.Target{Account: mine, Scope: exeunt.ScopeAccount}, Generation: 2}
	if err := f.Own([]exeunt.Event{event}); err != nil {
		t.Fatal(err)
	}
	if index.Applied() != 1 || !isAwake(a) || !isAwake(b) || isAwake(other) {
		t.Error("an event wakes the listeners of its account, and only those")
	}
	f.Wake(mine)
	f.Wake(mine) // a sleeper is woken once, however much happened
	if !isAwake(a) || isAwake(a) {
		t.Error("two wake-ups are one")
	}
	b.Close()
	b.Close()
	isAwake(b)
	f.Wake(mine)
	if isAwake(b) {
		t.Error("a closed listener is woken")
	}
}

// A listener that wakes must find the new state. A log that memory cannot follow wakes nobody and is an error.
func TestAGapWakesNobody(t *testing.T) {
	f := New(memoryOf(live.New(0, live.Options{})), nil)
	mine := exeunt.NewAccountID()
	l := f.Listen(mine)
	defer l.Close()
	if err := f.Own([]exeunt.Event{{Seq: 2, Kind: exeunt.EventEnded,
		Target: exeunt.Target{Account: mine}}}); err == nil || isAwake(l) {
		t.Errorf("a gap: %v", err)
	}
}

func memoryOf(x *live.Index) Memory {
	return Memory{Apply: x.Apply, ApplyOwn: x.ApplyOwn, Applied: x.Applied, Reset: x.Reset, PutInDoubt: x.PutInDoubt,
		Resolve: x.Resolve}
}
