package gazette_test

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/examples/gazette"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testsite"
)

// paper is a Gazette beside a real authority, where it is the client "other".
type paper struct {
	*testsite.Site
	url string
	ada exeunt.Proof
}

func newPaper(t *testing.T) *paper {
	t.Helper()
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	p := &paper{url: testsite.Localhost(server, "gazette")}
	p.Site = testsite.New(t, p.url+"/callback")
	p.ada = p.NewAccount(t, "ada")
	handler = gazette.New(gazette.Config{Issuer: p.OAuth.Issuer, ClientID: string(testnode.Other),
		Secret: p.Keys[testnode.Other].Reveal(), URL: p.url, HTTP: &http.Client{Transport: client.NewTransport()},
		Log: slog.New(slog.DiscardHandler), Now: p.Now})
	return p
}

// browser keeps cookies and follows no redirect by itself.
type browser struct {
	t       *testing.T
	paper   *paper
	cookies map[string]string
	nonce   string // in place of the request's
}

func (p *paper) browser(t *testing.T) *browser {
	return &browser{t: t, paper: p, cookies: map[string]string{}}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) to() string { return a.header.Get("Location") }

func (b *browser) send(method, address string, form url.Values, site string) answer {
	b.t.Helper()
	r, err := http.NewRequest(method, b.paper.url+address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", site)
	r.Header.Set("Sec-Fetch-Dest", "document")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: v})
	}
	transport := client.NewTransport()
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		if !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
			b.t.Errorf("cookie %s is not set as it must be: %+v", c.Name, c)
		}
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	body, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (b *browser) get(address string) answer {
	return b.send(http.MethodGet, address, nil, "same-origin")
}

// granted begins a sign-in and returns what the authority sends back for it.
func (b *browser) granted(s exeunt.Session) url.Values {
	b.t.Helper()
	out := b.get("/sign-in?return=/articles/doors")
	to, err := url.Parse(out.to())
	if err != nil || out.status != http.StatusSeeOther || !strings.HasPrefix(out.to(), b.paper.OAuth.Issuer+"/authorize?") {
		b.t.Fatalf("%d %q", out.status, out.to())
	}
	q := to.Query()
	code, err := b.paper.OAuth.GrantCode(context.Background(), s.Account, s.ID, oauth.CodeRequest{
		Client: exeunt.ClientID(q.Get("client_id")), RedirectURI: q.Get("redirect_uri"), Challenge: q.Get("code_challenge"),
		Scopes: exeunt.ParseScopes(q.Get("scope")), Nonce: cmp.Or(b.nonce, q.Get("nonce")),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return url.Values{"code": {code.Reveal()}, "state": {q.Get("state")}, "iss": {b.paper.OAuth.Issuer}}
}

func (b *browser) back(v url.Values) answer { return b.get("/callback?" + v.Encode()) }

func (b *browser) signedIn() bool {
	return b.get("/articles").status == http.StatusNonAuthoritativeInfo
}

func newReader(t *testing.T) (*paper, *browser, exeunt.Session) {
	t.Helper()
	p := newPaper(t)
	_, s := p.NewSession(t, p.ada, exeunt.KindKept)
	b := p.browser(t)
	if got := b.back(b.granted(s)); got.to() != "/articles/doors" {
		t.Fatalf("%+v", got)
	}
	return p, b, s
}

func TestReadersSignIn(t *testing.T) {
	p, b, _ := newReader(t)
	if len(b.cookies) != 1 {
		t.Errorf("of the sign-in is left %v", b.cookies)
	}
	if got := b.get("/articles/doors"); got.status != 203 || !strings.Contains(got.body, "brass plate") ||
		!strings.Contains(got.body, "Sign out") || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%+v", got)
	}
	nobody := p.browser(t)
	if got := nobody.get("/"); got.status != 200 || !strings.Contains(got.body, "Articles are for readers who are signed in") {
		t.Errorf("%+v", got)
	}
	for _, path := range []string{"/articles", "/articles/doors"} {
		got := nobody.get(path)
		if got.status != 401 || strings.Contains(got.body, "brass plate") ||
			!strings.Contains(got.body, "/sign-in?return="+url.QueryEscape(path)) {
			t.Errorf("%s: %+v", path, got)
		}
	}
	for path, status := range map[string]int{"/nothing": 404, "/articles/none": 401, "/gazette.css": 200, "/gazette.svg": 200} {
		got := nobody.get(path)
		if csp := got.header.Get("Content-Security-Policy"); got.status != status ||
			!strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "script-src") {
			t.Errorf("%s: %d %s", path, got.status, csp)
		}
	}
}

func TestACallbackThatWasNotAskedForIsRefused(t *testing.T) {
	p := newPaper(t)
	_, s := p.NewSession(t, p.ada, exeunt.KindKept)
	for name, change := range map[string]func(b *browser, v url.Values){
		"another request's ID token": func(*browser, url.Values) {},
		"another browser":            func(b *browser, v url.Values) { clear(b.cookies) },
		"another state":              func(b *browser, v url.Values) { v.Set("state", "x") },
		"another issuer":             func(b *browser, v url.Values) { v.Set("iss", "https://evil.example") },
		"no issuer":                  func(b *browser, v url.Values) { v.Del("iss") },
		"no code":                    func(b *browser, v url.Values) { v.Del("code") },
		"an error":                   func(b *browser, v url.Values) { v.Set("error", "server_error") },
		"another's code":             func(b *browser, v url.Values) { v.Set("code", p.browser(t).granted(s).Get("code")) },
		"a code that has been used": func(b *browser, v url.Values) {
			was := maps.Clone(b.cookies)
			b.back(v)
			b.cookies = was
		},
	} {
		b := p.browser(t)
		if name == "another request's ID token" {
			b.nonce = "another"
		}
		v := b.granted(s)
		change(b, v)
		if got := b.back(v); got.status < 400 || !strings.Contains(got.body, "That sign-in did not work") || b.signedIn() {
			t.Errorf("%s: %+v", name, got)
		}
	}
	b := p.browser(t)
	v := b.granted(s)
	v.Set("error", "access_denied")
	if got := b.back(v); got.to() != "/" || b.signedIn() {
		t.Errorf("declined: %+v", got)
	}
}

func TestSignOutAsksTheAuthority(t *testing.T) {
	_, b, s := newReader(t)
	if got := b.send(http.MethodPost, "/sign-out", url.Values{}, "cross-site"); got.status != 403 || !b.signedIn() {
		t.Errorf("by another site: %+v", got)
	}
	was := maps.Clone(b.cookies)
	got := b.send(http.MethodPost, "/sign-out", url.Values{}, "same-origin")
	to, err := url.Parse(got.to())
	if err != nil || !strings.HasPrefix(got.to(), b.paper.OAuth.Issuer+"/end_session?") ||
		got.header.Get("Clear-Site-Data") != `"storage"` {
		t.Fatalf("%+v", got)
	}
	q := to.Query()
	hint, ok := b.paper.OAuth.ReadHint(q.Get("id_token_hint"))
	if !ok || hint.Session != s.ID || q.Get("client_id") != "other" || q.Get("state") == "" ||
		q.Get("post_logout_redirect_uri") != b.paper.url+"/signed-out" {
		t.Errorf("%v %+v", q, hint)
	}
	if b.cookies = maps.Clone(was); b.signedIn() {
		t.Error("the old cookie is accepted after the sign-out")
	}
	b.cookies = map[string]string{"__Host-gazette-left": q.Get("state")}
	if page := b.get("/signed-out?state=" + q.Get("state")); !strings.Contains(page.body, "did what you chose there") ||
		len(b.cookies) != 0 {
		t.Errorf("%+v", page)
	}
	if page := b.get("/signed-out?state=forged"); strings.Contains(page.body, "did what you chose there") {
		t.Errorf("%+v", page)
	}
}

// notice is a logout token's claims.
func (p *paper) notice(s exeunt.Session) map[string]any {
	return map[string]any{"iss": p.OAuth.Issuer, "aud": "other", "sub": s.Account.String(), "sid": s.ID.String(), "jti": "one",
		"iat": p.Now().Unix(), "exp": p.Now().Add(2 * time.Minute).Unix(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}}}
}

func (p *paper) tell(t *testing.T, claims map[string]any) int {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := p.OAuth.Signers.Sign("ES256", "logout+jwt", payload)
	if err != nil {
		t.Fatal(err)
	}
	return p.deliver(t, token)
}

func (p *paper) deliver(t *testing.T, token string) int {
	t.Helper()
	c := http.Client{Transport: client.NewTransport()}
	defer c.CloseIdleConnections()
	resp, err := c.PostForm(p.url+"/backchannel-logout", url.Values{"logout_token": {token}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestANoticeEndsTheSession(t *testing.T) {
	p, b, s := newReader(t)
	_, other := p.NewSession(t, p.ada, exeunt.KindShared)
	elsewhere := p.browser(t)
	elsewhere.back(elsewhere.granted(other))
	for range 2 { // the second is a retry
		if status := p.tell(t, p.notice(s)); status != http.StatusOK {
			t.Fatalf("%d", status)
		}
	}
	if b.signedIn() || !elsewhere.signedIn() {
		t.Errorf("the session that was named lives: %v; another does: %v", b.signedIn(), elsewhere.signedIn())
	}
	all := p.notice(s)
	delete(all, "sid")
	if status := p.tell(t, all); status != http.StatusOK || elsewhere.signedIn() {
		t.Errorf("a notice about the person: %d, signed in %v", status, elsewhere.signedIn())
	}
}

func TestAForgedNoticeEndsNothing(t *testing.T) {
	p, b, s := newReader(t)
	for name, change := range map[string]func(map[string]any){
		"another issuer":   func(c map[string]any) { c["iss"] = "https://evil.example" },
		"for another app":  func(c map[string]any) { c["aud"] = "chirp" },
		"expired":          func(c map[string]any) { c["exp"] = p.Now().Add(-time.Minute).Unix() },
		"with a nonce":     func(c map[string]any) { c["nonce"] = "x" },
		"without an event": func(c map[string]any) { delete(c, "events") },
		"about nobody":     func(c map[string]any) { delete(c, "sid"); delete(c, "sub") },
	} {
		claims := p.notice(s)
		change(claims)
		if status := p.tell(t, claims); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
	sealed, _ := url.Parse(b.send(http.MethodPost, "/sign-out", url.Values{}, "same-origin").to())
	b.back(b.granted(s))
	for name, token := range map[string]string{"nothing": "", "no token": "x.y.z", "an ID token": sealed.Query().Get("id_token_hint")} {
		if status := p.deliver(t, token); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
	if !b.signedIn() {
		t.Error("the reader is signed out")
	}
}

// The authority's notice may arrive before the sign-in that it ends is complete.
func TestANoticeMayOvertakeTheSignIn(t *testing.T) {
	p := newPaper(t)
	_, s := p.NewSession(t, p.ada, exeunt.KindKept)
	b := p.browser(t)
	v := b.granted(s)
	notice := p.notice(s)
	notice["iat"] = p.Now().Add(time.Minute).Unix() // the ID token is older
	if status := p.tell(t, notice); status != http.StatusOK {
		t.Fatal(status)
	}
	if got := b.back(v); got.to() != "/" || b.signedIn() {
		t.Errorf("%+v", got)
	}
}

func TestASessionEndsWithTheAuthoritysAtTheLatest(t *testing.T) {
	p, b, _ := newReader(t)
	p.Clock.Pass(12*time.Hour + time.Second)
	if b.signedIn() {
		t.Error("signed in after twelve hours")
	}
}
