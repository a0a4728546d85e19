package authority

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// One sign-out under traffic: what is ended, and what must stay usable.
type underTraffic struct {
	rev        exeunt.Revocation
	dead, kept []exeunt.Token
}

const signOuts = 300

// Eight workers check and use the same tokens without pause while they are
// signed out. Once End has returned nobody is told "usable" any more, and what
// was to be kept is usable at every moment.
func TestNoCheckUndoesASignOut(t *testing.T) {
	for name, prepare := range map[string]func(n *node, id exeunt.AccountID) underTraffic{
		"session": func(n *node, id exeunt.AccountID) underTraffic {
			token, s := n.signIn(id, exeunt.KindKept)
			app, _ := n.appSession(s)
			return underTraffic{endOne(s), []exeunt.Token{token, app}, nil}
		},
		"app session": func(n *node, id exeunt.AccountID) underTraffic {
			token, s := n.signIn(id, exeunt.KindKept)
			app, appID := n.appSession(s)
			return underTraffic{endApp(s, appID), []exeunt.Token{app}, []exeunt.Token{token}}
		},
		"others": func(n *node, id exeunt.AccountID) underTraffic {
			token, s := n.signIn(id, exeunt.KindKept)
			app, _ := n.appSession(s)
			keep, k := n.signIn(id, exeunt.KindShared)
			keepApp, _ := n.appSession(k)
			return underTraffic{endOthers(k), []exeunt.Token{token, app}, []exeunt.Token{keep, keepApp}}
		},
		"account": func(n *node, id exeunt.AccountID) underTraffic {
			token, s := n.signIn(id, exeunt.KindKept)
			app, _ := n.appSession(s)
			return underTraffic{endAll(id), []exeunt.Token{token, app}, nil}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			cases := make([]underTraffic, signOuts)
			var wg sync.WaitGroup
			for part := range 8 { // side by side, so that they share commits
				wg.Go(func() {
					for i := part; i < signOuts; i += 8 {
						cases[i] = prepare(n, n.account())
					}
				})
			}
			wg.Wait()
			n.restart() // every token is seen for the first time under traffic
			for i := range cases {
				n.signOutUnderTraffic(cases[i], i%2 == 0)
			}
			n.restart()
			for _, c := range cases {
				for _, token := range c.dead {
					n.want(token, live.Ended)
				}
				for _, token := range c.kept {
					n.want(token, live.Usable)
				}
			}
		})
	}
}

// signOutUnderTraffic signs out while the workers go on; if known is false,
// also while they see the tokens for the first time.
func (n *node) signOutUnderTraffic(c underTraffic, known bool) {
	var ended, stop atomic.Bool
	var started, wg sync.WaitGroup
	for range 8 {
		started.Add(1)
		wg.Go(func() {
			for first := true; first || !stop.Load(); first = false {
				for _, token := range c.dead {
					after := ended.Load()
					a := n.Check(ctx, token)
					if after && a.State != live.Ended {
						n.t.Errorf("after its sign-out had returned a token was %v", a.State)
					}
					n.Touch(a)
				}
				for _, token := range c.kept {
					a := n.Check(ctx, token)
					if !a.Usable() {
						n.t.Errorf("a token that was to be kept was %v", a.State)
					}
					n.Touch(a)
				}
				if first {
					started.Done()
				}
				runtime.Gosched()
			}
		})
	}
	if known {
		started.Wait()
	}
	n.end(c.rev)
	ended.Store(true)
	for range 50 {
		runtime.Gosched()
	}
	if err := n.FlushActivity(ctx); err != nil {
		n.t.Errorf("flush: %v", err)
	}
	for _, token := range c.dead {
		n.want(token, live.Ended)
	}
	stop.Store(true)
	wg.Wait()
}
