package testnode

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
)

// Password is the password of every account that NewAccount makes.
const Password = "plum orbit candle ninety"

// NewAccount creates an account, and a proof of it. Its name is the handle with a
// capital letter.
func (n *Node) NewAccount(t testing.TB, handle string) exeunt.Proof {
	t.Helper()
	a := account.NewAccount{Handle: handle, Name: capital(handle), Password: Password}
	p, err := n.Accounts.SignUp(t.Context(), a, netip.Addr{})
	must(t, err)
	return p
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// NewSession starts a session.
func (n *Node) NewSession(t testing.TB, p exeunt.Proof, kind exeunt.SessionKind) (exeunt.Token, exeunt.Session) {
	t.Helper()
	token, s, err := n.Start(t.Context(), authority.SignIn{Proof: p, Kind: kind, Label: "Test on " + string(kind)})
	must(t, err)
	return token, s
}

// SignOut ends the session, as its person.
func (n *Node) SignOut(t testing.TB, s exeunt.Session) {
	t.Helper()
	n.endAs(t, s, exeunt.Revocation{Target: exeunt.Target{Scope: exeunt.ScopeSession, Session: s.ID}})
}

// SignOutEverywhere ends all sessions of the account, from this one.
func (n *Node) SignOutEverywhere(t testing.TB, s exeunt.Session) {
	t.Helper()
	n.endAs(t, s, exeunt.Revocation{Target: exeunt.Target{Scope: exeunt.ScopeAccount}})
}

func (n *Node) endAs(t testing.TB, s exeunt.Session, rev exeunt.Revocation) {
	t.Helper()
	rev.Account, rev.Reason = s.Account, exeunt.ReasonSignedOut
	_, err := n.End(t.Context(), PersonIn(s), rev)
	must(t, err)
}

// PersonIn returns the person of a session as an actor.
func PersonIn(s exeunt.Session) exeunt.Actor {
	return exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID}
}

// Check checks a token in the use that it is for. Surfaces must say in which use it
// was presented.
func (n *Node) Check(ctx context.Context, t exeunt.Token) authority.Answer {
	ans := n.Authority.Check(ctx, authority.Credential{Token: t, Use: authority.AsBearer})
	if ans.State == authority.WrongUse {
		ans = n.Authority.Check(ctx, authority.Credential{Token: t, Use: authority.AsPair})
	}
	return ans
}
