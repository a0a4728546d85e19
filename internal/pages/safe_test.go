package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/web"
)

// newRequest is a bare request of a browser to this site.
func newRequest(method, to string) *http.Request {
	r := httptest.NewRequest(method, "http://"+testHost+to, nil)
	r.Header.Set("User-Agent", firefox)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// A GET changes nothing, whoever makes it: a link can be planted anywhere.
func TestGetChangesNothing(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.app("ada", "Chirp on Pixel 8")
	invite, _, err := n.Accounts.Invite(t.Context(), account.Invitation{Expires: n.Now().Add(1 << 40)})
	n.must(err)
	get, post := addresses(n)
	get = append(get, "/setup/"+invite.Reveal(), "/signout?scope=account",
		"/signout?scope=others&session="+b.session().String(),
		"/ended?return=/sessions", "/sessions/"+b.session().String()+"/end", "/sessions/end?scope=others", "/authorize?decision=continue&"+appQuery("s").Encode(), "/authorize/decide?decision=continue")
	before, kept := n.recorded(), b.token()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, to := range append(get, post...) {
			for _, who := range []*browser{b, newBrowser(n)} {
				if a := who.send(method, to, nil); a.StatusCode >= 500 {
					t.Errorf("%s %s answers %d", method, to, a.StatusCode)
				}
			}
		}
	}
	if n.recorded() != before {
		t.Error("something changed")
	}
	if b.token() != kept {
		t.Error("the credential changed")
	}
}

// Posts that another site, a sibling site or nobody in particular makes a
// browser send are refused at every address, and nothing changes.
func TestForgedPosts(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.app("ada", "Chirp on Pixel 8")
	invite, _, err := n.Accounts.Invite(t.Context(), account.Invitation{Expires: n.Now().Add(1 << 40)})
	n.must(err)
	_, post := addresses(n)
	form := b.fields(appQuery("s"))
	for name, value := range map[string]string{
		"scope": "account", "decision": "continue", "handle": "mallory", "name": "Mallory", "email": "m@example.com",
		"display":    "dark",
		"identifier": "ada", "password": password, "current": password, "kind": "kept", "return": "/sessions",
	} {
		form.Set(name, value)
	}
	before, kept := n.recorded(), b.token()
	for _, forger := range []struct{ site, origin string }{
		{"cross-site", "https://evil.example"}, {"same-site", "http://chirp.localhost:8081"},
		{"", "http://chirp.localhost:8081"},
		{"", "null"}, {"", "http://exeunt.localhost:8081"}, {"", ""},
	} {
		for _, to := range append(slices.DeleteFunc(slices.Clone(post), isFromApps), "/setup/"+invite.Reveal(), "/sessions/"+b.session().String()+"/end") {
			for _, who := range []*browser{b, newBrowser(n)} {
				who.site, who.origin = forger.site, forger.origin
				who.post(to, form).is(http.StatusForbidden).says("did not come from a page of this site").leavesCookies()
			}
		}
	}
	if n.recorded() != before || b.token() != kept {
		t.Error("something changed")
	}
}

// isFromApps reports whether other sites may post to an address, which does nothing then.
func isFromApps(path string) bool { return slices.Contains(FromApps, path) }

// A form that was rendered for another session changes nothing.
func TestFormsOfAnotherSession(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b, other := n.signedIn("ada"), n.signedIn("bob")
	before := n.recorded()
	for _, rt := range n.pages.routes() {
		switch {
		// a link's form is for whoever holds the link, one is asked for by anybody, a sign-in asks first who somebody is, and
		// what is cleared is of no session that lives
		case rt.post == nil, rt.path == checkPath+"/clear", isOneTimeLink(rt.path), rt.path == "/forgot", rt.path == "/accounts/switch", rt.path == ticketPath, rt.path == offlinePath, strings.HasPrefix(rt.path, "/signin"), isFromApps(rt.path):
			continue
		}
		to := strings.ReplaceAll(rt.path, "{id}", b.session().String())
		form := other.fields(appQuery("s"))
		form.Set("decision", "continue")
		if to == "/session/activity" {
			b.post(to, form).is(http.StatusUnauthorized).leavesCookies() // its session is not in this browser
			continue
		}
		b.post(to, form).is(http.StatusConflict).says("This tab belongs to another sign-in", "@ada").leavesCookies()
	}
	if n.recorded() != before {
		t.Error("something changed")
	}
}

func TestUnknownAddressesAndMethods(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.get("/nowhere").is(http.StatusNotFound).says("Page not found", "@ada")
	newBrowser(n).get("/nowhere").is(http.StatusNotFound).hides("@ada")
	b.get("/sessions/").is(http.StatusNotFound)
	for _, c := range []struct{ method, to, allow string }{
		{http.MethodDelete, "/sessions", "GET, HEAD"}, {http.MethodPut, "/signin", "GET, HEAD, POST"},
		{http.MethodGet, "/session/activity", "POST"},
		{http.MethodPost, "/", "GET, HEAD"}, {http.MethodPost, "/assets/app.css", "GET, HEAD"},
		{http.MethodPatch, "/session/activity", "POST"},
	} {
		r := newRequest(c.method, c.to)
		r.Header.Set("Origin", testOrigin)
		a := b.do(r).is(http.StatusMethodNotAllowed)
		if a.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s allows %q", c.method, c.to, a.Header.Get("Allow"))
		}
	}
}

// However an address is spelled, nobody is sent to another site by it.
func TestOddAddresses(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	for _, to := range []string{"//evil.example/", "//evil.example/..", "/\\evil.example/", "/%2f%2fevil.example",
		"/../..", "/a/..//evil.example", "/sessions/..;/", "/%00", "/setup/%2e%2e/%2e%2e", "/ended?return=%2f%2fevil.example&return=/x", "/menu?%zz"} {
		for _, b := range []*browser{newBrowser(n), n.signedIn("ada")} {
			r := newRequest(http.MethodGet, "/")
			u, err := url.Parse("http://" + testHost + to)
			if err != nil {
				u = &url.URL{Scheme: "http", Host: testHost, Path: to}
			}
			r.URL, r.RequestURI = u, to
			a := b.do(r)
			if loc := a.Header.Get("Location"); a.StatusCode >= 500 || loc != "" && (web.LocalPath(loc) != loc) {
				t.Errorf("%s answers %d and leads to %q", to, a.StatusCode, loc)
			}
		}
	}
}

func TestFormsThatAreNone(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	multipart := "--x\r\nContent-Disposition: form-data; name=\"session\"\r\n\r\n" + b.session().String() +
		"\r\n--x\r\nContent-Disposition: form-data; name=\"display\"\r\n\r\ndark\r\n--x--\r\n"
	_, post := addresses(n)
	before := n.recorded()
	for _, c := range []struct {
		kind, body string
		status     int
	}{
		{"application/x-www-form-urlencoded", "a=%zz", http.StatusBadRequest},
		{"application/x-www-form-urlencoded", "a=" + strings.Repeat("x", maxForm), http.StatusRequestEntityTooLarge},
		{"multipart/form-data", multipart, http.StatusBadRequest},
		{"multipart/form-data; boundary=y", multipart, http.StatusBadRequest},
		{"multipart/form-data; boundary=x", multipart[:len(multipart)-12], http.StatusBadRequest},
		{"multipart/form-data; boundary=x", strings.Replace(multipart, "dark", strings.Repeat("d", maxForm), 1),
			http.StatusRequestEntityTooLarge},
		{"application/json", `{"scope":"account"}`, http.StatusBadRequest},
		{"text/plain", "scope=account", http.StatusBadRequest},
		{"", "scope=account", http.StatusBadRequest},
	} {
		for _, to := range post {
			r := httptest.NewRequest(http.MethodPost, "http://"+testHost+to, strings.NewReader(c.body))
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header.Set("Content-Type", c.kind)
			want := c.status
			switch to {
			case "/nowhere":
				want = http.StatusNotFound
			case "/":
				want = http.StatusMethodNotAllowed
			}
			b.do(r).is(want).leavesCookies()
		}
	}
	if n.recorded() != before {
		t.Error("something changed")
	}
	r := httptest.NewRequest(http.MethodPost, "http://"+testHost+"/settings/display", strings.NewReader(multipart))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	b.do(r).leadsTo("/settings")
}

// FuzzForm sends any body of either kind to the addresses that read most of it,
// with and without a live session.
func FuzzForm(f *testing.F) {
	f.Add("identifier=ada&password=x&kind=kept&return=/authorize%3Fclient_id%3Dchirp", uint8(0))
	f.Add("--x\r\nContent-Disposition: form-data; name=\"password\"; filename=\"a\"\r\n\r\nx\r\n--x--\r\n", uint8(17))
	f.Add("session="+exeunt.NewSessionID().String()+"&key=%00&scope=account&display=dark", uint8(6))
	n := newNode(f)
	n.account("ada")
	signedIn := n.signedIn("ada").cookies
	addresses := []string{"/signin", "/signup", "/signout", "/session/activity", "/authorize/decide"}
	f.Fuzz(func(t *testing.T, body string, how uint8) {
		to := addresses[int(how/4)%len(addresses)]
		r := httptest.NewRequest(http.MethodPost, "http://"+testHost+to, strings.NewReader(body))
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if how&1 != 0 {
			r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		}
		for name, value := range signedIn {
			if how&2 != 0 {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
		}
		w := httptest.NewRecorder()
		n.web.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("POST %s answers %d", to, w.Code)
		}
		if u, err := url.Parse(w.Header().Get("Location")); err != nil || u.Host != "" {
			t.Fatalf("POST %s leads to %q", to, w.Header().Get("Location"))
		}
	})
}

// What is refused before it reaches a page is answered with a page all the
// same, which shows the account: no cache may keep it.
func TestPagesOfRefusalsAreNotStored(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.site, b.origin = "cross-site", "https://evil.example"
	a := b.post("/settings/profile", url.Values{"name": {"Mallory"}}).is(http.StatusForbidden).says("@ada")
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
}

// Chromium keeps copies of pages of status 200, and shows them again on Back unasked
// where no script runs.
func TestBrowsersKeepNoCopyOfPages(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	for _, path := range []string{"/", "/sessions", "/sessions/ended", "/security", "/settings", "/menu", "/help", "/signout"} {
		r := httptest.NewRequest(http.MethodGet, "http://"+testHost+path, nil)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
		a := b.do(r).is(http.StatusNonAuthoritativeInfo).says("@ada")
		if got := a.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control is %q", path, got)
		}
	}
}
