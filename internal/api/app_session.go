package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/oauth"
)

func (a *API) appCalls(h huma.API) {
	op := operation(http.MethodPost, "/api/v1/app-sessions", tagApps, "start-app-session",
		"Exchange a sign-in code for an app session", http.StatusCreated)
	op.Description = "The person's browser brought the code to the app's redirect address. It is valid once, for a " +
		"minute, with the redirect address and PKCE verifier of the request (RFC 7636). Using it again ends its app " +
		"session. A client that has a secret key must send it."
	op.Security = []map[string][]string{{}, {"key": {}}}
	huma.Register(h, op, a.exchange)
}

type exchangeInput struct{ Body client.CodeExchange }

type exchangeOutput struct{ Body client.CodeExchanged }

func (a *API) exchange(ctx context.Context, in *exchangeInput) (*exchangeOutput, error) {
	code, err := exeunt.ParseToken(string(in.Body.Code))
	if err != nil {
		return nil, a.problem(ctx, exeunt.ErrCodeSpent)
	}
	c, err := a.OAuth.Authenticate(in.Body.ClientID, bearerOf(ctx).Token.Reveal())
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	got, err := a.OAuth.ExchangeCode(ctx, oauth.CodeExchange{
		Code: code, Client: c, RedirectURI: in.Body.RedirectURI, Verifier: string(in.Body.CodeVerifier),
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	token, who := got.Access, got.Answer
	s, err := a.sessionFor(ctx, who)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	account, err := a.account(ctx, who)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &exchangeOutput{client.CodeExchanged{
		Token: client.Sent(token.Reveal()), App: *appRef(who), Session: s, Account: account,
	}}, nil
}
