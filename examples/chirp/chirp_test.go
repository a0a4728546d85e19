package chirp

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestStrangersSeeNothingPrivate(t *testing.T) {
	s := newStage(t)
	if err := s.Seed(t.Context(), Member{"ada", "Ada Quill"}, Member{"grace", "Grace Wren"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	nobody := &browser{t: t, stage: s}
	front := nobody.get("/")
	if front.status != http.StatusOK || !strings.Contains(front.body, "/exeunt/sign-in?return=%2F") {
		t.Errorf("%d %s", front.status, front.body)
	}
	for _, path := range []string{"/", "/drafts", "/drafts/1", "/messages", "/messages/ada"} {
		got := nobody.get(path)
		if path != "/" && got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, got.status)
		}
		for _, secret := range []string{"allotment", "understudies", "scarf", "@ada"} {
			if strings.Contains(got.body, secret) {
				t.Errorf("%s shows %q", path, secret)
			}
		}
	}
	if got := nobody.post("/posts", "text", "hello"); got.status != http.StatusUnauthorized ||
		!strings.Contains(got.body, "Nothing was posted") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestPosting(t *testing.T) {
	s := newStage(t)
	ada, grace := s.signIn(t, "acc_a", "ada", "Ada Quill"), s.signIn(t, "acc_g", "grace", "Grace <b>Wren")
	if got := ada.post("/posts", "text", "  Hello\r\n<script>alert(1)</script>  "); got.status != http.StatusSeeOther ||
		got.header.Get("Location") != "/" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	page := grace.get("/")
	if !strings.Contains(page.body, "Hello\n&lt;script&gt;") || !strings.Contains(page.body, "Ada Quill") ||
		!strings.Contains(page.body, "just now") || strings.Contains(page.body, "<b>Wren") {
		t.Errorf("%s", page.body)
	}
	for name, text := range map[string]string{"nothing": " \n ", "too much": strings.Repeat("ü", maxText+1)} {
		got := ada.post("/posts", "text", text)
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Nothing was saved") ||
			!strings.Contains(got.body, strings.TrimSpace(text)) {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if got := ada.post("/posts", "text", strings.Repeat("ü", maxText)); got.status != http.StatusSeeOther {
		t.Errorf("just enough: %d", got.status)
	}
}

func TestDraftsAreTheirOwners(t *testing.T) {
	s := newStage(t)
	ada, grace := s.signIn(t, "acc_a", "ada", "Ada"), s.signIn(t, "acc_g", "grace", "Grace")
	if got := ada.post("/drafts", "text", "half a thought"); got.status != http.StatusSeeOther ||
		got.header.Get("Location") != "/drafts" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := ada.get("/drafts"); !strings.Contains(got.body, "half a thought") ||
		!strings.Contains(got.body, "/drafts/1") {
		t.Errorf("%s", got.body)
	}
	for _, got := range []answer{
		grace.get("/drafts/1"), grace.post("/drafts/1", "text", "mine now"),
		grace.post("/drafts/1/post", "text", "mine now"),
		grace.post("/drafts/1/delete"), ada.get("/drafts/x"), ada.get("/drafts/2"),
	} {
		if got.status != http.StatusNotFound || strings.Contains(got.body, "half a thought") {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if strings.Contains(grace.get("/drafts").body, "half") {
		t.Error("another's draft is listed")
	}
	ada.post("/drafts/1", "text", "a whole thought")
	if got := ada.get("/drafts/1"); !strings.Contains(got.body, "a whole thought") {
		t.Errorf("%s", got.body)
	}
	if got := ada.post("/drafts/1/post", "text", "a whole thought!"); got.status != http.StatusSeeOther {
		t.Errorf("%d", got.status)
	}
	if got := ada.post("/drafts/1/post", "text", "a whole thought!"); got.status != http.StatusNotFound {
		t.Errorf("posted twice: %d", got.status)
	}
	if got := grace.get("/"); strings.Count(got.body, "a whole thought!") != 1 {
		t.Errorf("%s", got.body)
	}
	ada.post("/drafts", "text", "another")
	// A draft can be begun and deleted on the page that lists them.
	if page := ada.get("/drafts").body; !strings.Contains(page, `action="/drafts"`) ||
		!strings.Contains(page, `action="/drafts/2/delete"`) {
		t.Errorf("%s", page)
	}
	if got := ada.post("/drafts", "text", " ", "from", "drafts"); got.status != http.StatusUnprocessableEntity ||
		!strings.Contains(got.body, "<h1>Drafts</h1>") || !strings.Contains(got.body, "another") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := ada.post("/drafts/2/delete"); got.status != http.StatusSeeOther ||
		strings.Contains(ada.get("/drafts").body, "another") {
		t.Errorf("%d", got.status)
	}
}

func TestMessagesStayBetweenTwo(t *testing.T) {
	s := newStage(t)
	ada, grace, eve := s.signIn(t, "acc_a", "ada", "Ada"), s.signIn(t, "acc_g", "grace", "Grace"),
		s.signIn(t, "acc_e", "eve", "Eve")
	if got := ada.post("/messages", "to", "grace", "text", "psst"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("to somebody who was never here: %d", got.status)
	}
	grace.get("/")
	eve.get("/")
	if got := ada.post("/messages", "to", " @Grace ", "text", "psst"); got.status != http.StatusSeeOther ||
		got.header.Get("Location") != "/messages/grace" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	grace.post("/messages", "to", "ada", "text", "what is it")
	if got := ada.post("/messages", "to", "ada", "text", "me"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("to oneself: %d", got.status)
	}
	for who, want := range map[*browser]bool{ada: true, grace: true, eve: false} {
		other := "/messages/grace"
		if who == grace {
			other = "/messages/ada"
		}
		if got := who.get(other); strings.Contains(got.body, "psst") != want {
			t.Errorf("thread: %s", got.body)
		}
		if got := who.get("/messages"); strings.Contains(got.body, "what is it") != want ||
			strings.Contains(got.body, "psst") {
			t.Errorf("list: %s", got.body)
		}
	}
	if got := eve.get("/messages/nobody"); got.status != http.StatusNotFound {
		t.Errorf("%d", got.status)
	}
}

func TestNothingIsPostedForADeadSession(t *testing.T) {
	s := newStage(t)
	ada, grace := s.signIn(t, "acc_a", "ada", "Ada"), s.signIn(t, "acc_g", "grace", "Grace")
	ada.get("/")
	s.authority.end(ada.token)
	got := ada.post("/posts", "text", "from beyond")
	if got.status != http.StatusUnauthorized || !strings.Contains(got.body, "Nothing was posted") ||
		got.header.Get("Clear-Site-Data") != `"storage"` {
		t.Errorf("ended: %d %s", got.status, got.body)
	}
	s.authority.mu.Lock()
	s.authority.away = true
	s.authority.mu.Unlock()
	if got := grace.post("/posts", "text", "into the dark"); got.status != http.StatusServiceUnavailable ||
		got.header.Get("Clear-Site-Data") != "" {
		t.Errorf("away: %d %s", got.status, got.body)
	}
	s.authority.mu.Lock()
	s.authority.away = false
	s.authority.mu.Unlock()
	stale := *grace
	stale.form = ada.form
	if got := stale.post("/posts", "text", "as another"); got.status != http.StatusConflict {
		t.Errorf("another's form: %d", got.status)
	}
	if list, err := s.data.posts(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("posted: %+v, %v", list, err)
	}
}

func TestPagesCarryTheirRules(t *testing.T) {
	s := newStage(t)
	ada := s.signIn(t, "acc_a", "ada", "Ada")
	for _, path := range []string{"/", "/drafts", "/messages", "/nothing"} {
		got := ada.get(path)
		csp := got.header.Get("Content-Security-Policy")
		if got.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(csp, "default-src 'none'") ||
			strings.Contains(csp, "unsafe") || got.header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, got.header)
		}
		for _, want := range []string{`data-session="` + ada.form + `"`, "/exeunt/sign-out", "/exeunt/sign-out-app",
			`class="main private"`, "/exeunt/idle.css?warn="} {
			if !strings.Contains(got.body, want) {
				t.Errorf("%s: no %s", path, want)
			}
		}
		if regexp.MustCompile(`<[^>]+ (style|on[a-z]+)=|<script>|<style|https?://`).MatchString(got.body) {
			t.Errorf("%s: inline script, inline style or an address elsewhere", path)
		}
		if forms, named := strings.Count(got.body, "<form"), strings.Count(got.body,
			`name="session" value="`+ada.form+`"`); forms != named {
			t.Errorf("%s: %d forms, %d name their session", path, forms, named)
		}
	}
	for _, name := range []string{"chirp.css", "chirp.js", "mark.svg", "exeunt/exeunt.js", "exeunt/exeunt.css"} {
		got := (&browser{t: t, stage: s}).get(s.views.static + name)
		if got.status != http.StatusOK || !strings.Contains(got.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", name, got.status, got.header)
		}
	}
	for _, name := range []string{"", "exeunt/", "nothing.js"} {
		if got := ada.get(s.views.static + name); got.status != http.StatusNotFound {
			t.Errorf("%q: %d", name, got.status)
		}
	}
}

// A page's address to itself stays on this host, however it was asked for.
func TestPagesLeadToNoOtherHost(t *testing.T) {
	s := newStage(t)
	ada := s.signIn(t, "acc_a", "ada", "Ada")
	for _, path := range []string{"/%2Fevil.example/", "/%5Cevil.example/", "//evil.example/", "/%2F%2Fevil.example/"} {
		got := ada.get(path)
		if regexp.MustCompile(`href="[/\\]{2}`).MatchString(got.body) {
			t.Errorf("%s leads elsewhere: %s", path, got.body)
		}
	}
	for path, want := range map[string]string{"/%2Fevil.example/": "/%2Fevil.example/",
		"//evil.example/": "/evil.example/", "/drafts": "/drafts"} {
		r := httptest.NewRequest(http.MethodGet, "http://chirp.example"+path, nil)
		if got := here(r); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// Messages and drafts are for the eyes of whoever runs Chirp alone.
func TestTheDatabaseIsForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chirp.db")
	d, err := openData(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if st, err := os.Stat(f); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f, st.Mode(), err)
		}
	}
}

func TestSeedBelongsToWhoeverHasTheHandle(t *testing.T) {
	s := newStage(t)
	for range 2 {
		if err := s.Seed(t.Context(), Member{"ada", "Ada Quill"}, Member{"grace", "Grace Wren"},
			time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	ada := s.signIn(t, "acc_a", "ada", "Ada Quill")
	page := ada.get("/")
	if strings.Count(page.body, "Soup weather.") != 1 || !strings.Contains(page.body, "Ada Quill") ||
		!strings.Contains(page.body, "6 days ago") {
		t.Errorf("%s", page.body)
	}
	if got := ada.get("/drafts"); !strings.Contains(got.body, "understudies") ||
		strings.Contains(got.body, "every pen") {
		t.Errorf("%s", got.body)
	}
	if got := ada.get("/messages/grace"); !strings.Contains(got.body, "scarf") {
		t.Errorf("%s", got.body)
	}
	// The handle passes to another account: what was private stays behind.
	heir := s.signIn(t, "acc_other", "ada", "Another Ada")
	if got := heir.get("/drafts"); strings.Contains(got.body, "understudies") {
		t.Errorf("%s", got.body)
	}
	if got := heir.get("/messages"); strings.Contains(got.body, "soup") {
		t.Errorf("%s", got.body)
	}
}

func TestSignInByTheCodeFlow(t *testing.T) {
	s := newStage(t)
	nobody := &browser{t: t, stage: s}
	out := nobody.get("/exeunt/sign-in?return=/drafts")
	if out.status != http.StatusSeeOther || !strings.Contains(out.header.Get("Location"),
		"/authorize?client_id=chirp&code_challenge=") {
		t.Fatalf("%d %v", out.status, out.header)
	}
	to, err := url.Parse(out.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	s.authority.nonce = to.Query().Get("nonce")
	back := url.Values{"state": {to.Query().Get("state")}, "iss": {s.issuer}}
	ada := s.signIn(t, "acc_a", "ada", "Ada")
	back.Set("code", ada.token)
	r, _ := http.NewRequest(http.MethodGet, s.url+"/exeunt/callback?"+back.Encode(), nil)
	r.Header.Set("Cookie", strings.Split(out.header.Get("Set-Cookie"), ";")[0])
	w, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	w.Body.Close()
	if w.StatusCode != http.StatusSeeOther || w.Header.Get("Location") != "/drafts" ||
		!strings.Contains(strings.Join(w.Header.Values("Set-Cookie"), " "), "__Host-chirp="+ada.token) {
		t.Errorf("%d %v", w.StatusCode, w.Header)
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for want, d := range map[string]time.Duration{
		"just now": 30 * time.Second, "1 minute ago": time.Minute, "59 minutes ago": time.Hour - time.Second,
		"1 hour ago": time.Hour, "3 days ago": 80 * time.Hour, "14 October 2026": 40 * 24 * time.Hour,
	} {
		if got := (page{now: now}).Ago(now.Add(-d)); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// A form that is sent twice does it once; the same form with another text is another.
func TestFormSentTwice(t *testing.T) {
	s := newStage(t)
	ada := s.signIn(t, "acc_a", "ada", "Ada Quill")
	for range 2 {
		ada.post("/posts", "text", "one flight of herons", "key", "k1")
		ada.post("/drafts", "text", "two flights of herons", "key", "k1")
	}
	ada.post("/posts", "text", "three flights of herons", "key", "k1")
	front := ada.get("/").body
	for _, text := range []string{"one flight", "three flights"} {
		if n := strings.Count(front, text); n != 1 {
			t.Errorf("%q is there %d times", text, n)
		}
	}
	if n := strings.Count(ada.get("/drafts").body, "two flights"); n != 1 {
		t.Errorf("the draft is there %d times", n)
	}
	for range 2 {
		if got := ada.post("/drafts/1/post", "text", "two flights of herons", "key", "k2"); got.status != http.StatusSeeOther {
			t.Errorf("posting it: %d", got.status)
		}
	}
	ada.post("/drafts", "text", "four", "key", "k3")
	for range 2 {
		if got := ada.post("/drafts/2/delete", "key", "k4"); got.status != http.StatusSeeOther {
			t.Errorf("deleting it: %d", got.status)
		}
	}
}
