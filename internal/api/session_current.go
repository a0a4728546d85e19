package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
)

func (a *API) currentCalls(h huma.API) {
	huma.Register(h, operation(http.MethodGet, "/api/v1/session", tagSessions, "get-session",
		"The session that the token stands for", http.StatusOK), a.current)
	op := operation(http.MethodDelete, "/api/v1/session", tagSignIn, "sign-out", "Sign out", http.StatusNoContent)
	op.Description = "Ends the session of the token; an app session's token ends only that app session. Again: 204 too."
	huma.Register(h, op, a.signOut)
}

type currentInput struct{ Presence }

type currentOutput struct{ Body client.Current }

func (a *API) current(ctx context.Context, in *currentInput) (*currentOutput, error) {
	who, err := a.caller(ctx, in.Presence)
	if err != nil {
		return nil, err
	}
	s, err := a.Authority.Session(ctx, who.Account, who.Session)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	account, err := a.account(ctx, who.Answer)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &currentOutput{client.Current{Session: a.sessionFor(who.Answer, s), Account: account, App: appRef(who.Answer)}}, nil
}

type signOutInput struct {
	Presence
	EndingKey
}

// signOut answers 204 also when there is nothing left to end: a token that the
// store does not know was never handed out, or was purged after its end.
func (a *API) signOut(ctx context.Context, in *signOutInput) (*struct{}, error) {
	ans := a.Authority.Check(ctx, bearerOf(ctx))
	switch ans.State {
	case authority.Usable, authority.TimedOut:
	case authority.NoSuch, authority.Ended:
		return nil, nil
	case authority.Indeterminate:
		return nil, a.problem(ctx, exeunt.ErrUnavailable)
	default:
		return nil, a.problem(ctx, exeunt.ErrSignedOut)
	}
	if _, err := a.Authority.End(ctx, actorOf(ctx, ans), ownRevocation(ans, in.Key)); err != nil {
		return nil, a.problem(ctx, err)
	}
	return nil, nil
}

func ownRevocation(ans authority.Answer, key string) exeunt.Revocation {
	return exeunt.Revocation{Target: exeunt.Target{Account: ans.Account, Scope: exeunt.ScopeSession, Session: ans.Session, AppSession: ans.App}, Reason: exeunt.ReasonSignedOut, Key: key}
}
