package pages

import (
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"

// browser is a browser without script: it keeps cookies, follows redirects and
// sends what browsers send. (Go's own jar keeps no Secure cookies over http.)
type browser struct {
	n        *node
	t        testing.TB
	cookies  map[string]string
	lasting  map[string]bool // those with an expiry, which outlive the browser
	agent    string
	address  string
	site     string // Sec-Fetch-Site of its posts
	origin   string // Origin of its posts
	language string // Accept-Language
}

func newBrowser(n *node) *browser {
	return &browser{n: n, t: n.t, cookies: map[string]string{}, lasting: map[string]bool{}, agent: firefox,
		address: "192.0.2.7:5555", site: "same-origin", origin: testOrigin}
}

// thief is another browser that has copied this one's cookies.
func (b *browser) thief() *browser {
	c := newBrowser(b.n)
	maps.Copy(c.cookies, b.cookies)
	return c
}

// answer is what came back, and from where after redirects.
type answer struct {
	*http.Response
	t    testing.TB
	at   string
	body string
}

// send makes one request and follows nothing.
func (b *browser) send(method, to string, form url.Values) *answer {
	b.t.Helper()
	r := httptest.NewRequest(method, "http://"+testHost+to, strings.NewReader(form.Encode()))
	r.Header.Set("User-Agent", b.agent)
	r.Header.Set("Accept-Language", b.language)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "none")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", b.site)
		r.Header.Set("Origin", b.origin)
	}
	return b.do(r)
}

func (b *browser) do(r *http.Request) *answer {
	b.t.Helper()
	r.RemoteAddr = b.address
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.n.web.ServeHTTP(w, r)
	resp := w.Result()
	for _, c := range resp.Cookies() {
		b.keep(c)
	}
	return &answer{Response: resp, t: b.t, at: r.URL.RequestURI(), body: w.Body.String()}
}

// keep stores a cookie as browsers do with the prefix __Host-.
func (b *browser) keep(c *http.Cookie) {
	b.t.Helper()
	if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || c.Path != "/" || c.Domain != "" ||
		c.SameSite != http.SameSiteLaxMode {
		b.t.Errorf("a browser would refuse the cookie %s", c)
	}
	if c.MaxAge < 0 {
		delete(b.cookies, c.Name)
		return
	}
	b.cookies[c.Name], b.lasting[c.Name] = c.Value, c.MaxAge > 0
}

const maxHops = 10

// follow goes on to where an answer redirects, within this site.
func (b *browser) follow(a *answer) *answer {
	b.t.Helper()
	for range maxHops {
		to, _, _ := strings.Cut(a.Header.Get("Location"), "#")
		if to == "" || !strings.HasPrefix(to, "/") {
			return a
		}
		a = b.send(http.MethodGet, to, nil)
	}
	b.t.Fatalf("%s redirects in a loop", a.at)
	return nil
}

func (b *browser) get(to string) *answer {
	b.t.Helper()
	return b.follow(b.send(http.MethodGet, to, nil))
}

// post sends a form without following.
func (b *browser) post(to string, form url.Values) *answer {
	b.t.Helper()
	return b.send(http.MethodPost, to, form)
}

// submit loads a page, fills in its form for that address, and sends it.
func (b *browser) submit(page, action string, fill url.Values) *answer {
	b.t.Helper()
	form := b.get(page).form(action)
	maps.Copy(form, fill)
	return b.post(action, form)
}

func (b *browser) signIn(handle, kind string) *answer {
	b.t.Helper()
	a := b.submit("/signin", "/signin", url.Values{"identifier": {handle}, "password": {password}, "kind": {kind}})
	a.is(http.StatusSeeOther)
	return a
}

// token and here are the two halves that the browser holds.
func (b *browser) token() string { return b.cookies[b.tokenName()] }
func (b *browser) here() string  { return b.cookies[b.hereName()] }

// tokenName and hereName are the names of the cookies that hold them: of the account that is active.
func (b *browser) tokenName() string {
	active, _, _ := strings.Cut(b.cookies["__Host-exeunt-active"], ".")
	if _, ok := b.cookies["__Host-exeunt-"+active]; ok && active != "" {
		return "__Host-exeunt-" + active
	}
	for name := range b.cookies {
		if strings.HasPrefix(name, "__Host-exeunt-ses_") || strings.HasPrefix(name, "__Host-exeunt-shared") {
			return strings.TrimSuffix(name, "-here")
		}
	}
	return ""
}

func (b *browser) hereName() string { return b.tokenName() + "-here" }

// session is the one whose credential the browser holds.
func (b *browser) session() exeunt.SessionID {
	b.t.Helper()
	t, err := exeunt.ParseToken(b.token())
	b.n.must(err)
	a := b.n.Check(b.t.Context(), t)
	if !a.Usable() {
		b.t.Fatalf("the browser's session is %v", a.State)
	}
	return a.Session
}

// fields is the form of a post from a page of the browser's session.
func (b *browser) fields(more url.Values) url.Values {
	form := url.Values{"session": {b.session().String()}}
	maps.Copy(form, more)
	return form
}

func (a *answer) is(status int) *answer {
	a.t.Helper()
	if a.StatusCode != status {
		a.t.Fatalf("%s answers %d and not %d: %s", a.at, a.StatusCode, status, text(a.body))
	}
	return a
}

func (a *answer) leadsTo(to string) *answer {
	a.t.Helper()
	a.is(http.StatusSeeOther)
	// A place on the page is the browser's business.
	if got, _, _ := strings.Cut(a.Header.Get("Location"), "#"); got != to {
		a.t.Fatalf("%s leads to %q and not to %q", a.at, got, to)
	}
	return a
}

func (a *answer) says(words ...string) *answer {
	a.t.Helper()
	for _, w := range words {
		if !strings.Contains(text(a.body), w) {
			a.t.Fatalf("%s (%d) does not say %q: %s", a.at, a.StatusCode, w, text(a.body))
		}
	}
	return a
}

// requestID is the part of a page that has the request's ID, in whose random letters any short word may be.
var requestID = regexp.MustCompile(`(?s)<dl class="facts"><dt>Request ID</dt>.*?</dl>`)

// withoutRequestID takes the request's ID out of the page, which must have it.
func (a *answer) withoutRequestID() *answer {
	a.t.Helper()
	if !requestID.MatchString(a.body) {
		a.t.Fatalf("%s (%d) has no request ID: %s", a.at, a.StatusCode, text(a.body))
	}
	a.body = requestID.ReplaceAllString(a.body, "")
	return a
}

func (a *answer) hides(words ...string) *answer {
	a.t.Helper()
	for _, w := range words {
		if strings.Contains(strings.ToLower(a.body), strings.ToLower(w)) {
			a.t.Fatalf("%s (%d) says %q: %s", a.at, a.StatusCode, w, text(a.body))
		}
	}
	return a
}

// leavesCookies fails if the answer touches the credential in any way.
func (a *answer) leavesCookies() *answer {
	a.t.Helper()
	set := slices.DeleteFunc(slices.Clone(a.Header.Values("Set-Cookie")), func(line string) bool {
		// a note is no credential
		return strings.HasPrefix(line, "__Host-exeunt-notice=") || strings.HasPrefix(line, "__Host-exeunt-device=") ||
			strings.HasPrefix(line, "__Host-exeunt-passkey=")
	})
	if len(set) > 0 || a.Header.Get("Clear-Site-Data") != "" {
		a.t.Fatalf("%s touches what the browser keeps: %q %q", a.at, set, a.Header.Get("Clear-Site-Data"))
	}
	return a
}

var (
	forms  = regexp.MustCompile(`(?s)<form[^>]*>.*?</form>`)
	action = regexp.MustCompile(`^<form[^>]* action="([^"]*)"`)
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

func text(body string) string {
	var out strings.Builder
	for body != "" { // by hand: under the race detector a regular expression takes longer than the page
		words, rest, _ := strings.Cut(body, "<")
		out.WriteString(words + " ")
		_, body, _ = strings.Cut(rest, ">")
	}
	return strings.Join(strings.Fields(html.UnescapeString(out.String())), " ")
}

// form returns the hidden fields of the page's form for an address.
func (a *answer) form(to string) url.Values {
	a.t.Helper()
	for _, f := range forms.FindAllString(a.body, -1) {
		m := action.FindStringSubmatch(f)
		if at, _, _ := strings.Cut(a.at, "?"); m == nil && at != to || m != nil && html.UnescapeString(m[1]) != to {
			continue
		}
		out := url.Values{}
		for _, h := range hidden.FindAllStringSubmatch(f, -1) {
			out.Add(html.UnescapeString(h[1]), html.UnescapeString(h[2]))
		}
		return out
	}
	a.t.Fatalf("%s (%d) has no form for %s: %s", a.at, a.StatusCode, to, text(a.body))
	return nil
}
