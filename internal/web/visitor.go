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
	Answer authority.Answer // NoSuch without a token
	// JustIssued: the browser may still be storing the pair that its incomplete
	// credential is of.
	JustIssued bool
	Profile    exeunt.Profile // of the person who is signed in, after Introduced
}

// SignedIn reports whether the request may act for the account.
func (v Visitor) SignedIn() bool { return v.Answer.Usable() }

// Incomplete reports an incomplete credential whose session is usable.
func (v Visitor) Incomplete() bool { return v.Answer.State == authority.Incomplete }

// Renewed reports that the session goes on with another credential, since a moment ago.
// This one may do nothing; the browser either has the new one by now or gets it soon.
func (v Visitor) Renewed() bool { return v.Answer.State == authority.Renewed }

// Doubt is the error to answer with when nobody can tell that the visitor is signed in,
// nor that they are not; nil otherwise.
func (v Visitor) Doubt() error {
	switch v.Answer.State {
	case authority.Indeterminate: // neither memory nor the store could tell
		return exeunt.ErrUnavailable
	case authority.Renewed:
		return exeunt.ErrRenewed
	}
	return nil
}

// Revocation ends the visitor's own session.
func (v Visitor) Revocation(why exeunt.Reason) exeunt.Revocation {
	own := exeunt.Target{Account: v.Answer.Account, Scope: exeunt.ScopeSession, Session: v.Answer.Session}
	return exeunt.Revocation{Target: own, Reason: why}
}

// Actor returns the visitor as an actor.
func (v Visitor) Actor(r *http.Request, p Peers) exeunt.Actor {
	return exeunt.Actor{
		Kind: exeunt.ActorPerson, Account: v.Answer.Account, Session: v.Answer.Session, Address: p.Address(r),
	}
}

// Browser finds out who a browser's request comes from.
type Browser struct {
	Authority *authority.Authority
	Cookies   Cookies
	Now       func() time.Time
}

// pairGrace is how long after a sign-in or a renewal a browser may still send an
// incomplete credential or the replaced pair: it stores the two cookies one after the
// other, and other tabs may send requests in between.
const pairGrace = authority.RenewalGrace

// JustNow reports whether the browser may still be storing a pair that was issued at
// that time. Clearing cookies then might undo the sign-in.
func (b Browser) JustNow(at time.Time) bool { return b.Now().Sub(at) <= pairGrace }

// Visitor returns who the request comes from: the account that is active in this browser.
func (b Browser) Visitor(r *http.Request) Visitor {
	var active Place
	if list := b.Cookies.Places(r); len(list) > 0 {
		active = list[0]
	}
	return b.visitorAt(r, active)
}

// visitorAt returns the visitor whose credential is at a place. An incomplete credential is refused, and
// ends the session unless it was issued just now: somebody has deleted the second half
// to lock this browser, or has copied only the token. Reading a page ends a session in
// no other case.
func (b Browser) visitorAt(r *http.Request, at Place) Visitor {
	v := Visitor{Presented: b.Cookies.Read(r, at), Answer: authority.Answer{State: authority.NoSuch}}
	if v.Token.IsZero() {
		return v
	}
	v.Answer = b.Authority.Check(r.Context(), v.Credential)
	// Somebody has renamed it: a session is in one place, so nothing else names it or counts it twice.
	if (v.SignedIn() || v.Incomplete()) && PlaceOf(v.Answer.Session, v.Answer.Kind) != at {
		return Visitor{Presented: Presented{Place: at, Garbage: true}, Answer: authority.Answer{State: authority.NoSuch}}
	}
	if v.Incomplete() {
		if v.JustIssued = b.justIssued(r.Context(), v.Answer); !v.JustIssued {
			b.Authority.EndSoon(v.Revocation(exeunt.ReasonIncomplete))
		}
	}
	return v
}

// VisitorOf returns the visitor whose session that is, which need not be the active one.
func (b Browser) VisitorOf(r *http.Request, id exeunt.SessionID) Visitor {
	v := b.visitorAt(r, PlaceOf(id, exeunt.KindKept))
	if !v.Nobody() {
		return v
	}
	// What is dead or damaged at the shared place may be anybody's, and is taken for what is asked for.
	if shared := b.visitorAt(r, SharedPlace); !shared.Nobody() && (shared.Answer.Session == id || !shared.SignedIn()) {
		return shared
	}
	return v
}

// Others are the other visitors whose cookies this browser presents, by when they were used last.
func (b Browser) Others(r *http.Request, v Visitor) (others []Visitor) {
	for _, at := range b.Cookies.Places(r) {
		if at != v.Place {
			others = append(others, b.visitorAt(r, at))
		}
	}
	return others
}

// NamedIn is the visitor of the session that a parameter of the request names, and the active one if it names none.
func (b Browser) NamedIn(r *http.Request, value string) Visitor {
	if id, err := exeunt.ParseSessionID(value); err == nil {
		return b.VisitorOf(r, id)
	}
	return b.Visitor(r)
}

// justIssued also says yes if it is unknown when the credential was renewed: it is
// refused in any case, and must not be ended by mistake.
func (b Browser) justIssued(ctx context.Context, ans authority.Answer) bool {
	if b.JustNow(ans.IssuedAt()) {
		return true
	}
	at, err := b.Authority.IssuedAt(ctx, ans)
	return err != nil || b.JustNow(at)
}

// Introduced is the visitor with their profile. If the profile is not in memory and
// cannot be read, the visitor is indeterminate.
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

// FormSession checks that a form was rendered for the current session. A tab left
// over from another sign-in must change nothing.
func (v Visitor) FormSession(r *http.Request) error {
	id, err := exeunt.ParseSessionID(r.PostFormValue("session"))
	if err != nil || id != v.Answer.Session {
		return exeunt.ErrOtherAccount
	}
	return nil
}
