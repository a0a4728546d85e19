package webapp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/exeunt/exeunt/client"
)

// FormSession is the name of the hidden field with the app session that a form was
// rendered for: Person.AppSession. Requests by script send it in the header
// HeaderRenderedFor.
const (
	FormSession       = "session"
	HeaderRenderedFor = "Rendered-For-Session"
)

// Middleware checks the cookie of each request, with the authority or, if the
// request changes nothing, with the app's Verifier, and serves the addresses below
// /exeunt/. A handler behind it gets the person from Who, if somebody is signed in.
// The middleware itself answers:
//   - a request for another host: 421;
//   - a request that may change something, or opens a WebSocket, and does not come
//     from this app's own pages: 403;
//   - a request with a credential that is not usable any more: 401, the cookie
//     expired, the origin's storage cleared, and a page that says what happened. A
//     post is discarded, and not repeated after the next sign-in;
//   - a post that was rendered for another sign-in than the current one: 409;
//   - a request about which the authority cannot tell: 503. The cookie stays.
func (a *App) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		removeTrusted(r.Header)
		switch {
		case !client.SameHost(r.Host, a.URL):
			a.logHost(r.Host)
			a.notice(w, r, Notice{Kind: NoticeWrongHost})
		case !a.sameOrigin(r):
			a.notice(w, r, Notice{Kind: NoticeForeign})
		case strings.HasPrefix(r.URL.Path, "/exeunt/"):
			a.routes.ServeHTTP(w, r)
		default:
			a.serve(w, r, next)
		}
	})
}

// logHost logs each other host once, up to a number of them, because strangers choose
// it: a proxy may change the name.
func (a *App) logHost(host string) {
	const most, longest = 100, 255
	host = host[:min(len(host), longest)]
	a.hostsMu.Lock()
	defer a.hostsMu.Unlock()
	if a.hosts[host] || len(a.hosts) >= most {
		return
	}
	a.hosts[host] = true
	a.Log.Warn("refused a request for another host than this app's; if a proxy changes the name, have it pass the "+
		"Host header on", "host", host, "url", a.URL)
}

// RequirePerson passes only signed-in requests to next. Use it behind Middleware.
func (a *App) RequirePerson(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := Who(r.Context()); !ok {
			a.notice(w, r, Notice{Kind: NoticeSignIn})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *App) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	w.Header().Add("Vary", "Cookie")
	// Read the body before the check: a request whose body arrives late must not be
	// carried out for a session that ended meanwhile.
	if !client.SafeMethod(r.Method) && !a.readBody(w, r) {
		return
	}
	token, found := a.token(r)
	if !found {
		next.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	check := a.check
	if client.SafeMethod(r.Method) {
		check = a.checkRead
	}
	person, err := check(r.Context(), token, client.IsActivity(r.Header))
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	if !client.SafeMethod(r.Method) && renderedFor(r) != person.AppSession {
		a.notice(w, r, Notice{Kind: NoticeOtherSession})
		return
	}
	next.ServeHTTP(client.PrivatePage(w, r), r.WithContext(context.WithValue(r.Context(), personKey{}, person)))
}

// checker is the Check of a Client or a Verifier.
type checker func(ctx context.Context, token client.Secret, activity bool) (client.Person, error)

// check asks the authority about this app's cookie.
func (a *App) check(ctx context.Context, token client.Secret, activity bool) (client.Person, error) {
	p, err := a.ownOnly(a.Client.Check)(ctx, token, activity)
	if a.Verifier != nil && errors.Is(err, client.ErrSignedOut) {
		a.Verifier.Forget(token) // so that a later read is refused too
	}
	return p, err
}

// checkRead checks this app's cookie for a request that only reads.
func (a *App) checkRead(ctx context.Context, token client.Secret, activity bool) (client.Person, error) {
	if a.Verifier == nil {
		return a.check(ctx, token, activity)
	}
	return a.ownOnly(a.Verifier.Check)(ctx, token, activity)
}

// ownOnly refuses tokens of other apps.
func (a *App) ownOnly(check checker) checker {
	return func(ctx context.Context, token client.Secret, activity bool) (client.Person, error) {
		if token.IsZero() {
			return client.Person{}, &client.EndedError{} // damaged
		}
		p, err := check(ctx, token, activity)
		if err == nil && (p.Client != a.ID || p.AppSession == "") {
			return client.Person{}, &client.EndedError{}
		}
		return p, err
	}
}

// end ends the token's app session, at the authority and for the verifier.
func (a *App) end(ctx context.Context, token client.Secret) error {
	if a.Verifier != nil {
		defer a.Verifier.Forget(token)
	}
	return a.Client.End(ctx, token)
}

// refuse answers a request whose cookie was not accepted.
func (a *App) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var ended *client.EndedError
	if !errors.As(err, &ended) {
		if r.Context().Err() == nil {
			a.Log.Warn("a session could not be checked with the authority", "err", err)
		}
		a.notice(w, r, Notice{Kind: NoticeUnavailable})
		return
	}
	if isRead(r) {
		a.clearCookie(w, r)
	}
	a.notice(w, r, Notice{Kind: NoticeEnded, Reason: ended.Reason, At: ended.At})
}

// isRead reports whether a person will read the answer. A fetch by script or a
// prefetch does not clear the cookie, so that the next page can still explain what
// happened; until then the cookie is refused.
func isRead(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return (mode == "" || mode == "navigate") && r.Header.Get("Sec-Purpose") == ""
}

// removeTrusted removes the headers that only the authority may set, in every spelling
// that a program behind this one could take for them: in CGI's variables "-" and "_"
// are the same (RFC 3875 section 4.1.18). Whether a person is at work is the word of
// the app's own pages.
func removeTrusted(h http.Header) {
	for name := range h {
		plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if (strings.HasPrefix(plain, "remote-") || strings.HasPrefix(plain, "exeunt-")) && name != client.HeaderActivity {
			delete(h, name)
		}
	}
}

// sameOrigin reports whether the request comes from this app's own pages, or changes
// nothing. Every browser that is supported sends Sec-Fetch-Site or Origin with a
// post; without both it may be forged.
func (a *App) sameOrigin(r *http.Request) bool {
	switch {
	case client.SafeMethod(r.Method) && strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		// Any site's page may open a socket, by a GET that brings the cookie, and change something through it (RFC 6455
		// section 10.2). Browsers send its origin.
		post := *r
		post.Method = http.MethodPost
		return a.cross.Check(&post) == nil
	case client.SafeMethod(r.Method):
		return true
	}
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return false
	}
	return a.cross.Check(r) == nil
}

// readBody reads the whole body. It answers the request if that fails.
func (a *App) readBody(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, a.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		a.notice(w, r, Notice{Kind: NoticeTooLarge})
		return false
	case err != nil:
		a.notice(w, r, Notice{Kind: NoticeBroken})
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return true
}

// renderedFor returns the app session that the request's form was rendered for. The
// handler can still read the body.
func renderedFor(r *http.Request) string {
	if s := r.Header.Get(HeaderRenderedFor); s != "" {
		return s
	}
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body, err := r.GetBody()
	if err != nil {
		return ""
	}
	switch kind {
	case "application/x-www-form-urlencoded":
		b, _ := io.ReadAll(body)
		form, err := url.ParseQuery(string(b))
		if err != nil {
			return ""
		}
		return form.Get(FormSession)
	case "multipart/form-data":
		return multipartField(body, params["boundary"], FormSession)
	}
	return ""
}
