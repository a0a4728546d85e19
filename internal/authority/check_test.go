package authority

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// Every kind of credential, presented as everything that it may be presented as.
func TestWhichCredentialIsGoodForWhat(t *testing.T) {
	n := newNode(t)
	kept, s := n.signIn(n.account(), exeunt.KindKept)
	shared, _ := n.signIn(n.account(), exeunt.KindShared)
	phone, _ := n.signIn(n.account(), exeunt.KindApp)
	app, _ := n.appSession(s)
	uses := []Use{0, AsPair, AsIncomplete, AsBearer, AsAppCookie}
	no := live.WrongUse
	for _, c := range []struct {
		name  string
		token exeunt.Token
		want  [5]live.State // as nothing, a pair, half of one, a bearer token, an app's cookie
	}{
		{"a browser's", kept, [5]live.State{no, live.Usable, live.Incomplete, no, no}},
		{"a shared computer's", shared, [5]live.State{no, live.Usable, live.Incomplete, no, no}},
		{"an app's on a device", phone, [5]live.State{no, no, no, live.Usable, no}},
		{"an app session's", app, [5]live.State{no, no, no, live.Usable, live.Usable}},
		{"a session's that nobody has", exeunt.NewToken(exeunt.UseSession),
			[5]live.State{no, live.NoSuch, live.NoSuch, live.NoSuch, no}},
		{"an app session's that nobody has", exeunt.NewToken(exeunt.UseApp),
			[5]live.State{no, no, no, live.NoSuch, live.NoSuch}},
		{"a code", n.grant(s), [5]live.State{no, no, no, no, no}},
		{"an invite", exeunt.NewToken(exeunt.UseInvite), [5]live.State{no, no, no, no, no}},
		{"a client's key", exeunt.NewToken(exeunt.UseClient), [5]live.State{no, no, no, no, no}},
		{"none", exeunt.Token{}, [5]live.State{no, no, no, no, no}},
	} {
		for i, use := range uses {
			for range 2 { // from the store, and from memory
				ans := n.Check(ctx, Credential{c.token, use})
				if ans.State != c.want[i] {
					t.Errorf("%s, as %d: %v, want %v", c.name, use, ans.State, c.want[i])
				}
				if known := ans.State == live.Usable || ans.State == live.Incomplete; known == ans.Session.IsZero() {
					t.Errorf("%s, as %d: %v of session %v", c.name, use, ans.State, ans.Session)
				}
			}
		}
	}

	// After the timeout the same rules hold, and anybody may know of the end.
	n.clock.add(4 * time.Hour)
	for use, want := range map[Use]live.State{AsPair: live.TimedOut, AsIncomplete: live.TimedOut, AsBearer: no,
		AsAppCookie: no} {
		if got := n.Check(ctx, Credential{kept, use}).State; got != want {
			t.Errorf("run out, as %d: %v, want %v", use, got, want)
		}
	}
	n.end(endOne(s))
	for use, want := range map[Use]live.State{AsPair: live.Ended, AsIncomplete: live.Ended, AsBearer: live.Ended,
		AsAppCookie: no} {
		if got := n.Check(ctx, Credential{kept, use}).State; got != want {
			t.Errorf("ended, as %d: %v, want %v", use, got, want)
		}
	}
}
