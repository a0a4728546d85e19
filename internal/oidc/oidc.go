// Package oidc is the part of the OpenID provider that programs talk to: discovery, keys, and the token, userinfo,
// introspection and revocation endpoints.
//
// It owns their paths, what they accept and how they answer; the parsing of requests is a library's. It takes client
// secrets and bearer tokens, never a cookie. It has no pages, does not decide what an app may have (oauth does), and
// does not start, check or end sessions (authority does).
package oidc

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/rs/cors"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client/receipt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/web"
)

// The paths. The pages serve Authorize, EndSession and UserCode.
const (
	Prefix     = "/oauth/"
	Discovery  = "/.well-known/openid-configuration"
	Token      = Prefix + "token"
	UserInfo   = Prefix + "userinfo"
	Introspect = Prefix + "introspect"
	Revoke     = Prefix + "revoke"
	Keys       = Prefix + "keys"
	Device     = Prefix + "device"
	// ReceiptKeys are those that receipts were ever signed with; Keys are only as old as the tokens that apps verify.
	ReceiptKeys = receipt.KeysPath
	// GlobalRevoke is for systems that may end everything of somebody.
	GlobalRevoke = Prefix + "global-token-revocation"
	Authorize    = "/authorize"
	EndSession   = "/end_session"
	UserCode     = "/device"
)

// Deps are what a Provider is made of. All fields are needed.
type Deps struct {
	Authority *authority.Authority
	OAuth     *oauth.Service
	Peers     web.Peers // tells where a request comes from
	Languages []string  // of the pages
	Log       *slog.Logger
}

// Provider serves the endpoints.
type Provider struct {
	Deps
	surface web.Surface
	library http.Handler
}

// New returns a provider.
func New(d Deps) *Provider {
	p := &Provider{Deps: d, surface: web.Surface{Fail: Fail, Log: d.Log}}
	p.library = op.RegisterServer(&server{Provider: p}, op.Endpoints{
		Token: op.NewEndpoint(Token), Userinfo: op.NewEndpoint(UserInfo), Introspection: op.NewEndpoint(Introspect),
		Revocation: op.NewEndpoint(Revoke), JwksURI: op.NewEndpoint(Keys), DeviceAuthorization: op.NewEndpoint(Device),
	}, op.WithServerCORSOptions(nil)) // see Mount
	return p
}

// Mount registers the endpoints. Scripts of other sites may call those that apps in browsers need: what they send is a
// token that they have, and never a cookie of ours.
func (p *Provider) Mount(m *http.ServeMux) {
	endpoints := http.NewServeMux()
	for _, path := range []string{Discovery, Keys} {
		endpoints.Handle("GET "+path, p.handle(p.read))
	}
	endpoints.Handle("GET "+ReceiptKeys, p.handle(p.receiptKeys))
	for _, path := range []string{Token, Introspect, Revoke, UserInfo, Device} {
		endpoints.Handle("POST "+path, p.handle(p.form))
	}
	endpoints.Handle("POST "+GlobalRevoke, p.handle(p.globalRevoke))
	endpoints.Handle("GET "+UserInfo, p.handle(p.read))
	for _, path := range []string{Discovery, Keys, ReceiptKeys, Token, Introspect, Revoke, UserInfo, Device, GlobalRevoke} {
		endpoints.Handle(path, p.handle(otherMethod))
	}
	endpoints.Handle("/", p.handle(nothingHere))
	shared := cors.New(cors.Options{
		AllowedOrigins: []string{"*"}, AllowedMethods: []string{http.MethodGet, http.MethodPost},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Accept"},
		ExposedHeaders: []string{"Retry-After", "WWW-Authenticate"},
	}).Handler(endpoints)
	m.Handle(Prefix, p.surface.Recover(shared))
	for _, path := range []string{Introspect, GlobalRevoke} { // only for clients with a secret, which no browser has
		m.Handle(path, p.surface.Recover(endpoints))
	}
	m.Handle(Discovery, p.surface.Recover(shared))
}

// handle answers a handler's error. Refusals are the caller's, and not logged.
func (p *Provider) handle(h web.Handler) http.Handler {
	return p.surface.Handle(func(w http.ResponseWriter, r *http.Request) error {
		err := h(w, r)
		var refusal *oauth.Refusal
		if errors.As(err, &refusal) {
			Fail(w, r, http.StatusBadRequest, err)
			return nil
		}
		return err
	})
}

func otherMethod(w http.ResponseWriter, r *http.Request) error {
	allow := http.MethodPost
	switch r.URL.Path {
	case Discovery, Keys, ReceiptKeys:
		allow = "GET, HEAD"
	case UserInfo:
		allow = "GET, HEAD, POST"
	}
	w.Header().Set("Allow", allow)
	return web.ErrMethod
}

func nothingHere(http.ResponseWriter, *http.Request) error { return exeunt.ErrNotFound }

// maxForm is how many bytes a form may have.
const maxForm = 64 << 10

// form serves what is sent as a form. The library would read parameters in the address too, where secrets do not belong
// (RFC 6749 section 2.3.1, RFC 6750 section 2.3).
func (p *Provider) form(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadBody(w, r, maxForm); err != nil {
		return err
	}
	r = withoutQuery(r)
	if err := r.ParseForm(); err != nil {
		return &oauth.Refusal{Code: "invalid_request", Description: "the body is not a readable form"}
	}
	for name, values := range r.PostForm {
		if len(values) > 1 { // RFC 6749 section 3.2
			return &oauth.Refusal{Code: "invalid_request", Description: "a parameter was sent more than once: " + clip(name)}
		}
	}
	if r.URL.Path == Introspect && r.PostForm.Get("client_secret") == "" && r.Header.Get("Authorization") == "" {
		return exeunt.ErrClientKey
	}
	return p.serve(w, r)
}

func (p *Provider) read(w http.ResponseWriter, r *http.Request) error {
	return p.serve(w, withoutQuery(r))
}

func (p *Provider) receiptKeys(w http.ResponseWriter, r *http.Request) error {
	set, err := p.OAuth.ReceiptKeys(r.Context())
	if err == nil {
		write(w, http.StatusOK, set)
	}
	return err
}

func withoutQuery(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.URL = &url.URL{Path: r.URL.Path}
	return r
}

// clip cuts what somebody sent.
func clip(s string) string { return s[:min(len(s), 40)] }

// call is what the library does not pass on of a request, and cannot of its answer.
type call struct {
	from      netip.Addr
	userAgent string
	err       error // to answer with
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		c = &call{}
	}
	return c
}

// serve has the library handle a request. Its answer is held back, because it has no place for our headers and answers
// some errors with another status than the specifications ask for.
func (p *Provider) serve(w http.ResponseWriter, r *http.Request) error {
	c := &call{from: p.Peers.Address(r), userAgent: r.UserAgent()}
	held := &heldBack{header: http.Header{}, status: http.StatusOK}
	p.library.ServeHTTP(held, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	switch {
	case c.err != nil:
		return c.err
	case held.status != http.StatusOK:
		return held.refusal(r)
	}
	write(w, held.status, held.body.Bytes())
	return nil
}

type heldBack struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldBack) Header() http.Header         { return h.header }
func (h *heldBack) WriteHeader(status int)      { h.status = status }
func (h *heldBack) Write(b []byte) (int, error) { return h.body.Write(b) }
