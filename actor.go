package exeunt

import (
	"net/netip"
	"slices"
)

// ActorKind says what sort of actor did something.
type ActorKind string

const (
	// ActorPerson: somebody signed in to the account.
	ActorPerson ActorKind = "person"
	// ActorOperator: somebody who runs this installation.
	ActorOperator ActorKind = "operator"
	// ActorLink: whoever holds a one-time link of the account, which an operator made or a mail has.
	ActorLink ActorKind = "link"
	// ActorSystem: the authority itself, as when a session times out.
	ActorSystem ActorKind = "system"
)

// Actor is who wants something done.
type Actor struct {
	Kind    ActorKind
	Account AccountID    // of a person or a link
	Session SessionID    // of a person: the session it is done from
	App     AppSessionID // of a person who acts through an app's session
	Label   string       // of an operator: a name for the audit. A person's comes from their session
	Address netip.Addr   // where the request came from, if it came over a network
}

// System is the authority as an actor.
func System() Actor { return Actor{Kind: ActorSystem} }

// MayEnd reports whether the actor may carry out the revocation. A person may end sessions of their own account only
// and, through an app session, only that app session. A link ends every session: with the password that it sets, the
// change of address that it undoes, or because its holder did not do what they were told of.
func (a Actor) MayEnd(r Revocation) bool {
	switch a.Kind {
	case ActorOperator, ActorSystem:
		return true
	case ActorLink:
		return !a.Account.IsZero() && a.Account == r.Account && r.Scope == ScopeAccount && slices.Contains(endedByLinks, r.Reason)
	case ActorPerson:
		if a.Account.IsZero() || a.Account != r.Account {
			return false
		}
		if !a.App.IsZero() {
			return r.Scope == ScopeSession && r.Session == a.Session && r.AppSession == a.App
		}
		return true
	}
	return false
}

// endedByLinks are the reasons for which a link ends every session.
var endedByLinks = []Reason{ReasonPasswordChange, ReasonAddressUndone, ReasonNotMe, ReasonSecured}

// Key identifies the actor for idempotency keys.
func (a Actor) Key() string { return string(a.Kind) + ":" + a.Session.String() + ":" + a.App.String() }
