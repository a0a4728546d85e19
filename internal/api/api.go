// Package api is the JSON API for programs: a thin layer between HTTP and the
// authority. Its shapes live in package client, its errors are problem
// documents (RFC 9457), and its description is made from this code.
//
// It takes bearer tokens only, never a cookie, so no page can be made to call
// it on somebody's behalf. It decides nothing and renders nothing for people.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/web"
)

// Deps are what an API is made of. All fields are needed.
type Deps struct {
	Authority *authority.Authority
	SignIn    *signin.Service
	Accounts  *account.Service
	OAuth     *oauth.Service
	Peers     web.Peers // tells where a request comes from
	URL       string    // the server's public address, for the description and receipts
	Receipts  web.Receipts
	Log       *slog.Logger
}

// API serves everything below /api/ except the states and streams.
type API struct{ Deps }

// New returns an API.
func New(d Deps) *API { return &API{d} }

const (
	maxBody      = 64 << 10
	tagSignIn    = "Sign in and out"
	tagSessions  = "Sessions"
	tagState     = "State"
	tagVerifiers = "Apps that check in their own process"
	tagGate      = "Gate"
)

// Mount registers the calls, and the description at /api/openapi.json.
func (a *API) Mount(m *http.ServeMux) {
	h := humago.New(m, a.config())
	h.UseMiddleware(a.around)
	a.signInCalls(h)
	a.currentCalls(h)
	a.listCalls(h)
	a.verifierCalls(h)
	a.describe(h.OpenAPI())
	refuseOtherMethods(m, h.OpenAPI())
	m.HandleFunc("/api/", nothingHere)
}

func (a *API) config() huma.Config {
	c := huma.DefaultConfig("Exeunt", "1")
	c.Info.Description = "Start, list and end the sessions of an account. Errors are problem documents (RFC 9457) " +
		"with a stable code. Methods that are not described here are answered with 405 and Allow, and requests for " +
		"another host name with 421, as plain text. A reply says that something has ended only after the end is on " +
		"stable storage."
	c.OpenAPIPath = "/api/openapi"
	c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", nil // no page from elsewhere, no $schema in bodies
	c.Transformers = []huma.Transformer{a.problems}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer",
			Description: "A session's token (exs_…) or an app session's token (exa_…)"},
		"appCookie": {Type: "apiKey", In: "cookie", Name: "__Host-app",
			Description: "An app session's token in the app's own cookie, which may have any name; for /gate only"},
		"key": {Type: "http", Scheme: "bearer", Description: "The secret key of a registered client (exk_…). " +
			"Its holder learns when anybody's sessions end, so it is for first-party apps only"},
	}
	return c
}

type (
	addressKey struct{}
	bearerKey  struct{}
)

// around wraps every call: no caching, the caller's address, and a token where one is needed.
func (a *API) around(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	ctx.SetHeader("Cache-Control", "no-store")
	ctx = huma.WithValue(ctx, addressKey{}, a.Peers.Address(r))
	c := web.Bearer(r)
	if needsToken(ctx.Operation()) && !c.Use.Takes(c.Token) {
		write(w, noToken(r)) // before the request is validated, which is only the business of somebody who may make it
		return
	}
	if ctx.Operation().RequestBody != nil {
		if p, ok := readBody(w, r); !ok {
			write(w, p)
			return
		}
	}
	next(huma.WithValue(ctx, bearerKey{}, c))
}

// readBody reads a call's whole body. It returns the problem to answer with if that
// fails. huma's own reading takes a broken body for a failure of the server.
func readBody(w http.ResponseWriter, r *http.Request) (p problem, ok bool) {
	switch err := web.ReadBody(w, r, maxBody); {
	case errors.Is(err, exeunt.ErrBadRequest):
		p = bodyProblem(http.StatusBadRequest)
		p.Detail = "The body is broken or did not arrive whole. Nothing was changed; send it again."
		return p, false
	case err != nil:
		return bodyProblem(web.StatusOf(err)), false
	}
	return p, true
}

func addressOf(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(addressKey{}).(netip.Addr)
	return addr
}

// bearerOf returns what the call's Authorization header holds: a client's key, or
// a person's token in calls that need one.
func bearerOf(ctx context.Context) authority.Credential {
	c, _ := ctx.Value(bearerKey{}).(authority.Credential)
	return c
}

// operation fills in what calls have in common. statusesOf lists their problems.
func operation(method, path, tag, id, summary string, status int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{tag},
		DefaultStatus: status,
		Security:      []map[string][]string{{"bearer": {}}},
		MaxBodyBytes:  maxBody, BodyReadTimeout: -1, // it has been read by then
	}
}

func byKey(op huma.Operation) huma.Operation {
	op.Security = []map[string][]string{{"key": {}}}
	return op
}

func public(op huma.Operation) huma.Operation {
	op.Security = []map[string][]string{{}}
	return op
}

func needsToken(op *huma.Operation) bool {
	if len(op.Security) == 0 {
		return false
	}
	_, needs := op.Security[0]["bearer"]
	return needs
}
