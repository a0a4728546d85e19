package authority

import (
	"context"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// A list shows activity that the store does not have yet, in its order, and waits for no commit.
func TestListsWaitForNoCommit(t *testing.T) {
	n := newNode(t)
	id := n.account()
	old, first := n.signIn(id, exeunt.KindKept)
	n.clock.add(time.Minute)
	_, second := n.signIn(id, exeunt.KindKept)
	n.clock.add(time.Minute)
	n.Touch(n.check(ctx, old))
	before := n.done.Load()
	list, err := n.sessions(id, exeunt.SessionsActive)
	if err != nil || len(list) != 2 || list[0].ID != first.ID || list[1].ID != second.ID ||
		!list[0].Seen.Equal(n.Now()) {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := n.sessions(id, exeunt.SessionsEnded); err != nil {
		t.Error(err)
	}
	if got := n.done.Load() - before; got != 0 {
		t.Errorf("%d commits for looking at two lists", got)
	}
	// What the store alone would take for overdue is good, and stays.
	n.clock.add(59*time.Minute + 30*time.Second)
	if list, err := n.sessions(id, exeunt.SessionsActive); err != nil || len(list) != 1 || list[0].ID != first.ID {
		t.Errorf("%+v, %v", list, err)
	}
	if e := n.endOf(second); e == nil || e.Reason != exeunt.ReasonIdle {
		t.Errorf("%+v", e)
	}
}

// Everyone's list shows the latest activity too, and no session that has timed out.
func TestEveryonesListIsUpToDate(t *testing.T) {
	n := newNode(t)
	used, first := n.signIn(n.account(), exeunt.KindShared)
	n.signIn(n.account(), exeunt.KindShared)
	n.clock.add(10 * time.Minute)
	n.Touch(n.check(ctx, used))
	n.clock.add(10 * time.Minute)
	p, err := n.Sessions(ctx, exeunt.SessionFilter{Everyone: true})
	if err != nil || len(p.Items) != 1 || p.Items[0].ID != first.ID ||
		!p.Items[0].Seen.Equal(first.Started.Add(10*time.Minute)) {
		t.Errorf("%+v, %v", p, err)
	}
}

// Whoever goes away while their change is being committed has made it, here as in the store.
func TestAProfileChangesForThoseWhoHaveGone(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	n.check(ctx, token)
	gone, cancel := context.WithCancel(ctx)
	name, result := "Countess", make(chan error, 1)
	n.held.Lock()
	go func() { result <- n.rename(gone, personIn(s), token, name) }()
	for a, _ := n.Account(ctx, s.Account); a.Name != name; a, _ = n.Account(ctx, s.Account) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	time.Sleep(10 * time.Millisecond)
	n.held.Unlock()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if p, ok := n.live.Profile(n.check(ctx, token)); !ok || p.Name != name {
		t.Errorf("memory says %q, %v", p.Name, ok)
	}
}
