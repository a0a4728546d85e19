package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
)

const (
	tokenName = "__Host-exeunt-0"
	hereName  = "__Host-exeunt-0-here"
)

func TestPairsReadBack(t *testing.T) {
	s := newSite(t)
	for _, kind := range []exeunt.SessionKind{exeunt.KindKept, exeunt.KindShared} {
		token, _, cookies := s.signIn(kind)
		if p := s.Cookies.Read(request(cookies...), FirstSlot); p.Use != authority.AsPair || p.Token != token {
			t.Errorf("%v: %+v", kind, p)
		}
		if len(cookies) != 2 || cookies[0].Name != tokenName || cookies[1].Name != hereName {
			t.Fatalf("the cookies are %v", cookies)
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
	token, _, pair := s.signIn(exeunt.KindKept)
	_, _, other := s.signIn(exeunt.KindKept)
	a, here := tokenName+"="+token.Reveal(), hereName+"="+pair[1].Value
	app := exeunt.NewToken(exeunt.UseApp)
	junk := strings.Repeat("j", 4096)
	nothing, garbage := Presented{}, Presented{Garbage: true}
	whole := Presented{Credential: authority.Credential{Token: token, Use: authority.AsPair}}
	half := Presented{Credential: authority.Credential{Token: token, Use: authority.AsIncomplete}}
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
		"two tokens, one of them cut": {[]string{a[:20] + "; " + a + "; " + here}, garbage},
		"bytes no cookie has":         {[]string{tokenName + "=\x01\xff; " + here}, garbage},
		"a token in a line of junk":   {[]string{";;==; ;" + tokenName + "=\"" + junk + "; =;"}, garbage},
	} {
		if p := s.Cookies.Read(rawRequest(c.cookies...), FirstSlot); p != c.want {
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

func TestClearingClearsByName(t *testing.T) {
	s := newSite(t)
	w := httptest.NewRecorder()
	s.Cookies.Forget(w, request(), FirstSlot)
	s.Cookies.ClearNotice(w)
	names := map[string]bool{}
	for _, c := range w.Result().Cookies() {
		names[c.Name] = true
		// A browser takes an expiry for a __Host- cookie only with these.
		if c.MaxAge != -1 || c.Value != "" || !c.Secure || c.Path != "/" {
			t.Errorf("%v", c)
		}
	}
	if !names[tokenName] || !names[hereName] || !names[cookieNotice] {
		t.Errorf("cleared %v", names)
	}
	if h := w.Header().Get("Clear-Site-Data"); h != `"storage"` { // "cookies" would clear other sites' too
		t.Errorf("Clear-Site-Data is %s", h)
	}
}

// What a browser stores goes with an account unless another one, or a ticket that
// has not been delivered, needs it.
func TestStorageIsClearedWithTheLastAccount(t *testing.T) {
	for name, c := range map[string]struct {
		cookies string
		slot    Slot
		clears  bool
	}{
		"nothing else":           {"theme=dark", 0, true},
		"the same account's":     {"__Host-exeunt-0=x; __Host-exeunt-0-here=y; __Host-exeunt-notice=z", 0, true},
		"another account":        {"__Host-exeunt-0=x; __Host-exeunt-3=y", 0, false},
		"the first stays":        {"__Host-exeunt-0=x; __Host-exeunt-3=y", 3, false},
		"a ticket":               {"__Host-exeunt-0=x; __Host-exeunt-ticket=1", 0, false},
		"beyond the last slot":   {"__Host-exeunt-5=x", 0, true},
		"only the readable half": {"__Host-exeunt-1-here=x", 0, true},
	} {
		w := httptest.NewRecorder()
		Cookies{}.Forget(w, rawRequest(c.cookies), c.slot)
		if got := w.Header().Get("Clear-Site-Data") != ""; got != c.clears {
			t.Errorf("%s: cleared is %v", name, got)
		}
		for _, line := range w.Header().Values("Set-Cookie") {
			if !strings.HasPrefix(line, c.slot.token()) {
				t.Errorf("%s: another slot's cookie is touched: %s", name, line)
			}
		}
	}
}

// Each slot has a pair of its own, which is none in another.
func TestSlotsDoNotMix(t *testing.T) {
	s := newSite(t)
	w := httptest.NewRecorder()
	var tokens [slots]exeunt.Token
	for slot := range slots {
		tokens[slot] = exeunt.NewToken(exeunt.UseSession)
		s.Cookies.SetPair(w, slot, tokens[slot], exeunt.KindKept, time.Hour)
	}
	r := request(w.Result().Cookies()...)
	for slot := range slots {
		want := Presented{Slot: slot, Credential: authority.Credential{Token: tokens[slot], Use: authority.AsPair}}
		if p := s.Cookies.Read(r, slot); p != want {
			t.Errorf("slot %d: %+v", slot, p)
		}
	}
	crossed := request(&http.Cookie{Name: Slot(1).token(), Value: tokens[1].Reveal()},
		&http.Cookie{Name: Slot(1).here(), Value: s.Cookies.Pairs.Half(tokens[0])})
	if p := s.Cookies.Read(crossed, 1); p.Use != authority.AsIncomplete {
		t.Errorf("with another slot's second half: %+v", p)
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
	token := exeunt.NewToken(exeunt.UseSession)
	w := httptest.NewRecorder()
	s.Cookies.SetPair(w, FirstSlot, token, exeunt.KindKept, time.Hour)
	var pair []string
	for _, c := range w.Result().Cookies() {
		pair = append(pair, c.Name+"="+c.Value)
	}
	for _, seed := range []string{"", strings.Join(pair, "; "), pair[0], pair[1], pair[0][:30], tokenName + "=",
		tokenName + "=\"" + token.Reveal() + "\"",
		strings.Join(pair, ";") + "\x00", pair[0] + "; " + pair[0] + "x", cookieNotice + "=a.b.c",
		strings.Repeat(pair[0]+"; ", 40), "=;=;=", hereName + "=\xff\xfe"} {
		f.Add(seed)
	}
	half := s.Cookies.Pairs.Half(token)
	f.Fuzz(func(t *testing.T, header string) {
		r := rawRequest(header)
		p := s.Cookies.Read(r, FirstSlot)
		if p.Garbage && !p.Token.IsZero() || p.Token.IsZero() != (p.Use == 0) {
			t.Fatalf("%q: %+v", header, p)
		}
		if p.Use == authority.AsPair && (!strings.Contains(header, token.Reveal()) || !strings.Contains(header, half)) {
			t.Fatalf("%q is taken for a pair", header)
		}
		if s.Cookies.ReadNotice(r, epoch) != "" {
			t.Fatalf("%q is taken for a notice", header)
		}
	})
}
