package gate

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/web"
)

// The addresses of a site that are ours.
const (
	signInPath    = exeunt.SitePrefix + "sign-in"
	callbackPath  = exeunt.SitePrefix + "callback"
	accountPath   = exeunt.SitePrefix + "account"
	signOutPath   = exeunt.SitePrefix + "sign-out"
	signedOutPath = exeunt.SitePrefix + "signed-out"
)

// Cookies of ours on a site's host, besides the session's.
const (
	// cookieBegun binds a sign-in to the browser in which it was begun, and counts how often one was completed lately.
	cookieBegun = "__Host-exeunt-site-begun"
	// cookieDone says which sign-in was completed last.
	cookieDone = "__Host-exeunt-site-done"
	// cookieOf says who was here last, as only we can tell.
	cookieOf = "__Host-exeunt-site-of"
)

const (
	// beginLife is how long somebody has for a sign-in.
	beginLife = time.Hour
	// maxTo is how long an address may be that somebody comes back to: it travels in the state of an app's request.
	maxTo = 1000
	// maxRounds is how often a browser may be signed in within roundTime: more often, something keeps it from staying so.
	maxRounds = 4
	roundTime = 30 * time.Second
)

// begun is what a sign-in finds again, sealed in its state.
type begun struct {
	Site exeunt.ClientID `json:"s"`
	To   string          `json:"t"`
	At   int64           `json:"a"` // seconds since 1970
	By   string          `json:"b"` // which browser
}

const purposeState = "site state"

// ServeHTTP answers the addresses of a site that are ours.
func (g *Sites) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	web.NoStore(w)
	w.Header().Set("Referrer-Policy", "no-referrer")
	site, ok := g.OAuth.SiteAt(r.Host)
	if !ok {
		http.Error(w, "There is no such site at this address. Check the address.", http.StatusMisdirectedRequest)
		return
	}
	h := map[string]func(http.ResponseWriter, *http.Request, exeunt.Client){
		signInPath: g.signIn, accountPath: g.signIn, callbackPath: g.callback, signOutPath: g.signOut, signedOutPath: g.signedOut,
	}[r.URL.Path]
	switch {
	case h == nil:
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.URL.Path != signOutPath:
		w.Header().Set("Allow", "GET, HEAD") // RFC 9110 section 15.5.6
		http.Error(w, "This address is for reading only.", http.StatusMethodNotAllowed)
	default:
		h(w, r, site)
	}
}

func seeOther(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// wayBack returns an address of the site to come back to, and its front page for anything else.
func wayBack(site *exeunt.Site, to string) string {
	if strings.HasPrefix(to, exeunt.SitePrefix) {
		return "/"
	}
	back := strings.TrimPrefix(site.At(to), site.Origin())
	if len(back) > maxTo {
		back, _, _ = strings.Cut(back, "?")
	}
	if len(back) > maxTo {
		return "/"
	}
	return back
}

// signIn begins to sign a browser in: with a request to the authority, like any app's. At accountPath it is asked which of the
// browser's accounts is used here.
func (g *Sites) signIn(w http.ResponseWriter, r *http.Request, site exeunt.Client) {
	by, rounds, last := readBegun(r)
	if rounds >= maxRounds && g.authority.Now().Sub(last) < roundTime {
		http.SetCookie(w, web.HostCookie(cookieBegun, "", -1, true))
		seeOther(w, g.explainAt(site, "loop", ""))
		return
	}
	if by == "" {
		by, rounds = rand.Text(), 0
	}
	setBegun(w, by, rounds, last)
	state, err := g.state(begun{site.ID, wayBack(site.Site, r.URL.Query().Get("to")), g.authority.Now().Unix(), by})
	if err != nil {
		g.Log.Error("a sign-in to a site cannot be sealed", "site", site.ID, "err", err)
		http.Error(w, "The server cannot answer right now. Try again.", http.StatusServiceUnavailable)
		return
	}
	q := url.Values{
		"client_id": {string(site.ID)}, "redirect_uri": {site.Site.Callback()}, "response_type": {"code"},
		"scope": {"openid profile email groups"}, "state": {state},
		"code_challenge": {oauth.Challenge(g.verifier(state))}, "code_challenge_method": {"S256"},
	}
	if r.URL.Path == accountPath {
		q.Set("prompt", oauth.PromptSelect)
	}
	if age := maxAge(site.Site); age > 0 {
		q.Set("max_age", strconv.Itoa(int(age.Seconds())))
	}
	seeOther(w, g.Issuer+"/authorize?"+q.Encode())
}

// maxAge is how old somebody's proof may be who comes to the site. Where an idle limit counts, coming back after it takes
// as much as the first time.
func maxAge(s *exeunt.Site) time.Duration {
	if s.Fresh > 0 && (s.Idle == 0 || s.Fresh < s.Idle) {
		return s.Fresh
	}
	return s.Idle
}

func (g *Sites) state(b begun) (string, error) {
	text, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	return g.States.Seal(purposeState, text)
}

// verifier is the PKCE verifier of a sign-in (RFC 7636 section 4.1). Nobody can make it who lacks our key, so nothing has to
// be stored.
func (g *Sites) verifier(state string) string {
	sum := g.States.Sum("site verifier " + state)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// readBegun reads which browser it is, how often it was signed in lately, and when last.
func readBegun(r *http.Request) (by string, rounds int, last time.Time) {
	text, _ := web.Cookie(r, cookieBegun)
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return "", 0, last
	}
	rounds, err := strconv.Atoi(parts[1])
	at, wrong := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || wrong != nil || rounds < 0 {
		return "", 0, last
	}
	return parts[0], rounds, time.Unix(at, 0)
}

func setBegun(w http.ResponseWriter, by string, rounds int, last time.Time) {
	text := by + "." + strconv.Itoa(rounds) + "." + strconv.FormatInt(max(0, last.Unix()), 10)
	http.SetCookie(w, web.HostCookie(cookieBegun, text, 0, true))
}

// callback signs the browser in with the code that it brings, and sends it where it wanted to go.
func (g *Sites) callback(w http.ResponseWriter, r *http.Request, site exeunt.Client) {
	q := r.URL.Query()
	by, rounds, last := readBegun(r)
	var b begun
	text, ok := g.States.Open(purposeState, q.Get("state"))
	switch {
	case !ok || json.Unmarshal(text, &b) != nil || b.Site != site.ID || len(q["state"]) != 1 || len(q["code"]) > 1:
		seeOther(w, g.explainAt(site, "stale", ""))
		return
	case by == "":
		seeOther(w, g.explainAt(site, "cookies", b.To))
		return
	case by != b.By, q.Get("iss") != g.Issuer: // RFC 9207 section 2.4
		seeOther(w, g.explainAt(site, "stale", b.To))
		return
	case q.Get("error") != "":
		seeOther(w, g.explainAt(site, refusal(q.Get("error")), b.To))
		return
	}
	now := g.authority.Now()
	if age := now.Sub(time.Unix(b.At, 0)); age > beginLife {
		seeOther(w, g.explainAt(site, "stale", b.To))
		return
	}
	done := g.States.Code("site done " + q.Get("state"))
	if was, _ := web.Cookie(r, cookieDone); was == done && g.hasSession(r, site) {
		seeOther(w, site.Site.At(b.To)) // the page was loaded again: a code that is presented twice ends what it gave
		return
	}
	got, err := g.exchange(r, site, q.Get("code"), g.verifier(q.Get("state")))
	if err != nil {
		g.failed(w, site, b.To, err)
		return
	}
	if now.Sub(last) >= roundTime {
		rounds = 0
	}
	setBegun(w, by, rounds+1, now)
	http.SetCookie(w, web.HostCookie(cookieDone, done, 0, true))
	g.arrive(w, r, site, got)
	seeOther(w, site.Site.At(b.To))
}

func refusal(code string) string {
	if code == oauth.ErrAccessDenied.Code {
		return "declined"
	}
	return "stale"
}

// exchange spends a code. The session that it gives does not outlive the time for which somebody's proof counts.
func (g *Sites) exchange(r *http.Request, site exeunt.Client, text, verifier string) (oauth.Tokens, error) {
	code, err := exeunt.ParseToken(text)
	if err != nil {
		return oauth.Tokens{}, exeunt.ErrCodeSpent
	}
	return g.OAuth.ExchangeCode(r.Context(), oauth.CodeExchange{Code: code, Client: site,
		RedirectURI: site.Site.Callback(), Verifier: verifier})
}

func (g *Sites) hasSession(r *http.Request, site exeunt.Client) bool {
	c, ok := siteCredential(r.Header)
	if !ok {
		return false
	}
	ans := g.authority.Check(r.Context(), c)
	return ans.Usable() && ans.Client == site.ID
}

func (g *Sites) failed(w http.ResponseWriter, site exeunt.Client, to string, err error) {
	switch {
	case errors.Is(err, exeunt.ErrCodeSpent):
		seeOther(w, g.explainAt(site, "stale", to))
	case errors.Is(err, exeunt.ErrNotAdmitted):
		seeOther(w, g.explainAt(site, "not_admitted", ""))
	default:
		g.Log.Warn("a sign-in to a site failed", "site", site.ID, "err", err)
		seeOther(w, g.explainAt(site, "unavailable", to))
	}
}

// arrive gives the browser the site's session. The app's own session of whoever was here before must not meet them, and
// what they had of the site's ends: nothing holds it any more.
func (g *Sites) arrive(w http.ResponseWriter, r *http.Request, site exeunt.Client, got oauth.Tokens) {
	g.replace(r, site, got.Account)
	age := 0 // goes when the browser closes
	if got.Kind == exeunt.KindKept {
		age = int(got.ExpiresAt().Sub(g.authority.Now()).Seconds())
	}
	http.SetCookie(w, web.HostCookie(siteCookie, got.Access.Reveal(), age, true))
	of := g.States.Code("site person " + string(site.ID) + " " + got.Account.String())
	if was, _ := web.Cookie(r, cookieOf); was != of {
		g.clearApp(w, r, site)
	}
	http.SetCookie(w, web.HostCookie(cookieOf, of, age, true))
}

// replace ends the site's session that the browser has, if it is another account's.
func (g *Sites) replace(r *http.Request, site exeunt.Client, by exeunt.AccountID) {
	c, ok := siteCredential(r.Header)
	if !ok {
		return
	}
	ans := g.authority.Check(r.Context(), c)
	if !ans.Usable() || ans.Client != site.ID || ans.Account == by {
		return
	}
	// Even if this cannot be recorded now, it is of no use without its cookie, and ends with its own limits.
	_, err := g.authority.End(r.Context(), exeunt.System(), exeunt.Revocation{Reason: exeunt.ReasonReplaced, Target: exeunt.Target{
		Account: ans.Account, Scope: exeunt.ScopeSession, Session: ans.Session, AppSession: ans.App}})
	if err != nil {
		g.Log.Warn("the session of a site that another account took over cannot be ended", "site", site.ID, "err", err)
	}
}
