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
		"Get the token's session", http.StatusOK), a.current)
	op := operation(http.MethodDelete, "/api/v1/session", tagSignIn, "sign-out", "Sign out", http.StatusNoContent)
	op.Description = "Ends the token's session; an app session's token ends only that app session, unless the app runs " +
		"on a person's device, whose session of its own it ends. Repeating it answers 204 again."
	huma.Register(h, op, a.signOut)
}

type currentInput struct{ Presence }

type currentOutput struct{ Body client.Current }

func (a *API) current(ctx context.Context, in *currentInput) (*currentOutput, error) {
	who, err := a.caller(ctx, in.Presence)
	if err != nil {
		return nil, err
	}
	s, err := a.sessionFor(ctx, who.Answer)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	account, err := a.account(ctx, who.Answer)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &currentOutput{client.Current{Session: s, Account: account,
		App: appRef(who.Answer)}}, nil
}

type signOutInput struct {
	Presence
	EndingKey
}

// endedOutput is the answer to the end of one session: nothing but where the receipt is.
type endedOutput struct {
	Receipt string `header:"Exeunt-Receipt" doc:"Address of the receipt of it, which whoever knows it can read. Absent if nothing ended by this call, and where the caller's session is on a shared computer"`
}

// receiptOf is the address of an ending's receipt, "" where nothing may be kept that leads there.
func (a *API) receiptOf(who authority.Answer, done authority.Ending) string {
	path := a.Receipts.Path(done)
	if path == "" || who.Kind == exeunt.KindShared {
		return ""
	}
	return a.URL + path
}

// signOut also answers 204 if there is nothing left to end: a token without a record was
// never issued, or its session ended and was deleted since.
func (a *API) signOut(ctx context.Context, in *signOutInput) (*endedOutput, error) {
	ans := a.Authority.Check(ctx, bearerOf(ctx))
	switch ans.State {
	case authority.Usable, authority.TimedOut:
	case authority.NoSuch, authority.Ended:
		return &endedOutput{}, nil
	case authority.Indeterminate:
		return nil, a.problem(ctx, exeunt.ErrUnavailable)
	case authority.Renewed:
		return nil, a.problem(ctx, exeunt.ErrRenewed)
	default:
		return nil, a.problem(ctx, exeunt.ErrSignedOut)
	}
	if ans.Kind == exeunt.KindApp {
		ans.App = exeunt.AppSessionID{} // the device has its session for this app alone
	}
	rev := exeunt.Revocation{Reason: exeunt.ReasonSignedOut, Key: in.Key, Target: exeunt.Target{
		Account: ans.Account, Scope: exeunt.ScopeSession, Session: ans.Session, AppSession: ans.App,
	}}
	done, err := a.Authority.End(ctx, actorOf(ctx, ans), rev)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &endedOutput{a.receiptOf(ans, done)}, nil
}
