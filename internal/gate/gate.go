// Package gate answers, for a proxy or an app, whether a request's sender is signed
// in. Every request of every app waits for it, so for a token in memory it allocates
// little and waits for nobody. Where the app is a site, it decides about the whole
// request, signs people in and out on the site's host, and may be the site's proxy.
//
// It owns the gate's headers. It renders nothing, and distinguishes "signed out" (401)
// from "cannot tell" (503). It answers about an app's session only to somebody who
// names that app.
package gate

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/web"
)

// Path is the gate's address. Path + "/" + ID is that of the client ID.
const Path = "/gate"

// Gate is the handler of Path and the addresses below it. The date of its answers is
// by the authority's clock, so that callers whose clocks differ can tell how long its
// deadlines are away.
type Gate struct {
	// AnyClient makes the gate take every app's token from somebody who names no
	// client.
	AnyClient bool
	Peers     web.Peers // tells where a forwarded request comes from

	authority *authority.Authority
	clients   *oauth.Registry
	headers   headerCache
	clock     clock
}

// New returns the gate of an authority and its clients.
func New(a *authority.Authority, clients *oauth.Registry) *Gate {
	return &Gate{authority: a, clients: clients}
}

// Constant values are shared between answers, because nobody changes a header's
// values in place.
var (
	noStore     = []string{"no-store"}
	unknown     = []string{"unknown"}
	unavailable = []string{"unavailable"}
	expired     = []string{"token_expired"}
	otherClient = []string{"other_client"}
	noClient    = []string{"no_client"}
	noSuch      = []string{"no_such_client"}
	clientKey   = []string{"client_key"}
	oneSecond   = []string{"1"}
	bearer      = []string{`Bearer`}
	kinds       = map[exeunt.SessionKind][]string{
		exeunt.KindKept: {string(exeunt.KindKept)}, exeunt.KindShared: {string(exeunt.KindShared)},
		exeunt.KindApp: {string(exeunt.KindApp)},
	}
)

// ServeHTTP answers 200 with the person, 401 with the reason, or 503; 403 to somebody
// whose client key is unknown, who names a client that is not registered, or who names
// none and asks about an app's session.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caching, ok := g.cachingClient(r)
	if !ok {
		g.forbid(w, clientKey)
		return
	}
	c, names := credentialOf(r), namesOf(r)
	if c.Token.Use().OfApp() && names.none() && caching.id == "" && !g.AnyClient {
		g.forbid(w, noClient)
		return
	}
	if id := names.unknown(g.clients.Clients()); id != "" {
		g.clients.ReportNoSuch(id)
		g.forbid(w, noSuch)
		return
	}
	ans := g.authority.Check(r.Context(), c)
	switch {
	case ans.Usable() && !caching.mayAsk(ans):
		g.refuse(w, otherClient)
	case ans.Usable() && !names.allow(ans.Client):
		g.refuse(w, otherClient)
	case ans.Usable():
		g.authority.PageOpen(ans)
		if client.IsActivity(r.Header) {
			g.authority.TouchFrom(ans, g.Peers.Forwarded(r))
		}
		account, err := g.accountHeaders(r.Context(), ans)
		if err != nil {
			g.indeterminate(w)
			return
		}
		h := w.Header()
		account.set(h)
		g.setSession(h, ans)
		caching.set(h, ans)
		w.WriteHeader(http.StatusOK)
	case ans.State == authority.Indeterminate, ans.State == authority.Renewed:
		g.indeterminate(w)
	case ans.State == authority.Expired:
		g.refuse(w, expired)
	default:
		g.explain(w, r, c.Token, ans)
	}
}

// names are how a request names the client that it is about: in the address, which
// only whoever asks can choose, and in headers, which a proxy may have passed on from
// a browser. All must name the client of the token. A proxy in front of one app names
// that app, so that another app's token, which its operator may have kept, opens
// nothing there.
type names struct {
	path   string
	header []string
}

func namesOf(r *http.Request) names {
	path, _ := strings.CutPrefix(r.URL.Path, Path)
	return names{strings.TrimPrefix(path, "/"), r.Header[client.HeaderClient]}
}

func (n names) none() bool { return n.path == "" && len(n.header) == 0 }

// unknown returns the name that no client has, and "" if there is none. A header beside
// the address may be a browser's, and is only compared with the token's client.
func (n names) unknown(clients map[exeunt.ClientID]exeunt.Client) exeunt.ClientID {
	name := n.path
	if name == "" && len(n.header) > 0 {
		name = n.header[0]
	}
	if _, known := clients[exeunt.ClientID(name)]; known {
		return ""
	}
	return exeunt.ClientID(name)
}

// allow reports whether nothing names another client than this one, which is "" for a
// session's own token.
func (n names) allow(id exeunt.ClientID) bool {
	for _, name := range n.header {
		if name != string(id) {
			return false
		}
	}
	return n.path == "" || n.path == string(id)
}

// accountHeaders returns an account's headers, from the cache unless they are missing
// or the profile has changed.
func (g *Gate) accountHeaders(ctx context.Context, ans authority.Answer) (*accountHeaders, error) {
	if of := g.headers.get(ans.Account, ans.ProfileVersion()); of != nil {
		return of, nil
	}
	p, err := g.authority.Profile(ctx, ans)
	if err != nil {
		return nil, err
	}
	of := newAccountHeaders(ans.Account, p)
	g.headers.put(ans.Account, of)
	return of, nil
}

// setSession sets the headers about a usable session. All names are in their canonical
// form.
func (g *Gate) setSession(h http.Header, ans authority.Answer) {
	h["Cache-Control"] = noStore
	h["Date"] = g.clock.date(ans.AskedAt())
	h[client.HeaderKind] = kinds[ans.Kind]
	idleAt := ans.IdleAt()
	if end := ans.ExpiresAt(); end.Before(idleAt) {
		idleAt = end
	}
	v := headerValues{text: make([]byte, 0, 128)}
	v.text, _ = ans.Session.AppendText(v.text)
	v.end(client.HeaderSession)
	v.millis(client.HeaderIdleAt, idleAt)
	v.millis(client.HeaderWarnAt, idleAt.Add(-g.authority.WarningOf(ans)))
	// A session's own token has no app: the headers are empty, and not left out, for a
	// proxy may pass on what a browser sent under a name that the answer does not have.
	if !ans.App.IsZero() {
		v.text, _ = ans.App.AppendText(v.text)
	}
	v.end(client.HeaderAppSession)
	v.text = append(v.text, ans.Client...)
	v.end(client.HeaderClient)
	v.set(h)
}

// cachingClient is a client that caches the answer and compares later events with it.
// The zero cachingClient is any other caller, who gets no headers for that.
type cachingClient struct {
	id       exeunt.ClientID
	position authority.Position
}

// cachingClient returns the caching client that the key belongs to; ok is false for an
// unknown key. Call it before the check: its position must not include an event that
// the answer does not.
func (g *Gate) cachingClient(r *http.Request) (c cachingClient, ok bool) {
	given := r.Header[client.HeaderClientKey]
	if len(given) == 0 {
		return c, true
	}
	key, err := exeunt.ParseToken(given[0])
	if err != nil || len(given) > 1 {
		return c, false
	}
	known, ok := g.clients.CheckedByKey(key)
	if !ok {
		return c, false
	}
	// A node that cannot read its log answers the check itself with 503.
	c.id = known.ID
	c.position, _ = g.authority.Position()
	return c, true
}

// mayAsk reports that a client asks about its own app session, or a session's own
// token.
func (c cachingClient) mayAsk(ans authority.Answer) bool {
	return c.id == "" || ans.App.IsZero() || ans.Client == c.id
}

// set sets the headers with which the client can cache the answer. Answers about a
// session's own token are not cached.
func (c cachingClient) set(h http.Header, ans authority.Answer) {
	if c.id == "" || ans.App.IsZero() {
		return
	}
	h[client.HeaderEpoch] = []string{c.position.Epoch}
	setNumber(h, client.HeaderSeq, c.position.Seq)
	if c.position.Digest != "" {
		h[client.HeaderDigest] = []string{c.position.Digest}
	}
	setNumber(h, client.HeaderGeneration, ans.Generation())
	setNumber(h, client.HeaderIdle, ans.Idle().Milliseconds())
	setNumber(h, client.HeaderExpiresAt, ans.ExpiresAt().UnixMilli())
}

// refusal sets the headers of every refusal.
func (g *Gate) refusal(w http.ResponseWriter) http.Header {
	h := w.Header()
	h["Cache-Control"] = noStore
	h["Date"] = g.clock.date(g.authority.Now())
	return h
}

// explain says when and why a session ended, and nothing else: the token's holder
// may be a thief, or the next user of the computer.
func (g *Gate) explain(w http.ResponseWriter, r *http.Request, token exeunt.Token, ans authority.Answer) {
	if ans.State == authority.NoSuch || ans.State == authority.WrongUse {
		g.refuse(w, unknown)
		return
	}
	at, reason, found, err := g.authority.WhyEnded(r.Context(), token)
	if err != nil || !found || reason == "" {
		g.refuse(w, unknown) // it has ended, only the reason is unknown
		return
	}
	w.Header()[client.HeaderEndedAt] = []string{at.UTC().Format(time.RFC3339)}
	g.refuse(w, []string{string(reason)})
}

func (g *Gate) indeterminate(w http.ResponseWriter) {
	h := g.refusal(w)
	h[client.HeaderReason] = unavailable
	h["Retry-After"] = oneSecond
	w.WriteHeader(http.StatusServiceUnavailable)
}

// forbid refuses whoever asks. It is not 401, which would say that the person is
// signed out.
func (g *Gate) forbid(w http.ResponseWriter, reason []string) {
	g.refusal(w)[client.HeaderReason] = reason
	w.WriteHeader(http.StatusForbidden)
}

func (g *Gate) refuse(w http.ResponseWriter, reason []string) {
	h := g.refusal(w)
	h["Www-Authenticate"] = bearer // RFC 9110 section 15.5.2
	h[client.HeaderReason] = reason
	w.WriteHeader(http.StatusUnauthorized)
}

// credentialOf returns the request's credential: the bearer token or, without an
// Authorization header, the one app session's token among the cookies. An app may
// choose its cookie's name, but it must begin with __Host-: a neighbouring host may
// have set any other (RFC 6265bis section 4.1.3.2), to sign somebody in as somebody
// else. Two different tokens are refused, because nobody can say which one is right.
// It is the zero Credential when there is none.
func credentialOf(r *http.Request) authority.Credential {
	if len(r.Header["Authorization"]) > 0 {
		return web.Bearer(r)
	}
	return appCookie(r.Header["Cookie"])
}

func appCookie(lines []string) (found authority.Credential) {
	for _, line := range lines {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			name, value, _ := strings.Cut(pair, "=")
			if !strings.HasPrefix(strings.Trim(name, " \t"), "__Host-") {
				continue
			}
			t, err := exeunt.ParseToken(strings.Trim(value, " \t\""))
			if err != nil || !authority.AsAppCookie.Takes(t) {
				continue
			}
			if !found.Token.IsZero() && t != found.Token {
				return authority.Credential{}
			}
			found = authority.Credential{Token: t, Use: authority.AsAppCookie}
		}
	}
	return found
}
