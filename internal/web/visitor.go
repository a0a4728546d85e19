package web

import (
	"context"
	"net/http"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
)

// Visitor is who a browser's request comes from.
type Visitor struct {
	Presented
	Answer  authority.Answer // NoSuch without a token
	Profile exeunt.Profile   // of who is signed in, once Introduced
}

// SignedIn reports whether the request may act for the account.
func (v Visitor) SignedIn() bool { return v.Answer.Usable() }

// Incomplete reports half of a credential whose session is alive.
func (v Visitor) Incomplete() bool { return v.Answer.State == authority.Incomplete }

// Indeterminate reports that there is a credential and neither memory nor the
// store could tell what it is worth: the answer is 503, which is never "signed out".
func (v Visitor) Indeterminate() bool { return v.Answer.State == authority.Indeterminate }

// Revocation ends the visitor's own session.
func (v Visitor) Revocation(why exeunt.Reason) exeunt.Revocation {
	own := exeunt.Target{Account: v.Answer.Account, Scope: exeunt.ScopeSession, Session: v.Answer.Session}
	return exeunt.Revocation{Target: own, Reason: why}
}

// Actor returns the visitor as an actor.
func (v Visitor) Actor(r *http.Request, p Peers) exeunt.Actor {
	return exeunt.Actor{Kind: exeunt.ActorPerson, Account: v.Answer.Account, Session: v.Answer.Session, Address: p.Address(r)}
}

// Browser tells visitors apart.
type Browser struct {
	Authority *authority.Authority
	Cookies   Cookies
	Now       func() time.Time
}

// pairGrace is how young a pair may be and still travel one half at a time, or
// after the pair that it replaces: a browser stores the two cookies of a sign-in
// one after the other, and other tabs' requests may leave in between.
const pairGrace = 30 * time.Second

// JustNow reports whether the browser may still be storing a pair that was handed
// out at that time. Clearing cookies then might undo the sign-in.
func (b Browser) JustNow(at time.Time) bool { return b.Now().Sub(at) <= pairGrace }

// Visitor returns who the request comes from. An incomplete credential is
// refused, and ends the session unless it was handed out just now: somebody
// has deleted the partner to lock this browser, or has carried half of the
// credential elsewhere. It is the one thing that reading a page may end.
func (b Browser) Visitor(r *http.Request) Visitor {
	v := Visitor{Presented: b.Cookies.Read(r, FirstSlot), Answer: authority.Answer{State: authority.NoSuch}}
	if v.Token.IsZero() {
		return v
	}
	v.Answer = b.Authority.Check(r.Context(), v.Credential)
	if v.Incomplete() && !b.JustNow(v.Answer.IssuedAt()) {
		b.Authority.EndSoon(v.Revocation(exeunt.ReasonIncomplete))
	}
	return v
}

// Introduced is the visitor with their profile. Somebody whose profile can
// neither be found in memory nor read is somebody whom nobody can tell.
func (b Browser) Introduced(ctx context.Context, v Visitor) Visitor {
	if !v.SignedIn() {
		return v
	}
	var err error
	if v.Profile, err = b.Authority.Profile(ctx, v.Answer); err != nil {
		v.Answer = authority.Answer{State: authority.Indeterminate}
	}
	return v
}

// FormSession checks that a form was rendered for the session that is active
// now. A tab left over from another sign-in must change nothing.
func (v Visitor) FormSession(r *http.Request) error {
	id, err := exeunt.ParseSessionID(r.PostFormValue("session"))
	if err != nil || id != v.Answer.Session {
		return exeunt.ErrOtherAccount
	}
	return nil
}
