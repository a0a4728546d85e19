package testnode_test

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// A token that was replaced on one node is refused on all within the bound, and so are the session's app sessions; the
// new one goes on everywhere, also after each node has forgotten everything. A minute later the old one counts as ended.
func TestARenewalOnOneNodeIsOneOnAll(t *testing.T) {
	cluster := nodes(t, testpg.NewDatabase(t), 3)
	p := cluster[0].NewAccount(t, "ada")
	old, session := cluster[0].NewSession(t, p, exeunt.KindKept)
	app, _ := cluster[1].NewAppSession(t, session, testnode.Chirp)
	for _, n := range cluster {
		n.Check(t.Context(), old)
		n.Check(t.Context(), app)
	}
	_, token, err := cluster[1].EndOthers(t.Context(), testnode.PersonIn(session), old, "a key")
	if err != nil {
		t.Fatal(err)
	}
	answered := time.Now()
	if got := cluster[1].Check(t.Context(), old).State; got != live.Renewed {
		t.Errorf("the node that renewed it answers %v", got)
	}
	for _, n := range cluster {
		until(t, n, old, live.Renewed)
		until(t, n, app, live.Ended)
	}
	if took := time.Since(answered); took > staleness {
		t.Errorf("the last node knew after %v; the bound is %v", took, staleness)
	}
	for range 2 {
		for i, n := range cluster {
			for tk, want := range map[exeunt.Token]live.State{token: live.Usable, app: live.Ended} {
				if got := n.Check(t.Context(), tk).State; got != want {
					t.Errorf("node %d answers %v, not %v", i, got, want)
				}
			}
			n.Forget()
		}
	}
	// Another node does not renew it once more for whoever has the old one.
	if _, _, err := cluster[2].EndOthers(t.Context(), testnode.PersonIn(session), old, "another key"); err == nil {
		t.Error("the old token was renewed")
	}
	for _, n := range cluster {
		n.Clock.Pass(time.Minute)
		until(t, n, old, live.Ended)
	}
}
