package authority

import (
	"context"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// Whoever goes away while their change is being committed has made it, here as
// in the store.
func TestAProfileChangesForThoseWhoHaveGone(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	n.Check(ctx, token)
	gone, cancel := context.WithCancel(ctx)
	name, result := "Countess", make(chan error, 1)
	n.held.Lock()
	go func() { result <- n.ChangeProfile(gone, personIn(s), s.Account, ProfileChange{Name: &name}) }()
	for a, _ := n.Account(ctx, s.Account); a.Name != name; a, _ = n.Account(ctx, s.Account) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	time.Sleep(10 * time.Millisecond)
	n.held.Unlock()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if got := n.Check(ctx, token).Profile().Name; got != name {
		t.Errorf("memory still says %q", got)
	}
}
