package webapp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/exeunt/exeunt/client"
)

// flow is one sign-in under way in a browser: the callback must match what was sent
// (RFC 6749 section 10.12, RFC 7636). Several tabs may sign in at once, so the
// cookie holds as many flows as fit, newest first. A finished one has no verifier any
// more, and stays so that its callback can be loaded again.
type flow struct {
	state, verifier, back string
}

func (f flow) finished() bool { return f.verifier == "" }

// nonce is made from the verifier, which says no more about it than the challenge does,
// so that the cookie need not hold it too.
func (f flow) nonce() string { return digest("nonce " + f.verifier) }

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

const (
	maxFlows   = 32
	flowsSize  = 3500 // browsers keep a cookie of 4096 bytes with its name
	flowLife   = 10 * time.Minute
	maxBackLen = 512
)

// signIn sends the browser to the authority, which asks the person.
func (a *App) signIn(w http.ResponseWriter, r *http.Request) {
	f := flow{state: rand.Text(), verifier: rand.Text() + rand.Text(), back: localPath(r.URL.Query().Get("return"))}
	a.setFlows(w, append([]flow{f}, a.flows(r)...))
	a.redirect(w, a.Client.URL("/authorize", url.Values{
		"response_type":         {"code"},
		"scope":                 {"openid profile email groups"},
		"client_id":             {a.ID},
		"redirect_uri":          {a.callbackURL()},
		"state":                 {f.state},
		"nonce":                 {f.nonce()},
		"code_challenge":        {digest(f.verifier)},
		"code_challenge_method": {"S256"},
	}))
}

func (a *App) callbackURL() string { return a.URL + "/exeunt/callback" }

// callback exchanges the code that the browser brings for an app session, directly
// with the authority. It always answers with a redirect, so that no code stays in the
// browser's address and history.
func (a *App) callback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, rest, ok := pick(a.flows(r), q.Get("state"))
	switch {
	case !ok || f.finished():
		a.goOn(w, r, f.back)
		return
	case q.Get("code") != "":
		rest = append(rest, flow{state: f.state, back: f.back})
	}
	a.setFlows(w, rest)
	if iss := q.Get("iss"); iss != a.Client.Issuer() { // RFC 9207 section 2.4
		a.Log.Error("refused the answer of another issuer than the authority; give this app the authority's own address, "+
			"its setting url", "issuer", short(iss), "authority", a.Client.Issuer(), "app", a.ID)
		a.failed(w, NoticeSetUp)
		return
	}
	if q.Get("code") == "" {
		a.declined(w, q.Get("error"), q.Get("error_description"))
		return
	}
	token, session, err := a.exchange(r.Context(), q.Get("code"), f)
	switch {
	case client.CodeOf(err) == "invalid_grant":
		a.goOn(w, r, f.back)
		return
	case client.CodeOf(err) == "invalid_client":
		a.Log.Error("nobody can sign in: set the secret key with which this app is registered at the authority", "app", a.ID)
		a.failed(w, NoticeSetUp)
		return
	case err != nil:
		a.Log.Warn("a sign-in could not be completed", "err", err)
		a.failed(w, NoticeUnavailable)
		return
	}
	a.endReplaced(r, token)
	a.setCookie(w, token, session)
	a.redirect(w, f.back)
}

// exchange exchanges a code for an app session. The token must be one that the authority
// accepts for this app: another's would sign somebody else in.
func (a *App) exchange(ctx context.Context, code string, f flow) (client.Secret, client.Session, error) {
	token, err := a.Client.ExchangeCode(ctx, client.CodeGrant{
		ClientID: a.ID, Key: a.Key, Code: client.NewSecret(code), RedirectURI: a.callbackURL(),
		Verifier: client.NewSecret(f.verifier), Nonce: f.nonce(),
	})
	if err != nil {
		return client.Secret{}, client.Session{}, err
	}
	got, err := a.Client.Current(ctx, token)
	if err == nil && (got.App == nil || got.App.Client != a.ID) {
		err = errors.New("the authority gave a token of another app")
	}
	return token, got.Session, err
}

// declined answers a callback without a code (RFC 6749 section 4.1.2.1).
func (a *App) declined(w http.ResponseWriter, code, description string) {
	switch code {
	case "access_denied": // the person's own answer
		a.redirect(w, "/")
	case "server_error", "temporarily_unavailable":
		a.failed(w, NoticeUnavailable)
	default:
		a.Log.Error("the authority refused to sign somebody in", "error", short(code), "description", short(description),
			"app", a.ID)
		a.failed(w, NoticeSetUp)
	}
}

// short cuts what a browser sent for the log.
func short(text string) string { return text[:min(len(text), 200)] }

// failed redirects to the notice about a sign-in that was not completed.
func (a *App) failed(w http.ResponseWriter, why NoticeKind) {
	a.redirect(w, "/exeunt/not-signed-in?"+url.Values{"why": {string(why)}}.Encode())
}

// notSignedIn says why a sign-in was not completed.
func (a *App) notSignedIn(w http.ResponseWriter, r *http.Request) {
	why := NoticeKind(r.URL.Query().Get("why"))
	switch why {
	case NoticeUnavailable, NoticeSetUp, NoticeCookies:
	default:
		why = NoticeFlow
	}
	a.notice(w, r, Notice{Kind: why})
}

// goOn answers a callback that has nothing to exchange: it was loaded before, or this
// browser has begun so many sign-ins at once that it is forgotten. Somebody who is
// signed in here goes on to where it leads; everybody else is told what to do.
func (a *App) goOn(w http.ResponseWriter, r *http.Request, back string) {
	if token, found := a.token(r); found {
		switch _, err := a.check(r.Context(), token, false); {
		case err == nil:
			a.redirect(w, localPath(back))
			return
		case !errors.Is(err, client.ErrSignedOut):
			a.failed(w, NoticeUnavailable)
			return
		}
	}
	if len(r.CookiesNamed(a.flowName())) == 0 {
		a.failed(w, NoticeCookies)
		return
	}
	a.failed(w, NoticeFlow)
}

// endReplaced ends the app session whose cookie is about to be overwritten, because
// nobody would hold its token any more. If that fails, it ends with its parent.
func (a *App) endReplaced(r *http.Request, by client.Secret) {
	old, _ := a.token(r)
	if old.IsZero() || old.Reveal() == by.Reveal() {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := a.end(ctx, old); err != nil {
		a.Log.Warn("a replaced app session could not be ended; it will end with its session", "err", err)
	}
}

func (a *App) redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer") // the address may hold a code
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// flows reads the flow cookie without its damaged parts.
func (a *App) flows(r *http.Request) (list []flow) {
	c, err := r.Cookie(a.flowName())
	if err != nil {
		return nil
	}
	for _, text := range strings.Split(c.Value, "~") {
		part := strings.Split(text, ".")
		if len(part) != 3 || part[0] == "" || len(list) == maxFlows {
			continue
		}
		back, err := base64.RawURLEncoding.DecodeString(part[2])
		if err != nil {
			continue
		}
		list = append(list, flow{part[0], part[1], localPath(string(back))})
	}
	return list
}

// formatFlows leaves out what does not fit: finished flows first, then the oldest.
func formatFlows(list []flow) string {
	text, left := make([]string, len(list)), flowsSize
	for _, finished := range []bool{false, true} {
		for i, f := range list {
			if f.finished() != finished {
				continue
			}
			one := f.state + "." + f.verifier + "." + base64.RawURLEncoding.EncodeToString([]byte(f.back))
			if left -= len(one) + 1; left < 0 {
				break
			}
			text[i] = one
		}
	}
	return strings.Join(slices.DeleteFunc(text, func(s string) bool { return s == "" }), "~")
}

func (a *App) setFlows(w http.ResponseWriter, list []flow) {
	c := a.cookie(a.flowName(), formatFlows(list))
	if len(list) == 0 {
		expire(w, c)
		return
	}
	if slices.ContainsFunc(list, func(f flow) bool { return !f.finished() }) { // otherwise it goes with the browser
		c.MaxAge = int(flowLife.Seconds())
	}
	http.SetCookie(w, c)
}

// pick takes the flow of that state out of the list.
func pick(list []flow, state string) (f flow, rest []flow, ok bool) {
	for _, x := range list {
		if !ok && subtle.ConstantTimeCompare([]byte(x.state), []byte(state)) == 1 {
			f, ok = x, true
			continue
		}
		rest = append(rest, x)
	}
	return f, rest, ok
}

// localPath returns a path of this app to return to, and "/" for anything that a
// browser could take for another site.
func localPath(s string) string {
	odd := func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }
	if len(s) > maxBackLen || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") ||
		strings.HasPrefix(s, "/exeunt/") || strings.ContainsFunc(s, odd) {
		return "/"
	}
	return s
}
