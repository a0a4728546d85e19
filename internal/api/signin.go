package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/signin"
)

func (a *API) signInCalls(h huma.API) {
	op := operation(http.MethodPost, "/api/v1/signin", tagSignIn, "sign-in", "Sign in an app on a device",
		http.StatusCreated)
	op.Description = "Starts a session and returns its bearer token, only this once. Store it where only the app can " +
		"read it. If a password alone is not enough for the account, and it has no second step yet, the answer is 403 " +
		"`factor_needed`: the person adds one in a browser first."
	huma.Register(h, public(op), a.signIn)
	op = operation(http.MethodPost, "/api/v1/signin/answer", tagSignIn, "answer-challenge", "Take the second step of a sign-in",
		http.StatusCreated)
	op.Description = "An account with a second step answers a sign-in with 401 `factor_required` and a challenge. This " +
		"answers it with a code, and starts the session. Five wrong codes end the challenge. Of the methods it names, " +
		"`passkey` cannot be answered by an app: passkeys work only on this site's own pages. An app for whose person no " +
		"other method is left opens the browser, and asks there for a sign-in by OpenID Connect; so do people without a password."
	huma.Register(h, public(op), a.answer)
}

type answerInput struct {
	UserAgent string `header:"User-Agent" hidden:"true"`
	Body      client.Answer
}

func (a *API) answer(ctx context.Context, in *answerInput) (*signInOutput, error) {
	t, err := exeunt.ParseToken(string(in.Body.Challenge))
	if err != nil {
		return nil, a.problem(ctx, exeunt.ErrChallengeOver)
	}
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Address: addressOf(ctx), Label: authority.CleanLabel(in.Body.Label)}
	done, err := a.SignIn.Answer(ctx, t, signin.Reply{Code: string(in.Body.Code)}, by)
	switch {
	case err != nil:
		return nil, a.problem(ctx, err)
	case done.Form != apiForm || done.Proof.Repeated: // of a browser, or a session whose token was handed out
		return nil, a.problem(ctx, exeunt.ErrChallengeOver)
	}
	return a.start(ctx, done.Proof, in.Body.Label, in.UserAgent)
}

// apiForm marks the challenges of this API: one of a browser's form starts no other kind of session.
const apiForm = "api"

type signInInput struct {
	UserAgent string `header:"User-Agent" hidden:"true"`
	Body      client.SignIn
}

type signInOutput struct{ Body client.SignedIn }

func (a *API) signIn(ctx context.Context, in *signInInput) (*signInOutput, error) {
	step, err := a.SignIn.Password(ctx, in.Body.Identifier, string(in.Body.Password), addressOf(ctx))
	proof, err := a.SignIn.Ask(ctx, apiForm, step, err)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.start(ctx, proof, in.Body.Label, in.UserAgent)
}

func (a *API) start(ctx context.Context, proof exeunt.Proof, label, userAgent string) (*signInOutput, error) {
	if authority.CleanLabel(label) == "" {
		label = "App"
	}
	known, err := a.Accounts.Recognise(ctx, proof.Account, account.Arrival{Kind: exeunt.KindApp, Agent: userAgent,
		Label: label, Address: addressOf(ctx)})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	token, s, err := a.Authority.Start(ctx, authority.SignIn{
		Proof: proof, Kind: exeunt.KindApp, Label: label, UserAgent: userAgent, Address: addressOf(ctx), Recognised: known,
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &signInOutput{client.SignedIn{Token: client.Sent(token.Reveal()), Session: a.session(s, s.ID)}}, nil
}
