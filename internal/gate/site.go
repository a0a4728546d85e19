package gate

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/web"
)

// Sites decides about requests to sites, and signs people in and out of them. All fields are needed.
type Sites struct {
	*Gate
	OAuth  *oauth.Service
	States *keys.Ring // seals what a sign-in must find again, and makes its PKCE verifiers
	Issuer string     // the authority's address
	Log    *slog.Logger
}

// Request is a request to a site, as a proxy tells of it.
type Request struct {
	Site    exeunt.Client
	Method  string
	URI     string // path and query, as the browser sent them
	Header  http.Header
	Address netip.Addr // the browser's
}

// Verdict is what becomes of a request to a site.
type Verdict struct {
	// Status is 200 if the app gets it, 303 for a browser that must go elsewhere first, or 401, 403 or 503.
	Status   int
	Location string
	Reason   string // of a refusal
	// Credential is what it was admitted by; zero when nobody needs to be signed in, or a program was let in.
	Credential authority.Credential
	Answer     authority.Answer

	account *accountHeaders // nil: nobody
	service string          // a program
}

// Passes reports whether the app gets the request.
func (v *Verdict) Passes() bool { return v.Status == http.StatusOK }

// Program reports whether a program was let in by a service token.
func (v *Verdict) Program() bool { return v.service != "" }

// Decide says what becomes of a request. Nothing that a browser says of who it is counts.
func (g *Sites) Decide(ctx context.Context, r Request) Verdict {
	path, _, _ := strings.Cut(r.URI, "?")
	switch {
	case !strings.HasPrefix(r.URI, "/"):
		return Verdict{Status: http.StatusForbidden, Reason: "bad_address"}
	case strings.HasPrefix(path, exeunt.SitePrefix):
		return Verdict{Status: http.StatusForbidden, Reason: "own_address"} // the proxy must send it to us
	case r.Site.Site.SignsOut(path) && isNavigation(r.Method, r.Header, http.MethodPost):
		return Verdict{Status: http.StatusSeeOther, Location: r.Site.Site.Origin() + signOutPath}
	}
	v := g.identify(ctx, r)
	open := r.Site.Site.IsOpen(path) || r.Site.Site.Preflight && isPreflight(r)
	if !v.Passes() && open {
		return Verdict{Status: http.StatusOK}
	}
	if v.Status == http.StatusUnauthorized {
		v.Location = g.elsewhere(r)
	}
	if v.Location != "" {
		v.Status = http.StatusSeeOther
	}
	return v
}

// identify tells who sends a request, and whether the site is theirs to use.
func (g *Sites) identify(ctx context.Context, r Request) Verdict {
	if len(r.Header["Authorization"]) > 0 {
		if of, ok := r.Site.Site.ServiceOf(web.Bearer(&http.Request{Header: r.Header}).Token); ok {
			return Verdict{Status: http.StatusOK, service: of.User}
		}
	}
	c, ok := siteCredential(r.Header)
	if !ok {
		return Verdict{Status: http.StatusUnauthorized, Reason: "unknown"}
	}
	ans := g.authority.Check(ctx, c)
	v := Verdict{Status: http.StatusOK, Credential: c, Answer: ans}
	switch {
	case ans.State == authority.Indeterminate, ans.State == authority.Renewed:
		return Verdict{Status: http.StatusServiceUnavailable, Reason: "unavailable"}
	case !ans.Usable(), ans.Client != r.Site.ID:
		return Verdict{Status: http.StatusUnauthorized, Reason: "signed_out"}
	case r.Site.Site.Idle > 0 && !g.inUse(ctx, r, ans):
		return Verdict{Status: http.StatusUnauthorized, Reason: string(exeunt.ReasonIdle)}
	}
	var err error
	if v.account, err = g.accountHeaders(ctx, ans); err != nil {
		return Verdict{Status: http.StatusServiceUnavailable, Reason: "unavailable"}
	}
	if !r.Site.Admits(strings.Split(v.account.groups[0], ",")) {
		return Verdict{Status: http.StatusForbidden, Reason: exeunt.ErrNotAdmitted.Code, Location: g.forbidden(r)}
	}
	g.authority.PageOpen(ans)
	if client.IsActivity(r.Header) {
		g.authority.TouchFrom(ans, r.Address)
	}
	return v
}

// inUse reports whether the site was used lately enough. If it was not, its own session ends.
func (g *Sites) inUse(ctx context.Context, r Request, ans authority.Answer) bool {
	since := g.authority.Now().Add(-r.Site.Site.Idle)
	if ans.SeenAt().After(since) {
		return true
	}
	// Another node may know of later use.
	used, err := g.authority.AppUsedSince(ctx, ans, since)
	if err != nil || used {
		return err == nil
	}
	_, err = g.authority.End(ctx, exeunt.System(), exeunt.Revocation{Reason: exeunt.ReasonIdle, Target: exeunt.Target{
		Account: ans.Account, Scope: exeunt.ScopeSession, Session: ans.Session, AppSession: ans.App}})
	if err != nil {
		g.Log.Warn("the session of a site that was not used cannot be ended; it is refused", "site", r.Site.ID, "err", err)
	}
	return false
}

// stays reports whether the session that a request was admitted with is still good for the site. What passes in a socket or a
// stream is no use of it.
func (g *Sites) stays(ctx context.Context, r Request, v Verdict) bool {
	ans := g.authority.Check(ctx, v.Credential)
	g.authority.PageOpen(ans)
	return ans.Usable() && (r.Site.Site.Idle == 0 || g.inUse(ctx, r, ans))
}

// elsewhere is where a browser goes that is not signed in: to sign in, and back to the same address. Whoever sent a form
// goes to a page that says that nothing was sent: a post of a session that has ended is never repeated. It is "" for
// scripts and programs, which are only refused.
func (g *Sites) elsewhere(r Request) string {
	switch {
	case isNavigation(r.Method, r.Header):
		return r.Site.Site.Origin() + signInPath + "?" + url.Values{"to": {r.URI}}.Encode()
	case isNavigation(r.Method, r.Header, r.Method):
		return g.explainAt(r.Site, "not_sent", cameFrom(r))
	}
	return ""
}

// cameFrom is the page of the site on which a form was sent; "" if that is not known.
func cameFrom(r Request) string {
	page, ok := strings.CutPrefix(first(r.Header, "Referer"), r.Site.Site.Origin())
	if !ok || !strings.HasPrefix(page, "/") || len(page) > maxTo {
		return ""
	}
	return page
}

// plain answers a request that came without TLS: what it carried may have been read on the way.
func (g *Sites) plain(r Request) Verdict {
	v := Verdict{Status: http.StatusForbidden, Reason: exeunt.ErrPlainHTTP.Code}
	if isNavigation(r.Method, r.Header) && strings.HasPrefix(r.URI, "/") {
		v.Status, v.Location = http.StatusSeeOther, r.Site.Site.Origin()+r.URI
	}
	return v
}

func (g *Sites) forbidden(r Request) string {
	if !isNavigation(r.Method, r.Header, r.Method) {
		return ""
	}
	return g.explainAt(r.Site, "not_admitted", "")
}

// explainAt is the authority's page that says why somebody did not get to a site. to is where on the site they wanted to go.
func (g *Sites) explainAt(site exeunt.Client, why, to string) string {
	q := url.Values{"site": {string(site.ID)}, "why": {why}}
	if to != "" {
		q.Set("to", to)
	}
	return g.Issuer + ExplainPath + "?" + q.Encode()
}

// ExplainPath is the authority's page for people who did not get to a site.
const ExplainPath = "/site"

// isNavigation reports whether a browser opens a page, by a GET or one of the methods besides, rather than a script.
func isNavigation(method string, h http.Header, besides ...string) bool {
	if method != http.MethodGet && method != http.MethodHead && !slices.Contains(besides, method) {
		return false
	}
	if mode := first(h, "Sec-Fetch-Mode"); mode != "" {
		// A frame's page cannot lead anybody through a sign-in (Fetch Metadata, section 2.1).
		dest := first(h, "Sec-Fetch-Dest")
		return mode == "navigate" && (dest == "document" || dest == "")
	}
	return first(h, "X-Requested-With") == "" && first(h, "Authorization") == "" && first(h, "Upgrade") == "" &&
		strings.Contains(first(h, "Accept"), "text/html")
}

// isPreflight reports whether a browser asks if a script of another site may call (Fetch, section 4.8).
func isPreflight(r Request) bool {
	for _, name := range []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"} {
		if len(r.Header[name]) > 0 { // which no browser sends, and some apps take for the method
			return false
		}
	}
	return r.Method == http.MethodOptions && first(r.Header, "Origin") != "" &&
		first(r.Header, "Access-Control-Request-Method") != ""
}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// siteCookie has the token of the site's session in a browser.
const siteCookie = "__Host-exeunt-site"

// siteCredential is the credential of the site's session. Two different ones are refused.
func siteCredential(h http.Header) (authority.Credential, bool) {
	text, ok := web.Cookie(&http.Request{Header: h}, siteCookie)
	t, err := exeunt.ParseToken(text)
	if !ok || err != nil || !authority.AsAppCookie.Takes(t) {
		return authority.Credential{}, false
	}
	return authority.Credential{Token: t, Use: authority.AsAppCookie}, true
}

// IdentityHeaders are the names by which an app reads who is signed in. Only we set them.
var IdentityHeaders = []string{
	client.HeaderUser, client.HeaderName, client.HeaderEmail, client.HeaderGroups, client.HeaderAccount,
	client.HeaderSession, client.HeaderAppSession, client.HeaderClient, client.HeaderIdleAt, client.HeaderWarnAt,
}

// noValue is shared, as the gate's constant values are.
var noValue = []string{""}

// Identify sets every identity header of a request that passes, with an empty value where there is nothing to say, so that
// a proxy that copies them overwrites whatever a browser sent under one of them.
func (g *Sites) Identify(h http.Header, v Verdict) {
	for _, name := range IdentityHeaders {
		h[name] = noValue
	}
	if v.service != "" {
		h[client.HeaderUser] = []string{v.service}
	}
	if v.account == nil {
		return
	}
	v.account.set(h)
	idleAt := v.Answer.IdleAt()
	h[client.HeaderSession], h[client.HeaderAppSession] = []string{v.Answer.Session.String()}, []string{v.Answer.App.String()}
	h[client.HeaderClient] = []string{string(v.Answer.Client)}
	setNumber(h, client.HeaderIdleAt, idleAt.UnixMilli())
	setNumber(h, client.HeaderWarnAt, idleAt.Add(-g.authority.WarningOf(v.Answer)).UnixMilli())
}
