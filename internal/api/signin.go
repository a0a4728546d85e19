package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/signin"
)

func (a *API) signInCalls(h huma.API) {
	op := operation(http.MethodPost, "/api/v1/signin", tagSignIn, "sign-in", "Sign in an app on a device",
		http.StatusCreated)
	op.Description = "Starts a session and returns its bearer token, only this once. Store it where only the app can " +
		"read it."
	huma.Register(h, public(op), a.signIn)
}

type signInInput struct {
	UserAgent string `header:"User-Agent" hidden:"true"`
	Body      client.SignIn
}

type signInOutput struct{ Body client.SignedIn }

func (a *API) signIn(ctx context.Context, in *signInInput) (*signInOutput, error) {
	proof, err := signin.Proof(a.SignIn.Password(ctx, in.Body.Identifier, string(in.Body.Password), addressOf(ctx)))
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	label := in.Body.Label
	if authority.CleanLabel(label) == "" {
		label = "App"
	}
	token, s, err := a.Authority.Start(ctx, authority.SignIn{
		Proof: proof, Kind: exeunt.KindApp, Label: label, UserAgent: in.UserAgent, Address: addressOf(ctx),
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &signInOutput{client.SignedIn{Token: client.Sent(token.Reveal()), Session: a.session(s, s.ID)}}, nil
}
