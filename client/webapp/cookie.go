package webapp

import (
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"time"

	"github.com/exeunt/exeunt/client"
)

// cookieName is the app's own cookie. The prefix makes browsers refuse it
// without Secure, with a Domain, or from another host (RFC 6265bis section
// 4.1.3.2), so a neighbour cannot plant one.
func (a *App) cookieName() string { return "__Host-" + a.ID }

func (a *App) flowName() string { return a.cookieName() + "-flow" }

// token returns the credential of the request. found reports whether there was a
// cookie; a damaged one, or two with different values, give no token.
func (a *App) token(r *http.Request) (token client.Secret, found bool) {
	cookies := r.CookiesNamed(a.cookieName())
	if len(cookies) == 0 {
		return client.Secret{}, false
	}
	value := cookies[0].Value
	for _, c := range cookies[1:] {
		if c.Value != value {
			return client.Secret{}, true
		}
	}
	if !maybeToken(value) {
		return client.Secret{}, true
	}
	return client.NewSecret(value), true
}

// maybeToken reports whether the text may be a token, so that the authority is not
// asked about garbage.
func maybeToken(s string) bool {
	if len(s) < 20 || len(s) > client.LongestToken {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_') {
			return false
		}
	}
	return true
}

// setCookie sets the cookie. On a shared computer it has no expiry, so that the
// browser drops it when it closes. The authority enforces the session's limits,
// whatever the cookie says.
func (a *App) setCookie(w http.ResponseWriter, token client.Secret, s client.Session) {
	c := a.cookie(a.cookieName(), token.Reveal())
	if s.Kind != "shared" {
		c.Expires = s.ExpiresAt
	}
	http.SetCookie(w, c)
}

// clearCookie expires the app's cookie by name and clears the origin's storage. It
// leaves the sign-ins that other tabs have begun and forgets where finished ones led. It does not use
// "cookies", with which Chromium also deletes the cookies of sibling hosts under the
// same domain.
func (a *App) clearCookie(w http.ResponseWriter, r *http.Request) {
	expire(w, a.cookie(a.cookieName(), ""))
	flows := a.flows(r)
	if begun := slices.DeleteFunc(slices.Clone(flows), flow.finished); len(begun) < len(flows) {
		a.setFlows(w, begun)
	}
	w.Header().Set("Clear-Site-Data", `"storage"`)
}

func expire(w http.ResponseWriter, c *http.Cookie) {
	c.MaxAge = -1
	c.Expires = time.Unix(1, 0)
	http.SetCookie(w, c)
}

func (a *App) cookie(name, value string) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// multipartField returns one short field of a multipart body.
func multipartField(body io.Reader, boundary, name string) string {
	parts := multipart.NewReader(body, boundary)
	for {
		p, err := parts.NextPart()
		if err != nil {
			return ""
		}
		if p.FormName() == name {
			b, _ := io.ReadAll(io.LimitReader(p, 256))
			return string(b)
		}
	}
}
