package web

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
)

func TestPairsReadBack(t *testing.T) {
	s := newSite(t)
	for _, kind := range []exeunt.SessionKind{exeunt.KindKept, exeunt.KindShared} {
		token, session, cookies := s.signIn(kind)
		at := PlaceOf(session.ID, kind)
		if p := s.Cookies.Read(request(cookies...), at); p.Use != authority.AsPair || p.Token != token {
			t.Errorf("%v: %+v", kind, p)
		}
		if len(cookies) != 2 || cookies[0].Name != "__Host-exeunt-"+string(at) || cookies[1].Name != "__Host-exeunt-"+string(at)+"-here" {
			t.Fatalf("the cookies are %v", cookies)
		}
		// Browsers write names to their disk.
		if shared := string(at) == "shared"; shared != (kind == exeunt.KindShared) || !shared && string(at) != session.ID.String() {
			t.Errorf("%v: its place is %s", kind, at)
		}
		for i, c := range cookies {
			if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || c.Path != "/" || c.Domain != "" ||
				c.SameSite != http.SameSiteLaxMode || c.HttpOnly != (i == 0) {
				t.Errorf("%v: %v", kind, c)
			}
			// On a shared computer it goes when the browser closes.
			if want := map[exeunt.SessionKind]int{exeunt.KindKept: 3600}[kind]; c.MaxAge != want ||
				!c.Expires.IsZero() {
				t.Errorf("%v: %v", kind, c)
			}
		}
	}
}

func TestWhateverElseArrives(t *testing.T) {
	s := newSite(t)
	token, session, pair := s.signIn(exeunt.KindKept)
	id := PlaceOf(session.ID, exeunt.KindKept)
	tokenName, hereName := id.token(), id.half()
	_, _, other := s.signIn(exeunt.KindKept)
	a, here := tokenName+"="+token.Reveal(), hereName+"="+pair[1].Value
	app := exeunt.NewToken(exeunt.UseApp)
	junk := strings.Repeat("j", 4096)
	nothing, garbage := Presented{Place: id}, Presented{Place: id, Garbage: true}
	whole := Presented{Place: id, Credential: authority.Credential{Token: token, Use: authority.AsPair}}
	half := Presented{Place: id, Credential: authority.Credential{Token: token, Use: authority.AsIncomplete}}
	for name, c := range map[string]struct {
		cookies []string
		want    Presented
	}{
		"nothing":                  {nil, nothing},
		"other cookies":            {[]string{"theme=dark; x=y"}, nothing},
		"empty ones":               {[]string{tokenName + "=; " + hereName + "="}, nothing},
		"the pair in two lines":    {[]string{a, here}, whole},
		"the pair twice over":      {[]string{a + "; " + here + "; " + a + "; " + here}, whole},
		"the first half":           {[]string{a}, half},
		"with an empty second":     {[]string{a + "; " + hereName + "="}, half},
		"with another's second":    {[]string{a + "; " + hereName + "=" + other[1].Value}, half},
		"with a cut second":        {[]string{a + "; " + here[:len(here)-1]}, half},
		"with a longer second":     {[]string{a + "; " + here + "A"}, half},
		"with junk for the second": {[]string{a + "; " + hereName + "=" + junk}, half},
		"with two seconds":         {[]string{a + "; " + here + "; " + hereName + "=x"}, half},
		"the second half":          {[]string{here}, garbage},
		"a cut token":              {[]string{a[:len(a)-1] + "; " + here}, garbage},
		"a changed token":          {[]string{tokenName + "=" + flip(token.Reveal()) + "; " + here}, garbage},
		"an app session's token": {[]string{tokenName + "=" + app.Reveal() + "; " + hereName + "=" +
			s.Cookies.Pairs.Half(app)}, garbage},
		"another version's token":     {[]string{tokenName + "=ex2_" + token.Reveal()[4:] + "; " + here}, garbage},
		"4 kB of junk":                {[]string{tokenName + "=" + junk + "; " + here}, garbage},
		"two tokens":                  {[]string{a + "; " + here + "; " + tokenName + "=" + other[0].Value}, garbage},
		"two tokens, one of them cut": {[]string{a[:len(tokenName)+20] + "; " + a + "; " + here}, garbage},
		"bytes no cookie has":         {[]string{tokenName + "=\x01\xff; " + here}, garbage},
		"a token in a line of junk":   {[]string{";;==; ;" + tokenName + "=\"" + junk + "; =;"}, garbage},
	} {
		if p := s.Cookies.Read(rawRequest(c.cookies...), id); p != c.want {
			t.Errorf("%s: %+v", name, p)
		}
		if v := s.Visitor(rawRequest(c.cookies...)); v.SignedIn() != (c.want == whole) ||
			v.Nobody() != (c.want == nothing) {
			t.Errorf("%s: signed in %v, nobody %v", name, v.SignedIn(), v.Nobody())
		}
	}
}

func flip(s string) string {
	b := []byte(s)
	if b[10]++; b[10] > '9' && b[10] < 'A' || b[10] > 'Z' && b[10] < 'a' || b[10] > 'z' {
		b[10] = '0'
	}
	return string(b)
}

// somewhere is the place of a session that nobody has heard of.
func somewhere() Place { return PlaceOf(exeunt.NewSessionID(), exeunt.KindKept) }

func TestClearingClearsByName(t *testing.T) {
	s := newSite(t)
	w := httptest.NewRecorder()
	id := somewhere()
	s.Cookies.Forget(w, rawRequest(cookieActive+"="+string(id)), id)
	s.Cookies.ClearNotice(w)
	names := map[string]bool{}
	for _, c := range w.Result().Cookies() {
		names[c.Name] = true
		// A browser takes an expiry for a __Host- cookie only with these.
		if c.MaxAge != -1 || c.Value != "" || !c.Secure || c.Path != "/" {
			t.Errorf("%v", c)
		}
	}
	if !names[id.token()] || !names[id.half()] || !names[cookieNotice] || !names[cookieActive] {
		t.Errorf("cleared %v", names)
	}
	if h := w.Header().Get("Clear-Site-Data"); h != `"storage"` { // "cookies" would clear other sites' too
		t.Errorf("Clear-Site-Data is %s", h)
	}
}

// What a browser stores goes with an account unless another one, or a ticket that
// has not been delivered, needs it.
func TestStorageIsClearedWithTheLastAccount(t *testing.T) {
	mine, other := somewhere(), somewhere()
	for name, c := range map[string]struct {
		cookies string
		clears  bool
	}{
		"nothing else":                      {"theme=dark", true},
		"its own":                           {mine.token() + "=x; " + mine.half() + "=y; __Host-exeunt-notice=z; " + cookieActive + "=" + string(mine), true},
		"a shared one":                      {mine.token() + "=x; " + SharedPlace.token() + "=y", false},
		"another account":                   {mine.token() + "=x; " + other.token() + "=y", false},
		"the readable half of another":      {other.half() + "=x", false},
		"a ticket":                          {mine.token() + "=x; __Host-exeunt-ticket=1", false},
		"a name that is no session's":       {"__Host-exeunt-0=x; __Host-exeunt-ses_a=x", true},
		"another that is only listed as is": {cookieActive + "=" + string(other), true},
	} {
		w := httptest.NewRecorder()
		Cookies{}.Forget(w, rawRequest(c.cookies), mine)
		if got := w.Header().Get("Clear-Site-Data") != ""; got != c.clears {
			t.Errorf("%s: cleared is %v", name, got)
		}
		for _, line := range w.Header().Values("Set-Cookie") {
			if !strings.HasPrefix(line, mine.token()) && !strings.HasPrefix(line, cookieActive+"=;") {
				t.Errorf("%s: another account's cookie is touched: %s", name, line)
			}
		}
	}
}

// Each account has a pair of its own, which is none of another. The one used last is active.
func TestAccountsDoNotMix(t *testing.T) {
	s := newSite(t)
	var ids [exeunt.MaxAccounts]Place
	var tokens [exeunt.MaxAccounts]exeunt.Token
	jar := map[string]*http.Cookie{}
	keep := func(w *httptest.ResponseRecorder) {
		for _, c := range w.Result().Cookies() {
			jar[c.Name] = c
		}
	}
	sent := func() *http.Request { return request(slices.Collect(maps.Values(jar))...) }
	for i := range ids {
		id := exeunt.NewSessionID()
		ids[i], tokens[i] = PlaceOf(id, exeunt.KindKept), exeunt.NewToken(exeunt.UseSession)
		w := httptest.NewRecorder()
		s.Cookies.SetPair(w, id, tokens[i], exeunt.KindKept, time.Hour)
		s.Cookies.SetActive(w, sent(), ids[i])
		keep(w)
	}
	r := sent()
	want := slices.Clone(ids[:])
	slices.Reverse(want)
	if got := s.Cookies.Places(r); !slices.Equal(got, want) {
		t.Errorf("the order is %v, not %v", got, want)
	}
	w := httptest.NewRecorder()
	s.Cookies.SetActive(w, r, ids[2])
	keep(w)
	want = []Place{ids[2], ids[4], ids[3], ids[1], ids[0]}
	if got := s.Cookies.Places(sent()); !slices.Equal(got, want) {
		t.Errorf("after a switch the order is %v, not %v", got, want)
	}
	size := 0
	for name, c := range jar {
		size += len(name) + len(c.Value) + len("=; ")
	}
	if size > 4<<10 {
		t.Errorf("the cookies are %d bytes long", size)
	}
	for i, id := range ids {
		whole := Presented{Place: id, Credential: authority.Credential{Token: tokens[i], Use: authority.AsPair}}
		if p := s.Cookies.Read(r, id); p != whole {
			t.Errorf("account %d: %+v", i, p)
		}
	}
	crossed := request(&http.Cookie{Name: ids[1].token(), Value: tokens[1].Reveal()},
		&http.Cookie{Name: ids[1].half(), Value: s.Cookies.Pairs.Half(tokens[0])})
	if p := s.Cookies.Read(crossed, ids[1]); p.Use != authority.AsIncomplete {
		t.Errorf("with another account's second half: %+v", p)
	}
}

// A pair that somebody has filed under another session's name is none: forms name the session that a sign-out ends.
func TestARenamedPairIsNone(t *testing.T) {
	s := newSite(t)
	token, _, _ := s.signIn(exeunt.KindKept)
	w := httptest.NewRecorder()
	s.Cookies.SetPair(w, exeunt.NewSessionID(), token, exeunt.KindKept, time.Hour)
	if v := s.Visitor(request(w.Result().Cookies()...)); v.SignedIn() || !v.Garbage || !v.Token.IsZero() {
		t.Errorf("%+v", v)
	}
}

func TestNotices(t *testing.T) {
	s := newSite(t)
	const text = "scope=others&ended=3&at=x"
	w := httptest.NewRecorder()
	s.Cookies.LeaveNotice(w, text, epoch)
	c := w.Result().Cookies()[0]
	if got := s.Cookies.ReadNotice(request(c), epoch.Add(noticeLife)); got != text {
		t.Errorf("read back as %q", got)
	}
	if !c.HttpOnly || !c.Secure || c.MaxAge != 0 || !c.Expires.IsZero() {
		t.Errorf("it outlives the browser: %v", c)
	}
	if s.Cookies.ReadNotice(request(c), epoch.Add(noticeLife+time.Millisecond)) != "" ||
		s.Cookies.ReadNotice(request(c), epoch.Add(-time.Second)) != "" {
		t.Error("an old notice, or one of the future, is believed")
	}
	code, rest, _ := strings.Cut(c.Value, ".")
	for name, value := range map[string]string{
		"nothing": "", "text alone": rest, "no code": "." + rest,
		"another text": code + "." + strings.Replace(rest, "3", "4", 1),
		"another time": code + "." + "zzzz" + rest[4:], "longer": c.Value + "x", "a cut code": code[1:] + "." + rest,
		"made with the pairs' key": s.Cookies.Pairs.Code(rest) + "." + rest, "4 kB": strings.Repeat("x.", 2048),
	} {
		if got := s.Cookies.ReadNotice(request(&http.Cookie{Name: cookieNotice, Value: value}), epoch); got != "" {
			t.Errorf("%s: believed %q", name, got)
		}
	}
	if got := s.Cookies.ReadNotice(request(c, &http.Cookie{Name: cookieNotice, Value: "x"}), epoch); got != "" {
		t.Errorf("two notices: %q", got)
	}
}

// Whatever arrives, Read answers one of four things, and a pair only for what
// SetPair made.
func FuzzCookies(f *testing.F) {
	s := newSite(f)
	token, session := exeunt.NewToken(exeunt.UseSession), exeunt.NewSessionID()
	id := PlaceOf(session, exeunt.KindKept)
	w := httptest.NewRecorder()
	s.Cookies.SetPair(w, session, token, exeunt.KindKept, time.Hour)
	var pair []string
	for _, c := range w.Result().Cookies() {
		pair = append(pair, c.Name+"="+c.Value)
	}
	for _, seed := range []string{"", strings.Join(pair, "; "), pair[0], pair[1], pair[0][:30], id.token() + "=",
		id.token() + "=\"" + token.Reveal() + "\"",
		strings.Join(pair, ";") + "\x00", pair[0] + "; " + pair[0] + "x", cookieNotice + "=a.b.c",
		strings.Repeat(pair[0]+"; ", 40), "=;=;=", id.half() + "=\xff\xfe"} {
		f.Add(seed)
	}
	half := s.Cookies.Pairs.Half(token)
	f.Fuzz(func(t *testing.T, header string) {
		r := rawRequest(header)
		p := s.Cookies.Read(r, id)
		if p.Garbage && !p.Token.IsZero() || p.Token.IsZero() != (p.Use == 0) {
			t.Fatalf("%q: %+v", header, p)
		}
		if p.Use == authority.AsPair && (!strings.Contains(header, token.Reveal()) || !strings.Contains(header, half)) {
			t.Fatalf("%q is taken for a pair", header)
		}
		if got := s.Cookies.Places(r); len(got) > maxPresented {
			t.Fatalf("%q presents %d sessions", header, len(got))
		}
		if s.Cookies.ReadNotice(r, epoch) != "" {
			t.Fatalf("%q is taken for a notice", header)
		}
	})
}
