package api

import (
	"context"
	"net/netip"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
)

// Presence is the part of an input that says whether a person is at work, by the rule
// of client.IsActivity. (It is exported only because huma reads no other fields.)
type Presence struct {
	Activity string `header:"Exeunt-Activity" doc:"yes or no: whether the call is a person's activity. If absent, a program's call is, and a browser's script's is not"`
	active   bool
}

// Resolve reads what the rule needs of the request.
func (p *Presence) Resolve(ctx huma.Context) []error {
	r, _ := humago.Unwrap(ctx)
	p.active = client.IsActivity(r.Header)
	return nil
}

// EndingKey is the part of an input that makes a retry harmless.
type EndingKey struct {
	Key string `header:"Idempotency-Key" maxLength:"200" pattern:"^[!-~]*$" doc:"Repeated with its key, an ending returns its first outcome"`
}

// caller is somebody whose token is usable.
type caller struct {
	authority.Answer
	actor exeunt.Actor
}

// caller returns who makes the call, or the problem to answer with.
func (a *API) caller(ctx context.Context, p Presence) (caller, error) {
	c := bearerOf(ctx)
	ans := a.Authority.Check(ctx, c)
	switch ans.State {
	case authority.Usable:
	case authority.Indeterminate:
		return caller{}, a.problem(ctx, exeunt.ErrUnavailable)
	case authority.Renewed:
		return caller{}, a.problem(ctx, exeunt.ErrRenewed)
	case authority.NoSuch, authority.WrongUse, authority.Expired:
		return caller{}, a.problem(ctx, exeunt.ErrSignedOut)
	default:
		return caller{}, a.endedProblem(ctx, c.Token)
	}
	if p.active {
		from := addressOf(ctx)
		if !ans.App.IsZero() {
			from = netip.Addr{} // an app's server makes its calls, from its own address
		}
		a.Authority.TouchFrom(ans, from)
	}
	return caller{ans, actorOf(ctx, ans)}, nil
}

func actorOf(ctx context.Context, ans authority.Answer) exeunt.Actor {
	return exeunt.Actor{
		Kind: exeunt.ActorPerson, Account: ans.Account, Session: ans.Session, App: ans.App,
		Address: addressOf(ctx),
	}
}

// sessionCaller is caller for calls about the whole account, which an app session may
// not make: its token is for that app only.
func (a *API) sessionCaller(ctx context.Context, p Presence) (caller, error) {
	who, err := a.caller(ctx, p)
	if err == nil && !who.App.IsZero() {
		err = a.problem(ctx, exeunt.ErrForbidden)
	}
	return who, err
}

// endedProblem tells the holder of an ended token when and why it ended, and nothing else.
func (a *API) endedProblem(ctx context.Context, t exeunt.Token) error {
	p := a.problem(ctx, exeunt.ErrSignedOut)
	if at, reason, exists, err := a.Authority.WhyEnded(ctx, t); err == nil && exists && reason != "" {
		p.Ended = &client.Ended{At: at.UTC(), Reason: string(reason)}
	}
	return p
}
