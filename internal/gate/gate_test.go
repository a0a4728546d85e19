package gate

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
)

func ask(g *Gate, set func(h http.Header)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/gate", nil)
	set(r.Header)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

// withBearer names Chirp with an app's token.
func withBearer(t exeunt.Token) func(http.Header) {
	return func(h http.Header) {
		h.Set("Authorization", "Bearer "+t.Reveal())
		if t.Use() == exeunt.UseApp {
			h.Set(client.HeaderClient, string(testnode.Chirp))
		}
	}
}

func withCookie(v string) func(http.Header) {
	return func(h http.Header) { h.Set("Cookie", v); h.Set(client.HeaderClient, string(testnode.Chirp)) }
}

func TestGateAdmits(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	_, browser := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	token, who := n.NewAppSession(t, browser, testnode.Chirp)
	_, mallory := n.NewSession(t, n.NewAccount(t, "mallory"), exeunt.KindKept)
	planted, _ := n.NewAppSession(t, mallory, testnode.Chirp)
	for name, set := range map[string]func(http.Header){
		"bearer": withBearer(token),
		"bearer, any case": func(h http.Header) {
			withBearer(token)(h)
			h.Set("Authorization", "bEARER "+token.Reveal())
		},
		"cookie":           withCookie("__Host-chirp=" + token.Reveal()),
		"cookie of others": withCookie("theme=dark; x=; __Host-chirp=" + token.Reveal() + "; last"),
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

// Whoever misspells an app's name in a proxy finds it in the log, in lines that nobody can flood or break.
func TestAnUnknownClientIsNamedInTheLog(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	var said bytes.Buffer
	clients, err := oauth.NewRegistry(t.Context(), n.Store, n.Authority, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	g := New(n.Authority, clients)
	for i := range 100 {
		name := []string{"chrip", "x\nlevel=ERROR\xff" + strings.Repeat("y", 5000)}[min(i, 1)]
		r := httptest.NewRequest(http.MethodGet, Path, nil)
		r.URL.Path = Path + "/" + name
		w := httptest.NewRecorder()
		if g.ServeHTTP(w, r); w.Code != http.StatusForbidden || w.Header().Get(client.HeaderReason) != "no_such_client" {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if len(lines) == 0 || len(lines) > 10 || !strings.Contains(lines[0], "level=WARN") ||
		!strings.Contains(lines[0], "client=chrip") {
		t.Errorf("%d lines: %.500q", len(lines), lines)
	}
	for _, line := range lines {
		if len(line) > 700 || !utf8.ValidString(line) || strings.HasPrefix(line, "level") {
			t.Errorf("%.700q", line)
		}
	}
}

// A token handed to one app opens nothing at a proxy that guards another, and nothing
// where nobody says which app it is for.
func TestGateAnswersOnlyForTheNamedClient(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	proof := n.NewAccount(t, "ada")
	_, browser := n.NewSession(t, proof, exeunt.KindKept)
	token, _ := n.NewAppSession(t, browser, testnode.Chirp)
	phone, _ := n.NewSession(t, proof, exeunt.KindApp)
	bearer, cookie := "Bearer "+token.Reveal(), "__Host-chirp="+token.Reveal()
	key := n.Keys[testnode.Chirp].Reveal()
	for _, c := range []struct {
		name, path                    string
		authorization, cookie, client string
		key                           string
		status, withAnyClient         int
		reason                        string
	}{
		{"named in the address", "/gate/chirp", bearer, "", "", "", 200, 200, ""},
		{"a cookie, named in the address", "/gate/chirp", "", cookie, "", "", 200, 200, ""},
		{"named in a header", "/gate", bearer, "", "chirp", "", 200, 200, ""},
		{"named by its key", "/gate", bearer, "", "", key, 200, 200, ""},
		{"named three times", "/gate/chirp", bearer, "", "chirp", key, 200, 200, ""},
		{"not named", "/gate", bearer, "", "", "", 403, 200, "no_client"},
		{"a cookie, not named", "/gate", "", cookie, "", "", 403, 200, "no_client"},
		{"an empty name", "/gate/", bearer, "", "", "", 403, 200, "no_client"},
		{"another in the address", "/gate/other", bearer, "", "", "", 401, 401, "other_client"},
		{"another in a header", "/gate", bearer, "", "other", "", 401, 401, "other_client"},
		{"a browser's header beside the address", "/gate/other", bearer, "", "chirp", "", 401, 401, "other_client"},
		{"another in the address beside its key", "/gate/other", bearer, "", "", key, 401, 401, "other_client"},
		{"one longer", "/gate/chirps", bearer, "", "", "", 403, 403, "no_such_client"},
		{"an address below", "/gate/chirp/x", bearer, "", "", "", 403, 403, "no_such_client"},
		{"nobody's", "/gate/x", bearer, "", "", "", 403, 403, "no_such_client"},
		{"nobody's in a header", "/gate", bearer, "", "x", "", 403, 403, "no_such_client"},
		{"nobody's beside the address", "/gate/chirp", bearer, "", "x", "", 401, 401, "other_client"},
		{"nobody's, without a token", "/gate/x", "", "", "", "", 403, 403, "no_such_client"},
		{"a session's own token", "/gate", "Bearer " + phone.Reveal(), "", "", "", 200, 200, ""},
		{"a session's own token for an app", "/gate/chirp", "Bearer " + phone.Reveal(), "", "", "", 401, 401,
			"other_client"},
		{"nothing, not named", "/gate", "", "", "", "", 401, 401, "unknown"},
	} {
		for _, anyClient := range []bool{false, true} {
			g := New(n.Authority, n.OAuth.Registry)
			g.AnyClient = anyClient
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			for name, v := range map[string]string{"Authorization": c.authorization, "Cookie": c.cookie,
				client.HeaderClient: c.client, client.HeaderClientKey: c.key} {
				if v != "" {
					r.Header.Set(name, v)
				}
			}
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			status, reason := c.status, c.reason
			if anyClient {
				status = c.withAnyClient
			}
			if status == http.StatusOK {
				reason = ""
			}
			user := w.Header().Get(client.HeaderUser)
			if w.Code != status || w.Header().Get(client.HeaderReason) != reason || user == "" != (status != 200) {
				t.Errorf("%s, any client %v: status %d, %v", c.name, anyClient, w.Code, w.Header())
			}
		}
	}
	for name, clients := range map[string][]string{"two": {string(testnode.Chirp), "other"}, "none": {""}} {
		w := ask(New(n.Authority, n.OAuth.Registry),
			func(h http.Header) { withBearer(token)(h); h[client.HeaderClient] = clients })
		if w.Code != http.StatusUnauthorized || w.Header().Get(client.HeaderReason) != "other_client" {
			t.Errorf("%s: status %d, %v", name, w.Code, w.Header())
		}
	}
}

// Every answer about somebody has the same names, also those that have nothing to say:
// a proxy that finds a name missing may pass on what the browser sent under it.
func TestGateAlwaysTellsTheSameNames(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	proof := n.NewAccount(t, "ada")
	_, browser := n.NewSession(t, proof, exeunt.KindKept)
	token, who := n.NewAppSession(t, browser, testnode.Chirp)
	phone, _ := n.NewSession(t, proof, exeunt.KindApp)
	var sets [][]string
	for _, profile := range []exeunt.Profile{
		{Version: 1 << 20, Handle: "ada"}, {Version: 1<<20 + 1, Handle: "ada", Name: "Ada", Email: "ada@example.com"},
	} {
		n.Live.SetProfile(who.Account, profile)
		for _, t := range []exeunt.Token{token, phone} {
			h := ask(g, withBearer(t)).Header()
			sets = append(sets, slices.Sorted(maps.Keys(h)))
		}
	}
	for _, names := range sets {
		if !slices.Equal(names, sets[0]) {
			t.Errorf("%v and %v", names, sets[0])
		}
	}
	for _, name := range []string{client.HeaderUser, client.HeaderName, client.HeaderEmail, client.HeaderGroups,
		client.HeaderAccount, client.HeaderSession, client.HeaderAppSession, client.HeaderClient} {
		if !slices.Contains(sets[0], name) {
			t.Errorf("%s is missing", name)
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
		"a browser's token as cookie": withCookie("__Host-exeunt-" + exeunt.NewSessionID().String() + "=" + pair.Reveal()),
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
	if err := n.Accounts.ChangeProfile(t.Context(), testnode.PersonIn(s), token, account.Profile{Name: name},
		nil); err != nil {
		t.Fatal(err)
	}
	if got := ask(g, withBearer(token)).Header().Get(client.HeaderName); got != name {
		t.Errorf("name is %q after it was changed", got)
	}
	groups := func(remove bool, names ...string) {
		t.Helper()
		for _, name := range names {
			if _, err := n.Accounts.ChangeGroup(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, name,
				[]string{"ada"}, remove); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		remove bool
		names  []string
		want   string
	}{{false, []string{"staff", "admins"}, "admins,staff"}, {true, []string{"staff"}, "admins"}, {true, []string{"admins"}, ""}} {
		groups(c.remove, c.names...)
		if got := ask(g, withBearer(token)).Header()[client.HeaderGroups]; len(got) != 1 || got[0] != c.want {
			t.Errorf("the groups are %q, want %q", got, c.want)
		}
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
		r := httptest.NewRequest(http.MethodGet, "/gate/chirp", nil).WithContext(context.Background())
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
