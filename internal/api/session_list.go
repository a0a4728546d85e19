package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
)

func (a *API) listCalls(h huma.API) {
	huma.Register(h, operation(http.MethodGet, "/api/v1/sessions", tagSessions, "list-sessions",
		"The account's sessions", http.StatusOK), a.list)
	huma.Register(h, operation(http.MethodDelete, "/api/v1/sessions/{id}", tagSessions, "end-session",
		"End one session of the account", http.StatusNoContent), a.endOne)
	op := operation(http.MethodDelete, "/api/v1/sessions", tagSessions, "end-sessions", "End many sessions in one step", http.StatusOK)
	op.Description = "One step however many sessions there are; they end together, with the apps signed in through them. " +
		"By account: 10 at once, then one each second; beyond it 429 (endings_throttled), and nothing was changed. " +
		"The same key again gives the first outcome, never 429; the calls that end one session are never throttled."
	huma.Register(h, op, a.endMany)
}

type listInput struct {
	Presence
	State string `query:"state" enum:"active,ended" default:"active" doc:"Those usable now, or those that have ended"`
}

type listOutput struct{ Body client.SessionList }

func (a *API) list(ctx context.Context, in *listInput) (*listOutput, error) {
	who, err := a.sessionCaller(ctx, in.Presence)
	if err != nil {
		return nil, err
	}
	list, err := a.Authority.Sessions(ctx, exeunt.SessionFilter{Account: who.Account, State: exeunt.SessionState(in.State)})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := client.SessionList{Sessions: []client.Session{}}
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

func (a *API) endOne(ctx context.Context, in *endOneInput) (*struct{}, error) {
	who, err := a.sessionCaller(ctx, in.Presence)
	if err != nil {
		return nil, err
	}
	id, err := exeunt.ParseSessionID(in.ID)
	if err != nil {
		return nil, a.problem(ctx, exeunt.ErrNotFound)
	}
	_, err = a.Authority.End(ctx, who.actor, exeunt.Revocation{Target: exeunt.Target{Account: who.Account, Scope: exeunt.ScopeSession, Session: id}, Reason: exeunt.ReasonSignedOut, Key: in.Key})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return nil, nil
}

type endManyInput struct {
	Presence
	EndingKey
	Scope string `query:"scope" required:"true" enum:"others,account" doc:"others: all but the caller's own; account: all, the caller's own included"`
}

type endManyOutput struct{ Body client.EndedCount }

func (a *API) endMany(ctx context.Context, in *endManyInput) (*endManyOutput, error) {
	who, err := a.sessionCaller(ctx, in.Presence)
	if err != nil {
		return nil, err
	}
	rev := exeunt.Revocation{Target: exeunt.Target{Account: who.Account, Scope: exeunt.Scope(in.Scope)}, Reason: exeunt.ReasonSignedOut, Key: in.Key}
	if rev.Scope == exeunt.ScopeOthers {
		rev.Session = who.Session
	}
	out, err := a.Authority.End(ctx, who.actor, rev)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &endManyOutput{client.EndedCount{Ended: out.Ended}}, nil
}
