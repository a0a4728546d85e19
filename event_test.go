package exeunt

import (
	"testing"
	"time"
)

// Any difference between two events, except the actor, changes the digest.
func TestEventsAreToldApart(t *testing.T) {
	e := Event{Seq: 7, At: time.UnixMilli(1_800_000_000_000), Row: 700, Generation: 2, Version: 3, Kind: EventEnded,
		Reason: ReasonIdle,
		Target: Target{Account: NewAccountID(), Scope: ScopeSession, Session: NewSessionID(),
			AppSession: NewAppSessionID(), Client: "chirp"}}
	for name, change := range map[string]func(*Event){
		"number": func(e *Event) { e.Seq++ }, "time": func(e *Event) { e.At = e.At.Add(time.Millisecond) },
		"row":        func(e *Event) { e.Row++ },
		"generation": func(e *Event) { e.Generation++ }, "version": func(e *Event) { e.Version++ },
		"account":     func(e *Event) { e.Account = NewAccountID() },
		"session":     func(e *Event) { e.Session = NewSessionID() },
		"app session": func(e *Event) { e.AppSession = NewAppSessionID() },
		"scope":       func(e *Event) { e.Scope = ScopeOthers },
		"kind":        func(e *Event) { e.Kind = EventProfileChanged },
		"client":      func(e *Event) { e.Client = "photos" }, "reason": func(e *Event) { e.Reason = ReasonAbsolute },
	} {
		o := e
		change(&o)
		if o.Digest() == e.Digest() || o.Same(&e) {
			t.Errorf("another %s makes no other event", name)
		}
	}
	o := e
	o.By, o.At = Actor{Kind: ActorOperator}, e.At.In(time.FixedZone("", 3600))
	if o.Digest() != e.Digest() || len(e.Digest()) != 2*digestLen {
		t.Errorf("%s and %s", e.Digest(), o.Digest())
	}
	if o.Row = 0; !o.Same(&e) || !e.Same(&o) {
		t.Error("an event whose row was not looked at is not recognised")
	}
}
