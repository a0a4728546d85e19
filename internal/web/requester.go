package web

import (
	"crypto/rand"
	"net/http"
)

// cookieRequester is a secret of the browser to which apps' requests are bound while somebody signs in. It says nothing
// about who does.
const cookieRequester = "__Host-exeunt-request"

const requesterLen = 26 // of rand.Text: 128 bits

// ReadRequester returns the browser's secret for requests, "" if it has none.
func (c Cookies) ReadRequester(r *http.Request) string {
	if v, _ := Cookie(r, cookieRequester); len(v) == requesterLen {
		return v
	}
	return ""
}

// Requester returns the browser's secret for requests, and gives it one if it has none. It goes when the browser closes.
func (c Cookies) Requester(w http.ResponseWriter, r *http.Request) string {
	secret := c.ReadRequester(r)
	if secret == "" {
		secret = rand.Text()
		http.SetCookie(w, HostCookie(cookieRequester, secret, 0, true))
	}
	return secret
}

// ForgetRequester has the browser delete its secret for requests, so that a sign-out leaves nothing behind.
func (c Cookies) ForgetRequester(w http.ResponseWriter, r *http.Request) {
	if len(r.CookiesNamed(cookieRequester)) > 0 {
		http.SetCookie(w, HostCookie(cookieRequester, "", -1, true))
	}
}
