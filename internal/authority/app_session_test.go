package authority

import (
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// Anybody may present codes, and a commit waits for the disk: only a code that would change something reaches the
// committing goroutine.
func TestCodesThatChangeNothingAreNotCommitted(t *testing.T) {
	n := newNode(t)
	_, s := n.signIn(n.account(), exeunt.KindKept)
	late := n.grant(s)
	n.clock.add(codeLife)
	good := n.grant(s)
	app, _, err := n.StartApp(ctx, exchange(good))
	if err != nil {
		t.Fatal(err)
	}
	unspent := n.grant(s)
	before := n.done.Load()
	wrong := exchange(unspent)
	wrong.Challenge += "x"
	for range 3 {
		for name, x := range map[string]AppSignIn{"never given": exchange(exeunt.NewToken(exeunt.UseCode)),
			"too late": exchange(late), "another verifier": wrong} {
			if _, _, err := n.StartApp(ctx, x); err != exeunt.ErrCodeSpent {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if got := n.done.Load() - before; got != 0 {
		t.Errorf("%d commits", got)
	}
	for range 5 { // a code used again ends what it gave, and that once
		if _, _, err := n.StartApp(ctx, exchange(good)); err != exeunt.ErrCodeSpent {
			t.Error(err)
		}
	}
	n.want(app, live.Ended)
	if got := n.done.Load() - before; got != 1 {
		t.Errorf("%d commits for a code used again", got)
	}
	if _, _, err := n.StartApp(ctx, exchange(unspent)); err != nil {
		t.Errorf("the good code: %v", err)
	}
}

// Codes share the limit of look-ups with tokens, and unknown ones are remembered.
func TestLookUpsOfCodesAreBounded(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	code := exeunt.NewToken(exeunt.UseCode)
	_, _, err := n.StartApp(ctx, exchange(code))
	wantErr(t, err, exeunt.ErrCodeSpent)
	for range maxLookups {
		n.lookups.running <- struct{}{}
	}
	_, _, err = n.StartApp(ctx, exchange(code)) // known
	wantErr(t, err, exeunt.ErrCodeSpent)
	begun := time.Now()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, _, err := n.StartApp(ctx, exchange(exeunt.NewToken(exeunt.UseCode))); err != exeunt.ErrUnavailable {
				t.Errorf("beyond the bound: %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begun); took > 3*lookupWait {
		t.Errorf("refused after %v", took)
	}
}
