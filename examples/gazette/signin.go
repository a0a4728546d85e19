package gazette

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	cookieName = "__Host-gazette"
	leftName   = "__Host-gazette-left"
	flowName   = "__Host-gazette-flow-" // and the state, so that tabs do not disturb each other
)

func cookie(name, value string, life time.Duration) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// signIn sends the reader to the authority. What must come back with the answer stays in a cookie of this browser.
func (a *App) signIn(w http.ResponseWriter, r *http.Request) {
	p, err := a.discovered()
	if err != nil {
		a.away(w, r, err)
		return
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	flow := url.Values{"nonce": {nonce}, "verifier": {verifier}, "back": {r.URL.Query().Get("return")}}
	http.SetCookie(w, cookie(flowName+state, flow.Encode(), 10*time.Minute))
	redirect(w, p.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)))
}

// callback signs the reader in whom the authority sends back.
func (a *App) callback(w http.ResponseWriter, r *http.Request) {
	q, flow := r.URL.Query(), url.Values{}
	begun, err := r.Cookie(flowName + q.Get("state"))
	if err == nil {
		flow, err = url.ParseQuery(begun.Value)
	}
	if _, ok := a.reader(r); err != nil && ok { // loaded again
		redirect(w, "/articles")
		return
	}
	if err != nil {
		a.notice(w, r, http.StatusBadRequest, "That sign-in did not work",
			"It was begun in another browser, took too long, or was used before. Start again here.")
		return
	}
	http.SetCookie(w, cookie(begun.Name, "", 0))
	switch {
	case q.Get("iss") != a.Issuer: // RFC 9207 section 2.4
		a.away(w, r, errors.New("the answer is another issuer's"))
		return
	case q.Get("error") == "access_denied": // by the reader
		redirect(w, "/")
		return
	case q.Get("error") != "":
		a.away(w, r, errors.New("the authority answered "+q.Get("error")))
		return
	}
	of, err := a.exchange(r.Context(), q.Get("code"), flow.Get("nonce"), flow.Get("verifier"))
	if err != nil {
		a.away(w, r, err)
		return
	}
	id, ok := a.sessions.start(of)
	if !ok {
		redirect(w, "/")
		return
	}
	if old, err := r.Cookie(cookieName); err == nil {
		a.sessions.end(old.Value)
	}
	http.SetCookie(w, cookie(cookieName, id, of.ends.Sub(a.Now())))
	if back := flow.Get("back"); strings.HasPrefix(back, "/articles") { // never to another site
		redirect(w, back)
		return
	}
	redirect(w, "/articles")
}

// exchange exchanges the code for an ID token, which says who the reader is and in which session.
func (a *App) exchange(ctx context.Context, code, nonce, verifier string) (s session, err error) {
	p, err := a.discovered()
	if err != nil {
		return s, err
	}
	token, err := p.Exchange(a.context(ctx), code, oauth2.VerifierOption(verifier))
	if err != nil {
		return s, err
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.verifier.Verify(a.context(ctx), raw)
	if err != nil {
		return s, err
	}
	var claims struct {
		Session  string `json:"sid"`
		Name     string `json:"name"`
		Username string `json:"preferred_username"`
		Ends     int64  `json:"session_expiry"`
	}
	if err := id.Claims(&claims); err != nil {
		return s, err
	}
	if id.Nonce != nonce || nonce == "" {
		return s, errors.New("the ID token answers another sign-in")
	}
	s = session{subject: id.Subject, sid: claims.Session, name: claims.Name, idToken: raw, issued: id.IssuedAt,
		ends: a.Now().Add(longest)}
	if s.name == "" {
		s.name = claims.Username
	}
	if ends := time.Unix(claims.Ends, 0); claims.Ends > 0 && ends.Before(s.ends) {
		s.ends = ends
	}
	return s, nil
}

// redirect leaves no code in the address that the next page is told.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
