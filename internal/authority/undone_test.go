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

// atOnce sign-outs are made side by side.
const atOnce = 10

// Eight workers check and use the same tokens without pause while they are signed out. Once End has returned, no
// check says "usable" any more, and the sessions that stay are usable at every moment.
func TestNoCheckUndoesASignOut(t *testing.T) {
	signOuts := 300 // for each scope
	if testing.Short() {
		signOuts = 60
	}
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
			for part := range 16 { // side by side, so that they share commits
				wg.Go(func() {
					for i := part; i < signOuts; i += 16 {
						cases[i] = prepare(n, n.account())
					}
				})
			}
			wg.Wait()
			n.restart() // every token is seen for the first time under traffic
			for i := 0; i < signOuts; i += atOnce {
				n.signOutUnderTraffic(cases[i:i+atOnce], i/atOnce%2 == 0)
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

// signOutUnderTraffic signs out while the workers go on; if known is false, also while memory sees the tokens for
// the first time.
func (n *node) signOutUnderTraffic(cases []underTraffic, known bool) {
	ended := make([]atomic.Bool, len(cases))
	var stop atomic.Bool
	var started, workers sync.WaitGroup
	for range 8 {
		started.Add(1)
		workers.Go(func() {
			for first := true; first || !stop.Load(); first = false {
				for i, c := range cases {
					n.useAll(c, ended[i].Load())
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
	var ends sync.WaitGroup
	for i, c := range cases {
		ends.Go(func() {
			n.end(c.rev)
			ended[i].Store(true)
			n.useAll(c, true)
		})
	}
	ends.Wait()
	if err := n.FlushActivity(ctx); err != nil {
		n.t.Errorf("flush: %v", err)
	}
	for _, c := range cases {
		n.useAll(c, true)
	}
	stop.Store(true)
	workers.Wait()
}

// useAll checks and uses the tokens of a sign-out, which has returned or not.
func (n *node) useAll(c underTraffic, ended bool) {
	for _, token := range c.dead {
		a := n.check(ctx, token)
		if ended && a.State != live.Ended {
			n.t.Errorf("after its sign-out had returned a token was %v", a.State)
		}
		n.Touch(a)
	}
	for _, token := range c.kept {
		a := n.check(ctx, token)
		if !a.Usable() {
			n.t.Errorf("a token that was to be kept was %v", a.State)
		}
		n.Touch(a)
	}
}
