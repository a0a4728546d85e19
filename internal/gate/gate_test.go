package gate

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/testnode"
)

func ask(g *Gate, set func(h http.Header)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/gate", nil)
	set(r.Header)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func withBearer(t exeunt.Token) func(http.Header) {
	return func(h http.Header) { h.Set("Authorization", "Bearer "+t.Reveal()) }
}

func withCookie(v string) func(http.Header) {
	return func(h http.Header) { h.Set("Cookie", v) }
}

func TestGateAdmits(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	_, browser := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	token, who := n.NewAppSession(t, browser, testnode.Chirp)
	_, mallory := n.NewSession(t, n.NewAccount(t, "mallory"), exeunt.KindKept)
	planted, _ := n.NewAppSession(t, mallory, testnode.Chirp)
	for name, set := range map[string]func(http.Header){
		"bearer":           withBearer(token),
		"bearer, any case": func(h http.Header) { h.Set("Authorization", "bEARER "+token.Reveal()) },
		"cookie":           withCookie("__Host-chirp=" + token.Reveal()),
		"cookie of others": withCookie("theme=dark; x=; __Host-chirp=" + token.Reveal() + "; last"),
		"named by a proxy": func(h http.Header) { withBearer(token)(h); h.Set(client.HeaderClient, "chirp") },
		"the same twice":   withCookie("__Host-a=" + token.Reveal() + ";__Host-b=" + token.Reveal()),
		"beside a planted one": withCookie("a=" + planted.Reveal() + "; __Host-chirp=" + token.Reveal() + "; chirp=" +
			planted.Reveal()),
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(g, set)
			if w.Code != http.StatusOK || w.Body.Len() != 0 {
				t.Fatalf("status %d, body %q", w.Code, w.Body)
			}
			want := map[string]string{
				"Cache-Control": "no-store", client.HeaderUser: "ada", client.HeaderName: "Ada", client.HeaderEmail: "",
				client.HeaderAccount: who.Account.String(), client.HeaderSession: browser.ID.String(),
				client.HeaderAppSession: who.App.String(), client.HeaderClient: "chirp",
			}
			for k, v := range want {
				if got := w.Header().Get(k); got != v {
					t.Errorf("%s is %q, want %q", k, got, v)
				}
			}
			idle, _ := strconv.ParseInt(w.Header().Get(client.HeaderIdleAt), 10, 64)
			if d := time.UnixMilli(idle).Sub(n.Now()); d < 29*24*time.Hour || d > 30*24*time.Hour {
				t.Errorf("idle in %v", d)
			}
		})
	}
}

// A token handed to one app opens nothing at a proxy that guards another.
func TestGateRefusesTokensOfOtherApps(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	_, browser := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	token, _ := n.NewAppSession(t, browser, testnode.Chirp)
	for name, clients := range map[string][]string{"another": {"other"}, "two": {string(testnode.Chirp), "other"},
		"none": {""}} {
		w := ask(g, func(h http.Header) { withBearer(token)(h); h[client.HeaderClient] = clients })
		if w.Code != http.StatusUnauthorized || w.Header().Get(client.HeaderReason) != "other_client" ||
			w.Header().Get(client.HeaderUser) != "" {
			t.Errorf("%s: status %d, %v", name, w.Code, w.Header())
		}
	}
}

func TestGateRefuses(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	proof := n.NewAccount(t, "ada")
	pair, browser := n.NewSession(t, proof, exeunt.KindKept)
	app1, _ := n.NewAppSession(t, browser, testnode.Chirp)
	app2, _ := n.NewAppSession(t, browser, testnode.Other)
	for name, set := range map[string]func(http.Header){
		"nothing":                     func(http.Header) {},
		"a browser's token as bearer": withBearer(pair),
		"a browser's token as cookie": withCookie("__Host-exeunt-0=" + pair.Reveal()),
		"garbage":                     func(h http.Header) { h.Set("Authorization", "Bearer exa_xyz") },
		"another scheme":              func(h http.Header) { h.Set("Authorization", "Basic "+app1.Reveal()) },
		"two authorizations": func(h http.Header) {
			h["Authorization"] = []string{"Bearer " + app1.Reveal(), "Bearer " + app1.Reveal()}
		},
		"two apps' cookies":              withCookie("__Host-a=" + app1.Reveal() + "; __Host-b=" + app2.Reveal()),
		"a cookie that could be planted": withCookie("chirp=" + app1.Reveal()),
		"one with a similar name": withCookie("__host-chirp=" + app1.Reveal() + "; x__Host-chirp=" +
			app1.Reveal() + "; __Secure-chirp=" + app1.Reveal()),
		"one without a name": withCookie(app1.Reveal() + "; =" + app1.Reveal()),
		"a good cookie beside a bad bearer": func(h http.Header) {
			h.Set("Cookie", "__Host-a="+app1.Reveal())
			h.Set("Authorization", "Bearer x")
		},
		"never handed out": withBearer(exeunt.NewToken(exeunt.UseApp)),
		"a code":           withBearer(exeunt.NewToken(exeunt.UseCode)),
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(g, set)
			if w.Code != http.StatusUnauthorized || w.Header().Get(client.HeaderReason) != "unknown" ||
				w.Header().Get(client.HeaderUser) != "" {
				t.Fatalf("status %d, headers %v", w.Code, w.Header())
			}
		})
	}
}

func TestGateSaysWhyItEnded(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	proof := n.NewAccount(t, "ada")
	_, browser := n.NewSession(t, proof, exeunt.KindKept)
	token, _ := n.NewAppSession(t, browser, testnode.Chirp)
	if w := ask(g, withBearer(token)); w.Code != http.StatusOK {
		t.Fatalf("status %d", w.Code)
	}
	n.SignOut(t, browser)
	w := ask(g, withBearer(token))
	h := w.Header()
	if w.Code != http.StatusUnauthorized || h.Get(client.HeaderReason) != "signed_out" ||
		h.Get(client.HeaderAccount) != "" || h.Get(client.HeaderUser) != "" {
		t.Fatalf("status %d, headers %v", w.Code, h)
	}
	if at, err := time.Parse(time.RFC3339, h.Get(client.HeaderEndedAt)); err != nil || n.Now().Sub(at) > time.Minute {
		t.Errorf("ended at %q", h.Get(client.HeaderEndedAt))
	}

	idleToken, _ := n.NewSession(t, proof, exeunt.KindApp)
	n.Clock.Pass(31 * 24 * time.Hour)
	if w := ask(g, withBearer(idleToken)); w.Code != http.StatusUnauthorized ||
		w.Header().Get(client.HeaderReason) != "idle" {
		t.Fatalf("after its idle time: status %d, headers %v", w.Code, w.Header())
	}
}

func TestGateIndeterminate(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	n.Store.Close()
	token := exeunt.NewToken(exeunt.UseApp) // not in memory, so the store is asked
	w := ask(g, withBearer(token))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get(client.HeaderReason) != "unavailable" ||
		w.Header().Get("Retry-After") != "1" {
		t.Fatalf("status %d, headers %v", w.Code, w.Header())
	}
}

func TestGateFollowsTheProfile(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	token, s := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindApp)
	ask(g, withBearer(token))
	name := "Countess"
	if err := n.Accounts.ChangeProfile(t.Context(), testnode.PersonIn(s), account.Profile{Name: name},
		nil); err != nil {
		t.Fatal(err)
	}
	if got := ask(g, withBearer(token)).Header().Get(client.HeaderName); got != name {
		t.Errorf("name is %q after it was changed", got)
	}
}

func TestGateActivity(t *testing.T) {
	for _, c := range []struct {
		name string
		set  map[string]string
		want bool
	}{
		{"said so", map[string]string{"Exeunt-Activity": "yes", "Sec-Fetch-Mode": "cors"}, true},
		{"said not", map[string]string{"Exeunt-Activity": "no", "Sec-Fetch-Mode": "navigate"}, false},
		{"navigation", map[string]string{"Sec-Fetch-Mode": "navigate"}, true},
		{"prefetch", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Purpose": "prefetch"}, false},
		{"script's poll", map[string]string{"Sec-Fetch-Mode": "cors"}, false},
		{"image", map[string]string{"Sec-Fetch-Mode": "no-cors", "Authorization": "Bearer x"}, false},
		{"form behind a proxy", map[string]string{"Sec-Fetch-Mode": "cors", "X-Forwarded-Method": "POST"}, true},
		{"read behind a proxy", map[string]string{"Sec-Fetch-Mode": "cors", "X-Forwarded-Method": "GET"}, false},
		{"program with a bearer token", map[string]string{"Authorization": "Bearer x"}, true},
		{"old browser with a cookie", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/gate", nil)
			for k, v := range c.set {
				r.Header.Set(k, v)
			}
			if got := client.IsActivity(methodOf(r), r.Header); got != c.want {
				t.Errorf("activity is %v, want %v", got, c.want)
			}
		})
	}
}

func TestGateCountsActivity(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	token, _ := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindApp)
	idleAt := func(activity string) string {
		return ask(g, func(h http.Header) {
			withBearer(token)(h)
			h.Set(client.HeaderActivity, activity)
		}).Header().Get(client.HeaderIdleAt)
	}
	before := idleAt("no")
	n.Clock.Pass(time.Hour)
	if at, err := http.ParseTime(ask(g, withBearer(exeunt.Token{})).Header().Get("Date")); err != nil ||
		n.Now().Sub(at) > time.Minute {
		t.Errorf("the date is not the authority's: %v, %v", at, err)
	}
	if got := idleAt("no"); got != before {
		t.Errorf("a poll moved the idle end from %s to %s", before, got)
	}
	idleAt("yes")
	if got := idleAt("no"); got == before {
		t.Error("activity did not move the idle end")
	}
}

// A hundred thousand people at work at once are each written out once.
func TestGateKnowsManyAccounts(t *testing.T) {
	var c headerCache
	accounts := make([]exeunt.AccountID, 100_000)
	made := make([]*accountHeaders, len(accounts))
	for i := range accounts {
		accounts[i], made[i] = exeunt.NewAccountID(), &accountHeaders{version: 1}
		c.put(accounts[i], made[i])
	}
	i := 0
	if got := testing.AllocsPerRun(len(accounts)-1, func() {
		if c.get(accounts[i], 1) != made[i] {
			t.Error("forgotten, or somebody else's")
		}
		i++
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

// The cache is bounded: whom it has not been asked about for longest is forgotten. The
// headers of a later version of a profile take the place of the former ones, which
// never come back.
func TestGateForgetsAccounts(t *testing.T) {
	var c headerCache
	of := func(version int64, handle string) *accountHeaders {
		return newAccountHeaders(exeunt.AccountID{}, exeunt.Profile{Version: version, Handle: handle})
	}
	used, unused, changed := exeunt.NewAccountID(), exeunt.NewAccountID(), exeunt.NewAccountID()
	first := of(1, "ada")
	for _, id := range []exeunt.AccountID{used, unused, changed} {
		c.put(id, first)
	}
	for range 2 {
		for range generationSize {
			c.put(exeunt.NewAccountID(), first)
		}
		if c.get(used, 1) == nil {
			t.Error("forgotten although it was asked for")
		}
	}
	if n := len(c.old) + len(c.new); n > 2*generationSize || c.get(unused, 1) != nil {
		t.Errorf("%d are kept, the unused one is known: %v", n, c.get(unused, 1) != nil)
	}
	c.put(changed, of(2, "lovelace"))
	c.put(changed, first) // from a request that began before the change
	if got := c.get(changed, 2); got == nil || got.user[0] != "lovelace" {
		t.Errorf("after the change there is %+v", got)
	}
	if c.get(changed, 3) != nil {
		t.Error("an old version was told")
	}
}

// Who it is must be told, or nothing: without a profile nobody is admitted.
func TestGateAdmitsNobodyWithoutAName(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	token, _ := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindApp)
	for range 2 {
		if w := ask(g, withBearer(token)); w.Code != http.StatusOK || w.Header().Get(client.HeaderUser) != "ada" {
			t.Fatalf("status %d, headers %v", w.Code, w.Header())
		}
		// Now only the session is in memory, not its profile or its headers.
		for range 10_000 {
			n.Live.SetProfile(exeunt.NewAccountID(), exeunt.Profile{Version: 1})
		}
		g = New(n.Authority, n.OAuth.Registry)
	}
	n.Store.Close()
	if w := ask(g, withBearer(token)); w.Code != http.StatusServiceUnavailable ||
		w.Header().Get(client.HeaderReason) != "unavailable" || w.Header().Get(client.HeaderUser) != "" {
		t.Errorf("without a store: status %d, headers %v", w.Code, w.Header())
	}
}

// FuzzGateRequest: whatever arrives is answered with one of the three
// statuses, and admitted only with the one good token.
func FuzzGateRequest(f *testing.F) {
	n := testnode.New(f, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	_, browser := n.NewSession(f, n.NewAccount(f, "ada"), exeunt.KindKept)
	token, _ := n.NewAppSession(f, browser, testnode.Chirp)
	good := token.Reveal()
	for _, seed := range [][2]string{
		{"", ""}, {"Bearer " + good, ""}, {"", "__Host-chirp=" + good},
		{"", "__Host-a=" + good + "; __Host-a=" + good[:20]}, {"", "chirp=" + good},
		{"Bearer", "="}, {"Bearer  ", ";;;=;"}, {"bearer " + good + " ", "\"" + good + "\""},
		{"", " \t__Host-a =\"" + good + "\" ; b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, auth, cookie string) {
		r := httptest.NewRequest(http.MethodGet, "/gate", nil).WithContext(context.Background())
		if auth != "" {
			r.Header["Authorization"] = []string{auth}
		}
		if cookie != "" {
			r.Header["Cookie"] = []string{cookie}
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		c := credentialOf(r)
		switch w.Code {
		case http.StatusOK:
			if c.Token != token || w.Header().Get(client.HeaderUser) != "ada" {
				t.Fatalf("admitted %q %q", auth, cookie)
			}
		case http.StatusUnauthorized:
			if c.Token == token {
				t.Fatalf("refused %q %q", auth, cookie)
			}
		default:
			t.Fatalf("status %d for %q %q", w.Code, auth, cookie)
		}
	})
}
