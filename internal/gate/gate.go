// Package gate answers, for a proxy or an app, one question about one request:
// is whoever sent it signed in? It is the address that stands in the way of
// every request of every app, so for a known token it allocates little and
// waits for nobody.
//
// It owns the gate's headers. It redirects nobody, renders nothing, and keeps
// "signed out" (401) apart from "cannot be known" (503). It answers for this one
// decision; adapters per proxy are about where the request's particulars stand.
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

// Gate is the handler of /gate. The date of its answers is by the authority's
// own clock, so that whoever asks can tell how far off its deadlines are by
// whatever clock it has itself.
type Gate struct {
	authority *authority.Authority
	clients   *oauth.Registry
	headers   headerCache
	clock     clock
}

// New returns the gate of an authority and its clients.
func New(a *authority.Authority, clients *oauth.Registry) *Gate {
	return &Gate{authority: a, clients: clients}
}

// Values that are always the same are shared between answers: nobody changes a
// header's values in place.
var (
	noStore     = []string{"no-store"}
	unknown     = []string{"unknown"}
	unavailable = []string{"unavailable"}
	otherClient = []string{"other_client"}
	clientKey   = []string{"client_key"}
	oneSecond   = []string{"1"}
	bearer      = []string{`Bearer`}
)

// ServeHTTP answers 200 with who it is, 401 with why not, or 503; 403 to a
// client key that is nobody's.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caching, ok := g.cachingClient(r)
	if !ok {
		// Not 401: it says nothing about the person.
		g.begin(w)[client.HeaderReason] = clientKey
		w.WriteHeader(http.StatusForbidden)
		return
	}
	c := credentialOf(r)
	ans := g.authority.Check(r.Context(), c)
	switch {
	case ans.Usable() && !caching.mayAsk(ans):
		g.refuse(w, otherClient)
	case ans.Usable() && !isMeant(r.Header, ans):
		g.refuse(w, otherClient)
	case ans.Usable():
		if client.IsActivity(methodOf(r), r.Header) {
			g.authority.Touch(ans)
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
	case ans.State == authority.Indeterminate:
		g.indeterminate(w)
	default:
		g.explain(w, r, c.Token, ans)
	}
}

// isMeant reports whether the token is for the client that the asker names, if
// it names one. A proxy that guards one app sets the header, so that a token
// handed to another app opens nothing here.
func isMeant(h http.Header, ans authority.Answer) bool {
	named := h[client.HeaderClient]
	return len(named) == 0 || len(named) == 1 && named[0] == string(ans.Client)
}

// accountHeaders returns what to say of an account, made anew if it is not in the
// cache or has changed.
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

// setSession sets what is said of a session that is signed in. All names are in their
// canonical form.
func (g *Gate) setSession(h http.Header, ans authority.Answer) {
	h["Cache-Control"] = noStore
	h["Date"] = g.clock.date(ans.AskedAt())
	idleAt := ans.IdleAt()
	v := headerValues{text: make([]byte, 0, 128)}
	v.text, _ = ans.Session.AppendText(v.text)
	v.end(client.HeaderSession)
	v.millis(client.HeaderIdleAt, idleAt)
	v.millis(client.HeaderWarnAt, idleAt.Add(-g.authority.WarningOf(ans.Kind)))
	if !ans.App.IsZero() {
		v.text, _ = ans.App.AppendText(v.text)
		v.end(client.HeaderAppSession)
		v.text = append(v.text, ans.Client...)
		v.end(client.HeaderClient)
	}
	v.set(h)
}

// cachingClient is a client that keeps the answer in its own memory and judges later
// events by it. The zero cachingClient is anybody else, and is told nothing.
type cachingClient struct {
	id       exeunt.ClientID
	position authority.Position
}

// cachingClient returns who wants to keep the answer, by its key; ok is false for a key
// that is nobody's. It comes before the check: the position it takes must not hold an
// event that the answer does not.
func (g *Gate) cachingClient(r *http.Request) (c cachingClient, ok bool) {
	given := r.Header[client.HeaderClientKey]
	if len(given) == 0 {
		return c, true
	}
	key, err := exeunt.ParseToken(given[0])
	if err != nil || len(given) > 1 {
		return c, false
	}
	known, ok := g.clients.ClientByKey(key)
	if !ok {
		return c, false
	}
	// A node that has lost its log answers the check itself with 503.
	c.id = known.ID
	c.position, _ = g.authority.Position()
	return c, true
}

// mayAsk refuses a client the app sessions of others.
func (c cachingClient) mayAsk(ans authority.Answer) bool {
	return c.id == "" || ans.App.IsZero() || ans.Client == c.id
}

// set sets what it takes to keep the answer. A session's own token is answered for, but
// not to be kept.
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

// begin sets the headers of every answer that refuses.
func (g *Gate) begin(w http.ResponseWriter) http.Header {
	h := w.Header()
	h["Cache-Control"] = noStore
	h["Date"] = g.clock.date(g.authority.Now())
	return h
}

// explain tells a dead token when and why it ended, and nothing else: its
// holder may be a thief, or the next user of the computer.
func (g *Gate) explain(w http.ResponseWriter, r *http.Request, token exeunt.Token, ans authority.Answer) {
	if ans.State == authority.NoSuch || ans.State == authority.WrongUse {
		g.refuse(w, unknown)
		return
	}
	at, reason, known, err := g.authority.WhyEnded(r.Context(), token)
	if err != nil || !known || reason == "" {
		g.refuse(w, unknown) // it has ended all the same
		return
	}
	w.Header()[client.HeaderEndedAt] = []string{at.UTC().Format(time.RFC3339)}
	g.refuse(w, []string{string(reason)})
}

func (g *Gate) indeterminate(w http.ResponseWriter) {
	h := g.begin(w)
	h[client.HeaderReason] = unavailable
	h["Retry-After"] = oneSecond
	w.WriteHeader(http.StatusServiceUnavailable)
}

func (g *Gate) refuse(w http.ResponseWriter, reason []string) {
	h := g.begin(w)
	h["Www-Authenticate"] = bearer // RFC 9110 section 15.5.2
	h[client.HeaderReason] = reason
	w.WriteHeader(http.StatusUnauthorized)
}

// methodOf is the method of the request that the gate is asked about: a proxy
// names it, and asks with its own.
func methodOf(r *http.Request) string {
	if m := r.Header["X-Forwarded-Method"]; len(m) > 0 && m[0] != "" {
		return m[0]
	}
	return r.Method
}

// credentialOf returns the request's credential: the bearer token or, without an
// Authorization header, the one app session's token among the cookies. The
// name of an app's cookie is the app's own affair but for the prefix __Host-:
// one without it may have been planted by a neighbouring host (RFC 6265bis
// section 4.1.3.2), to sign somebody in as somebody else. Two different tokens
// are refused, because nobody can say which of them is meant. It is the zero
// Credential when there is none.
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
