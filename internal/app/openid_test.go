package app

import (
	"context"
	"errors"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/config"
)

// surfer is somebody's browser. Go's own jar keeps no Secure cookies over http.
type surfer struct {
	t       *testing.T
	http    *http.Client
	cookies map[string]string
}

// visit follows redirects on the site, and returns the page, or the address elsewhere that it was sent to.
func (s *surfer) visit(method string, at *url.URL, form url.Values) (page string, out *url.URL) {
	s.t.Helper()
	for host := at.Host; ; {
		r, err := http.NewRequestWithContext(s.t.Context(), method, at.String(), strings.NewReader(form.Encode()))
		if err != nil {
			s.t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for name, value := range s.cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		resp, err := s.http.Do(r)
		if err != nil {
			s.t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		for _, c := range resp.Cookies() {
			if s.cookies[c.Name] = c.Value; c.MaxAge < 0 {
				delete(s.cookies, c.Name)
			}
		}
		to, err := resp.Location()
		if err != nil || to.Host != host {
			return string(body), to
		}
		method, at, form = http.MethodGet, to, nil
	}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`)

// signIn fills the sign-in form of a page.
func (s *surfer) signIn(page string, site *url.URL) *url.URL {
	s.t.Helper()
	form := url.Values{"identifier": {"ada"}, "password": {adasPassword}, "kind": {"kept"}}
	for _, field := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	page, out := s.visit(http.MethodPost, site.JoinPath("signin"), form)
	if out == nil {
		s.t.Fatalf("sign in: %s", mainOf(page))
	}
	return out
}

// A library that nobody here wrote finds the provider by its address, has somebody sign in through a browser, and
// verifies what it gets, whatever algorithm its client has.
func TestAForeignLibrarySignsIn(t *testing.T) {
	const redirect = "http://app.localhost/callback"
	secret := exeunt.NewToken(exeunt.UseClient)
	hash := secret.Hash().String()
	e := newEdge(t, func(c *config.Config) {
		for _, alg := range exeunt.Algorithms {
			c.Clients = append(c.Clients, config.Client{ID: strings.ToLower(alg), Name: alg, RedirectURIs: []string{redirect},
				KeySHA256: []string{hash}, Algorithm: alg, FirstParty: true})
		}
		c.Clients = append(c.Clients, config.Client{ID: "device", Name: "Device", RedirectURIs: []string{redirect},
			Auth: "none", FirstParty: true})
	})
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, e.server.Listener.Addr().String())
	}
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	ctx := oidc.ClientContext(t.Context(), &http.Client{Transport: transport})
	provider, err := oidc.NewProvider(ctx, e.Config.URL)
	if err != nil {
		t.Fatal(err)
	}
	site, err := url.Parse(e.Config.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"rs256", "es256", "eddsa", "device"} {
		t.Run(id, func(t *testing.T) {
			ada := &surfer{t: t, cookies: map[string]string{}, http: &http.Client{Transport: transport,
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
			app := oauth2.Config{ClientID: id, ClientSecret: secret.Reveal(), Endpoint: provider.Endpoint(),
				RedirectURL: redirect, Scopes: []string{"openid", "profile", "groups", "offline_access"}}
			if id == "device" {
				app.ClientSecret = ""
			}
			v := oauth2.GenerateVerifier()
			began := e.now()
			start, err := url.Parse(app.AuthCodeURL("st-1", oidc.Nonce("n-1"), oauth2.S256ChallengeOption(v)))
			if err != nil {
				t.Fatal(err)
			}
			page, _ := ada.visit(http.MethodGet, start, nil)
			back := ada.signIn(page, site)
			if got := back.Query(); !strings.HasPrefix(back.String(), redirect+"?") || got.Get("state") != "st-1" ||
				got.Get("iss") != e.Config.URL {
				t.Fatalf("she came back to %v", back)
			}
			tokens, err := app.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(v))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := tokens.Extra("id_token").(string)
			verifier := provider.Verifier(&oidc.Config{ClientID: id, Now: e.now})
			checked, err := verifier.Verify(ctx, raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := checked.VerifyAccessToken(tokens.AccessToken); err != nil || checked.AccessTokenHash == "" {
				t.Errorf("at_hash %q: %v", checked.AccessTokenHash, err)
			}
			var claims struct {
				AuthTime int64    `json:"auth_time"`
				SID      string   `json:"sid"`
				Ends     int64    `json:"session_expiry"`
				AMR      []string `json:"amr"`
				ACR      string   `json:"acr"`
				Handle   string   `json:"preferred_username"`
				Groups   []string `json:"groups"`
				Email    *string  `json:"email"`
			}
			if err := checked.Claims(&claims); err != nil {
				t.Fatal(err)
			}
			sid, err := exeunt.ParseSessionID(claims.SID)
			if err != nil {
				t.Fatal(err)
			}
			who, err := e.Authority.Session(ctx, e.session.Account, sid)
			if err != nil {
				t.Fatal(err)
			}
			if checked.Subject != e.session.Account.String() || checked.Nonce != "n-1" || claims.Handle != "ada" ||
				claims.Groups == nil || claims.Email != nil || len(claims.AMR) != 1 || claims.AMR[0] != "pwd" || claims.ACR == "" ||
				claims.Ends != who.ExpiresAt.Unix() || claims.AuthTime != who.Proved.Unix() ||
				claims.AuthTime < began.Unix() || checked.Expiry.Sub(checked.IssuedAt) != exeunt.DefaultTokenLife {
				t.Errorf("%+v, %+v", checked, claims)
			}
			if (who.Kind == exeunt.KindApp) != (id == "device") {
				t.Errorf("%s has a session of the kind %s", id, who.Kind)
			}
			e.passed.Add((2 * time.Second).Milliseconds())
			next, err := app.TokenSource(ctx, &oauth2.Token{RefreshToken: tokens.RefreshToken}).Token()
			if err != nil {
				t.Fatal(err)
			}
			again, _ := next.Extra("id_token").(string)
			if renewed, err := verifier.Verify(ctx, again); err != nil || renewed.Subject != checked.Subject ||
				renewed.Nonce != "" || !renewed.IssuedAt.After(checked.IssuedAt) {
				t.Errorf("refreshed: %+v, %v", renewed, err)
			}
			info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(next))
			if err != nil || info.Subject != checked.Subject {
				t.Errorf("%+v, %v", info, err)
			}
			if _, err := provider.Verifier(&oidc.Config{ClientID: "chirp", Now: e.now}).Verify(ctx, raw); err == nil {
				t.Error("another client accepts it")
			}
			// The gate takes the same token as userinfo, and both stop together.
			gate := func() int {
				r := httptest.NewRequest(http.MethodGet, e.Config.URL+"/gate/"+id, nil)
				r.Header.Set("Authorization", "Bearer "+next.AccessToken)
				w := httptest.NewRecorder()
				e.Handler().ServeHTTP(w, r)
				return w.Code
			}
			if status := gate(); status != http.StatusOK {
				t.Errorf("the gate answers %d", status)
			}
			e.end(who)
			if status := gate(); status != http.StatusUnauthorized {
				t.Errorf("after the sign-out, the gate answers %d", status)
			}
			if _, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(next)); err == nil {
				t.Error("after the sign-out, userinfo answers")
			}
			var refused *oauth2.RetrieveError
			_, err = app.TokenSource(ctx, &oauth2.Token{RefreshToken: next.RefreshToken}).Token()
			if !errors.As(err, &refused) || refused.ErrorCode != "invalid_grant" || refused.Response.StatusCode != 400 {
				t.Errorf("after the sign-out, a refresh: %v", err)
			}
		})
	}
}
