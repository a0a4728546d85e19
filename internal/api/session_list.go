package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
)

func (a *API) listCalls(h huma.API) {
	list := operation(http.MethodGet, "/api/v1/sessions", tagSessions, "list-sessions",
		"List the account's sessions", http.StatusOK)
	list.Description = "A page of the list. Those usable now come by their sign-in, those that have ended by when " +
		"their end was recorded, the latest first. To read all, repeat the call with after until next is absent. If " +
		"an account's lists are read many times at the same moment, the answer is 429 (busy_lists)."
	huma.Register(h, list, a.list)
	huma.Register(h, operation(http.MethodDelete, "/api/v1/sessions/{id}", tagSessions, "end-session",
		"End one session of the account", http.StatusNoContent), a.endOne)
	op := operation(http.MethodDelete, "/api/v1/sessions", tagSessions, "end-sessions", "End many sessions in one step",
		http.StatusOK)
	op.Description = "Ends any number of sessions together, with the apps signed in through them. An account may do " +
		"this 10 times at once, and then once a second, and where there is no other session to end 30 times and then " +
		"once in five minutes; beyond that the answer is 429 (endings_throttled), and " +
		"nothing was changed. Repeating it with the same key returns the first outcome, never 429. Calls that end " +
		"one other session are limited to 120 at once, and then one a second (single_endings_throttled). The sign-out " +
		"of the caller's own session is never throttled."
	huma.Register(h, op, a.endMany)
}

type listInput struct {
	Presence
	State string `query:"state" enum:"active,ended" default:"active" doc:"active: those usable now"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many to return at most"`
	After string `query:"after" maxLength:"200" doc:"next of the page before; without it, the list begins"`
}

type listOutput struct{ Body client.SessionList }

func (a *API) list(ctx context.Context, in *listInput) (*listOutput, error) {
	who, err := a.sessionCaller(ctx, in.Presence)
	if err != nil {
		return nil, err
	}
	done, err := a.Authority.Listing(ctx, who.Account)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	defer done()
	f := exeunt.SessionFilter{Account: who.Account, State: exeunt.SessionState(in.State), Limit: in.Limit,
		After: exeunt.Cursor(in.After)}
	list, err := a.Authority.Sessions(ctx, f)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	total, err := a.Authority.CountSessions(ctx, f)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := client.SessionList{Sessions: []client.Session{}, Total: total, Next: string(list.Next)}
	for _, s := range list.Items {
		out.Sessions = append(out.Sessions, a.session(s, who.Session))
	}
	return &listOutput{out}, nil
}

type endOneInput struct {
	Presence
	EndingKey
	ID string `path:"id" maxLength:"64"`
}

func (a *API) endOne(ctx context.Context, in *endOneInput) (*endedOutput, error) {
	who, err := a.sessionCaller(ctx, in.Presence)
	if err != nil {
		return nil, err
	}
	id, err := exeunt.ParseSessionID(in.ID)
	if err != nil {
		return nil, a.problem(ctx, exeunt.ErrNotFound)
	}
	target := exeunt.Target{Account: who.Account, Scope: exeunt.ScopeSession, Session: id}
	rev := exeunt.Revocation{Target: target, Reason: exeunt.ReasonSignedOut, Key: in.Key}
	done, err := a.Authority.End(ctx, who.actor, rev)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &endedOutput{a.receiptOf(who.Answer, done)}, nil
}

type endManyInput struct {
	Presence
	EndingKey
	Scope string `query:"scope" required:"true" enum:"others,account" doc:"others: all except the caller's; account: all"`
}

type endManyOutput struct{ Body client.EndedCount }

func (a *API) endMany(ctx context.Context, in *endManyInput) (*endManyOutput, error) {
	if exeunt.Scope(in.Scope) == exeunt.ScopeOthers {
		return a.endOthers(ctx, in)
	}
	who, err := a.sessionCaller(ctx, in.Presence)
	if err != nil {
		return nil, err
	}
	target := exeunt.Target{Account: who.Account, Scope: exeunt.ScopeAccount}
	rev := exeunt.Revocation{Target: target, Reason: exeunt.ReasonSignedOut, Key: in.Key}
	out, err := a.Authority.End(ctx, who.actor, rev)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &endManyOutput{client.EndedCount{Ended: out.Ended, Receipt: a.receiptOf(who.Answer, out)}}, nil
}

// endOthers gives the caller another token. Whoever repeats the call with the old token
// and its key gets the same answer, for a short while.
func (a *API) endOthers(ctx context.Context, in *endManyInput) (*endManyOutput, error) {
	token := bearerOf(ctx).Token
	if a.Authority.Check(ctx, bearerOf(ctx)).State == authority.Renewed {
		_, ans, err := a.Authority.Repeated(ctx, bearerOf(ctx), in.Key)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		out, next, known, err := a.Authority.Repetition(ctx, actorOf(ctx, ans), token, in.Key, exeunt.ReasonSignedOut)
		if err == nil && !known {
			err = exeunt.ErrUnavailable
		}
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return a.endedOthers(ans, out, next), nil
	}
	who, err := a.sessionCaller(ctx, in.Presence)
	if err != nil {
		return nil, err
	}
	out, next, err := a.Authority.EndOthers(ctx, who.actor, token, in.Key)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.endedOthers(who.Answer, out, next), nil
}

func (a *API) endedOthers(who authority.Answer, out authority.Ending, next exeunt.Token) *endManyOutput {
	return &endManyOutput{client.EndedCount{Ended: out.Ended, Token: client.Sent(next.Reveal()),
		Receipt: a.receiptOf(who, out)}}
}
