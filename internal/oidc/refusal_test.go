package oidc

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/testnode"
)

// What is wrong with a request for tokens is answered as RFC 6749 section 5.2 says, and changes nothing.
func TestTokenRequestsThatAreRefused(t *testing.T) {
	s := newSite(t)
	code := s.code(testnode.Chirp, "openid offline_access")
	refreshToken := s.signIn(testnode.Chirp, "openid offline_access").str("refresh_token")
	chirp, other := s.Keys[testnode.Chirp].Reveal(), s.Keys[testnode.Other].Reveal()
	with := func(v url.Values, pairs ...string) url.Values {
		for i := 0; i+1 < len(pairs); i += 2 {
			if v.Del(pairs[i]); pairs[i+1] != "" {
				v.Set(pairs[i], pairs[i+1])
			}
		}
		return v
	}
	exchange := func(pairs ...string) url.Values { return with(s.exchange(testnode.Chirp, code), pairs...) }
	refresh := func(pairs ...string) url.Values {
		return with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}, pairs...)
	}
	for name, c := range map[string]struct {
		user, password string
		form           url.Values
		status         int
		code           string
	}{
		"no client":                  {"", "", exchange(), 400, "invalid_request"},
		"unknown client":             {"nobody", chirp, exchange(), 401, "invalid_client"},
		"wrong secret":               {"chirp", other, exchange(), 401, "invalid_client"},
		"no secret":                  {"", "", exchange("client_id", "chirp"), 401, "invalid_client"},
		"wrong secret in the form":   {"", "", exchange("client_id", "chirp", "client_secret", other), 401, "invalid_client"},
		"a secret that is no secret": {"chirp", code, exchange(), 401, "invalid_client"},
		"a secret of a public one":   {"phone", chirp, exchange(), 401, "invalid_client"},
		"a broken name":              {"chi%zz", chirp, exchange(), 401, "invalid_client"},
		"two ways at once":           {"chirp", chirp, exchange("client_id", "chirp", "client_secret", chirp), 400, "invalid_request"},
		"another in the form":        {"chirp", chirp, exchange("client_id", "other"), 400, "invalid_request"},
		"no grant":                   {"chirp", chirp, exchange("grant_type", ""), 400, "invalid_request"},
		"an unknown grant":           {"chirp", chirp, exchange("grant_type", "sesame"), 400, "unsupported_grant_type"},
		"password":                   {"chirp", chirp, exchange("grant_type", "password"), 400, "unsupported_grant_type"},
		"client_credentials":         {"chirp", chirp, exchange("grant_type", "client_credentials"), 400, "unsupported_grant_type"},
		"device code": {"chirp", chirp, exchange("grant_type", "urn:ietf:params:oauth:grant-type:device_code",
			"device_code", "x"), 400, "unauthorized_client"},
		"no code":                {"chirp", chirp, exchange("code", ""), 400, "invalid_request"},
		"no code at all":         {"chirp", chirp, exchange("code", "sesame"), 400, "invalid_grant"},
		"unknown code":           {"chirp", chirp, exchange("code", exeunt.NewToken(exeunt.UseCode).Reveal()), 400, "invalid_grant"},
		"a token as code":        {"chirp", chirp, exchange("code", s.token.Reveal()), 400, "invalid_grant"},
		"no address":             {"chirp", chirp, exchange("redirect_uri", ""), 400, "invalid_request"},
		"another address":        {"chirp", chirp, exchange("redirect_uri", "https://evil.example"), 400, "invalid_grant"},
		"no verifier":            {"chirp", chirp, exchange("code_verifier", ""), 400, "invalid_grant"},
		"swapped verifier":       {"chirp", chirp, exchange("code_verifier", strings.ToUpper(verifier)), 400, "invalid_grant"},
		"code of another client": {"other", other, exchange(), 400, "invalid_grant"},
		"no refresh token":       {"chirp", chirp, refresh("refresh_token", ""), 400, "invalid_request"},
		"foreign refresh token":  {"other", other, refresh(), 400, "invalid_grant"},
		"spoiled refresh token":  {"chirp", chirp, refresh("refresh_token", refreshToken+"A"), 400, "invalid_grant"},
	} {
		r := formRequest(Token, c.form)
		if c.user != "" {
			r.SetBasicAuth(c.user, c.password)
		}
		a := s.do(r)
		a.is(name, c.status, c.code)
		if challenge := a.header.Get("WWW-Authenticate"); (c.status == 401) != strings.HasPrefix(challenge, "Basic ") {
			t.Errorf("%s: WWW-Authenticate %q", name, challenge)
		}
		if description := a.str("error_description"); description == "" {
			t.Errorf("%s: %s", name, a.text)
		}
		for _, secret := range []string{code, refreshToken, chirp, other, verifier} {
			if strings.Contains(a.text, secret) || strings.Contains(s.logs.String(), secret) {
				t.Errorf("%s: the answer %s or the log %s has a secret", name, a.text, s.logs)
			}
		}
	}
	// Neither was spent by any of that, except by being presented as another client's.
	s.post(Token, testnode.Chirp, refresh()).is("the refresh token", http.StatusOK, "")
	if s.logs.Len() > 0 {
		t.Errorf("anybody can write to the log: %s", s.logs)
	}
}

// A code that was spent ends what it gave when it comes again, for one of the two who have it stole it.
func TestACodeAgain(t *testing.T) {
	onEachEngine(t, func(s *site) {
		for _, id := range []exeunt.ClientID{testnode.Chirp, phone} {
			form := s.exchange(id, s.code(id, "openid offline_access"))
			first := s.post(Token, id, form)
			first.is("first", http.StatusOK, "")
			s.post(Token, id, form).is("again", http.StatusBadRequest, "invalid_grant")
			s.userInfo(first.str("access_token")).is("what it gave", http.StatusUnauthorized, "invalid_token")
			s.refresh(id, first.str("refresh_token")).is("what it gave", http.StatusBadRequest, "invalid_grant")
		}
		if !s.Check(s.t.Context(), s.token).Usable() {
			s.t.Error("it ended the browser's session")
		}
	})
}

// A code that was granted without a challenge cannot be had with a verifier, and the other way round: whoever takes the
// challenge out of a request must not get away with it (RFC 9700 section 4.8.2).
func TestDowngrade(t *testing.T) {
	s := newSite(t)
	form := s.exchange(legacy, s.code(legacy, "openid"))
	form.Set("code_verifier", verifier)
	s.post(Token, legacy, form).is("a verifier without a challenge", http.StatusBadRequest, "invalid_grant")
}

// Secrets are taken from bodies and headers only, of bodies that are forms and not too long.
func TestWhereSecretsAreTakenFrom(t *testing.T) {
	s := newSite(t)
	access := s.signIn(testnode.Chirp, "openid").str("access_token")
	chirp := s.Keys[testnode.Chirp].Reveal()
	form := s.exchange(testnode.Chirp, s.code(testnode.Chirp, ""))
	form.Set("client_id", "chirp")
	form.Set("client_secret", chirp)

	s.do(formRequest(Token+"?"+form.Encode(), url.Values{})).is("all in the address", 400, "invalid_request")
	r := formRequest(Token, form)
	r.Header.Set("Content-Type", "application/json")
	s.do(r).is("not a form", 400, "invalid_request")
	r = httptest.NewRequest(http.MethodPost, Token, strings.NewReader("grant_type=%zz"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	s.do(r).is("an unreadable form", 400, "invalid_request")
	r = httptest.NewRequest(http.MethodPost, Token, strings.NewReader(form.Encode()+"&code=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	s.do(r).is("a parameter twice", 400, "invalid_request")
	r = formRequest(Token, url.Values{"code": {strings.Repeat("x", maxForm)}})
	s.do(r).is("too long", http.StatusRequestEntityTooLarge, "invalid_request")
	for path, allow := range map[string]string{Token: "POST", Revoke: "POST", Introspect: "POST", Keys: "GET, HEAD",
		Discovery: "GET, HEAD", UserInfo: "GET, HEAD, POST"} {
		method := http.MethodGet
		if strings.HasPrefix(allow, "GET") {
			method = http.MethodPut
		}
		a := s.do(httptest.NewRequest(method, path, nil))
		a.is(method+path, http.StatusMethodNotAllowed, "invalid_request")
		if a.header.Get("Allow") != allow {
			t.Errorf("%s: Allow %q", path, a.header.Get("Allow"))
		}
	}
	s.do(httptest.NewRequest(http.MethodGet, Prefix+"sesame", nil)).is("nothing", http.StatusNotFound, "invalid_request")
	s.do(formRequest(Token, form)).is("after all that", http.StatusOK, "")

	s.do(httptest.NewRequest(http.MethodGet, UserInfo+"?access_token="+access, nil)).
		is("a token in the address", http.StatusUnauthorized, "invalid_token")
	s.do(formRequest(UserInfo, url.Values{"access_token": {access}})).is("a token in the body", http.StatusOK, "")
	r = httptest.NewRequest(http.MethodPost, UserInfo, nil)
	r.Header.Set("Authorization", "bearer "+access)
	s.do(r).is("a token in the header of a post", http.StatusOK, "")
}

// Only an app's token tells whose it is (RFC 6750 section 3).
func TestUserInfoThatIsRefused(t *testing.T) {
	s := newSite(t)
	a := s.signIn(testnode.Chirp, "openid offline_access")
	for name, token := range map[string]string{"a browser's": s.token.Reveal(), "a refresh token": a.str("refresh_token"),
		"an ID token": a.str("id_token"), "a secret": s.Keys[testnode.Chirp].Reveal(), "none": "x",
		"unknown": exeunt.NewToken(exeunt.UseApp).Reveal()} {
		got := s.userInfo(token)
		got.is(name, http.StatusUnauthorized, "invalid_token")
		if c := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(c, "Bearer ") || !strings.Contains(c, `error="invalid_token"`) {
			t.Errorf("%s: %q", name, c)
		}
	}
	got := s.userInfo("")
	got.is("nothing", http.StatusUnauthorized, "invalid_token")
	if c := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(c, "Bearer ") || strings.Contains(c, "error") {
		t.Errorf("%q", c) // RFC 6750 section 3.1
	}
	s.Clock.Pass(exeunt.DefaultTokenLife)
	s.userInfo(a.str("access_token")).is("expired", http.StatusUnauthorized, "invalid_token")
	next := s.refresh(testnode.Chirp, a.str("refresh_token"))
	s.userInfo(next.str("access_token")).is("the next one", http.StatusOK, "")
}

// A client learns about its own access tokens (RFC 7662 section 2.2).
func TestIntrospection(t *testing.T) {
	onEachEngine(t, func(s *site) {
		t := s.t
		a := s.signIn(testnode.Chirp, "openid profile offline_access")
		access := url.Values{"token": {a.str("access_token")}}
		got := s.post(Introspect, testnode.Chirp, access)
		got.is("own", http.StatusOK, "")
		for name, want := range map[string]any{"active": true, "client_id": "chirp", "username": "ada", "iss": testnode.Issuer,
			"token_type": "Bearer", "sub": s.session.Account.String(), "sid": s.session.ID.String(),
			"scope": "openid profile offline_access"} {
			if got.body[name] != want {
				t.Errorf("%s is %v, not %v", name, got.body[name], want)
			}
		}
		if exp, _ := got.body["exp"].(float64); time.Unix(int64(exp), 0).Sub(s.Now()) > exeunt.DefaultTokenLife {
			t.Errorf("exp %v", exp)
		}
		inactive := func(what string, as exeunt.ClientID, token string) {
			t.Helper()
			if got := s.post(Introspect, as, url.Values{"token": {token}}); got.status != 200 || got.text != "{\"active\":false}\n" {
				t.Errorf("%s: %d %s", what, got.status, got.text)
			}
		}
		inactive("another client's", testnode.Other, a.str("access_token"))
		inactive("a browser's", testnode.Chirp, s.token.Reveal())
		inactive("nonsense", testnode.Chirp, "sesame")
		empty := formRequest(Introspect, access)
		empty.SetBasicAuth("phone", "")
		for name, r := range map[string]*http.Request{
			"nobody":          formRequest(Introspect, access),
			"a public client": formRequest(Introspect, url.Values{"token": access["token"], "client_id": {"phone"}}),
			"no secret":       formRequest(Introspect, url.Values{"token": access["token"], "client_id": {"chirp"}}),
			"an empty secret": empty,
		} {
			s.do(r).is(name, http.StatusUnauthorized, "invalid_client")
		}
		s.post(Introspect, testnode.Chirp, url.Values{}).is("no token", http.StatusBadRequest, "invalid_request")
		s.SignOut(t, s.session)
		inactive("signed out", testnode.Chirp, a.str("access_token"))
	})
}

// A client signs its own people out, alone or with the session of their device (RFC 7009).
func TestRevocation(t *testing.T) {
	onEachEngine(t, func(s *site) {
		t := s.t
		for _, kind := range []string{"access_token", "refresh_token"} {
			a, b := s.signIn(testnode.Chirp, "openid offline_access"), s.signIn(testnode.Other, "openid")
			s.post(Revoke, testnode.Other, url.Values{"token": {a.str(kind)}}).
				is("another client's", http.StatusBadRequest, "invalid_grant")
			s.userInfo(a.str("access_token")).is("that should not have ended it", http.StatusOK, "")
			s.do(formRequest(Revoke, url.Values{"token": {a.str(kind)}, "client_id": {"chirp"}})).
				is("no secret", http.StatusUnauthorized, "invalid_client")
			for range 2 {
				s.post(Revoke, testnode.Chirp, url.Values{"token": {a.str(kind)}, "token_type_hint": {"pumpkin"}}).
					is("own", http.StatusOK, "")
			}
			if state := s.state(a.str("access_token")); state != authority.Ended {
				t.Errorf("after the sign-out by its %s it is %v", kind, state)
			}
			s.userInfo(b.str("access_token")).is("another app", http.StatusOK, "")

			p := s.signIn(phone, "openid offline_access")
			parsed, err := exeunt.ParseToken(p.str("access_token"))
			if err != nil {
				t.Fatal(err)
			}
			own := s.Check(t.Context(), parsed)
			s.post(Revoke, phone, url.Values{"token": {p.str(kind)}}).is("a device", http.StatusOK, "")
			if got, err := s.Authority.Session(t.Context(), own.Account, own.Session); err != nil || got.End == nil ||
				got.End.Reason != exeunt.ReasonSignedOut {
				t.Errorf("the device's own session: %+v, %v", got.End, err)
			}
		}
		for _, token := range []string{"sesame", exeunt.NewToken(exeunt.UseApp).Reveal(), s.token.Reveal()} {
			s.post(Revoke, testnode.Chirp, url.Values{"token": {token}}).is("no such", http.StatusOK, "")
		}
		s.post(Revoke, testnode.Chirp, url.Values{}).is("no token", http.StatusBadRequest, "invalid_request")
		if !s.Check(t.Context(), s.token).Usable() {
			t.Error("the browser's session has ended")
		}
	})
}

// While nobody knows, no app is told that somebody has signed out: it would sign them out.
func TestStoreAway(t *testing.T) {
	s := newSite(t)
	a := s.signIn(testnode.Chirp, "openid offline_access")
	exchange := s.exchange(testnode.Chirp, s.code(testnode.Chirp, "openid"))
	s.Forget()
	s.Store.Close()
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.str("refresh_token")}}
	token := url.Values{"token": {a.str("access_token")}}
	again := url.Values{"token": {a.str("refresh_token")}}
	for name, got := range map[string]answered{
		"code": s.post(Token, testnode.Chirp, exchange), "refresh": s.post(Token, testnode.Chirp, refresh),
		"userinfo": s.userInfo(a.str("access_token")), "introspection": s.post(Introspect, testnode.Chirp, token),
		"revocation": s.post(Revoke, testnode.Chirp, token), "revocation of a refresh token": s.post(Revoke, testnode.Chirp, again),
	} {
		got.is(name, http.StatusServiceUnavailable, "temporarily_unavailable")
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
	}
}

// An app that asks for new tokens all the time is told when to come back.
func TestRefreshesThatAreThrottled(t *testing.T) {
	s := newSite(t)
	token := s.signIn(testnode.Chirp, "offline_access").str("refresh_token")
	for range 1000 {
		a := s.refresh(testnode.Chirp, token)
		if a.status == http.StatusOK {
			token = a.str("refresh_token")
			continue
		}
		a.is("too often", http.StatusTooManyRequests, "temporarily_unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return
	}
	t.Error("there is no limit")
}

// Scripts of other sites may call what apps in browsers need, without any cookie of ours.
func TestCallsFromOtherSites(t *testing.T) {
	s := newSite(t)
	for path, may := range map[string]bool{Token: true, UserInfo: true, Keys: true, Discovery: true, Revoke: true, Introspect: false} {
		r := httptest.NewRequest(http.MethodOptions, path, nil)
		r.Header.Set("Origin", "https://app.example.com")
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "authorization")
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		if got := w.Header().Get("Access-Control-Allow-Origin") == "*"; got != may {
			t.Errorf("%s: %v", path, w.Header())
		}
		if w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: with cookies", path)
		}
		r = httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Origin", "https://app.example.com")
		w = httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		if got := w.Header().Get("Access-Control-Allow-Origin") == "*"; got != may {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}
