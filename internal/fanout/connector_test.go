package fanout

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/presets"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testnode"
)

// api is an app's API for administrators, as its documentation describes it.
type api struct {
	name   string
	secret string
	server *httptest.Server

	mu    sync.Mutex
	ended []string // whom or what it was told to end
	calls int
	// fail answers the n-th call otherwise, if it returns true.
	fail func(n int, w http.ResponseWriter, r *http.Request) bool
}

func newAPI(t testing.TB, name, secret string, serve func(a *api, m *http.ServeMux)) *api {
	t.Helper()
	a := &api{name: name, secret: secret}
	m := http.NewServeMux()
	serve(a, m)
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		n, fail := a.calls, a.fail
		a.calls++
		a.mu.Unlock()
		if fail == nil || !fail(n, w, r) {
			m.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(a.server.Close)
	return a
}

// only lets those pass who have the right header.
func (a *api) only(name, value string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(name) != value {
			http.Error(w, `{"message":"Unauthorized"}`, http.StatusUnauthorized)
			return
		}
		h(w, r)
	}
}

func (a *api) end(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = append(a.ended, what)
}

// done returns what was ended, in order, and how many calls there were.
func (a *api) done() ([]string, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := slices.Clone(a.ended)
	slices.Sort(out)
	return out, a.calls
}

func (a *api) failing(fail func(n int, w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail, a.calls = fail, 0
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func newGrafana(t testing.TB) *api {
	const secret = "exeunt:pass:word-of-grafana"
	return newAPI(t, "grafana", secret, func(a *api, m *http.ServeMux) {
		auth := "Basic " + base64.StdEncoding.EncodeToString([]byte(secret))
		m.HandleFunc("GET /api/users/lookup", a.only("Authorization", auth, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("loginOrEmail") != "ada" {
				http.Error(w, `{"message":"user not found"}`, http.StatusNotFound)
				return
			}
			answerJSON(w, map[string]any{"id": 7, "login": "ada", "isGrafanaAdmin": false})
		}))
		m.HandleFunc("POST /api/admin/users/{id}/logout", a.only("Authorization", auth, func(w http.ResponseWriter, r *http.Request) {
			a.end("user " + r.PathValue("id"))
			answerJSON(w, map[string]any{"message": "User logged out"})
		}))
	})
}

func newJellyfin(t testing.TB) *api {
	const secret = "key-of-jellyfin-0123456789"
	return newAPI(t, "jellyfin", secret, func(a *api, m *http.ServeMux) {
		auth := `MediaBrowser Token="` + secret + `"`
		devices := map[string]string{"web 1/2": "Ada", "tv&id=3": "ada", "phone": "bob"} // by whom each was used last
		m.HandleFunc("GET /Devices", a.only("Authorization", auth, func(w http.ResponseWriter, _ *http.Request) {
			items := []any{}
			a.mu.Lock()
			defer a.mu.Unlock()
			for id, who := range devices {
				items = append(items, map[string]any{"Id": id, "LastUserName": who, "AppName": "Jellyfin Web"})
			}
			answerJSON(w, map[string]any{"Items": items, "TotalRecordCount": len(items), "StartIndex": 0})
		}))
		m.HandleFunc("DELETE /Devices", a.only("Authorization", auth, func(w http.ResponseWriter, r *http.Request) {
			id := r.URL.Query().Get("id")
			a.mu.Lock()
			_, there := devices[id]
			delete(devices, id)
			a.mu.Unlock()
			if !there {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			a.end("device " + id)
			w.WriteHeader(http.StatusNoContent)
		}))
	})
}

func newMattermost(t testing.TB) *api {
	const secret = "token-of-mattermost-abcdef"
	return newAPI(t, "mattermost", secret, func(a *api, m *http.ServeMux) {
		m.HandleFunc("GET /api/v4/users/email/{email}", a.only("Authorization", "Bearer "+secret, func(w http.ResponseWriter, r *http.Request) {
			if r.PathValue("email") != "ada+x@example.com" {
				http.Error(w, `{"id":"app.user.missing_account.const","status_code":404}`, http.StatusNotFound)
				return
			}
			answerJSON(w, map[string]any{"id": "h5wokrhyfjdptfbnd6ktrhnwpo", "username": "ada"})
		}))
		m.HandleFunc("POST /api/v4/users/{id}/sessions/revoke/all", a.only("Authorization", "Bearer "+secret, func(w http.ResponseWriter, r *http.Request) {
			a.end("user " + r.PathValue("id"))
			answerJSON(w, map[string]any{"status": "OK"})
		}))
	})
}

func newVaultwarden(t testing.TB) *api {
	const secret, cookie = "admin token & more = ü", "jwt-of-the-administrator"
	return newAPI(t, "vaultwarden", secret, func(a *api, m *http.ServeMux) {
		signedIn := func(h http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if c, err := r.Cookie("VW_ADMIN"); err != nil || c.Value != cookie {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				h(w, r)
			}
		}
		m.HandleFunc("POST /admin", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.PostFormValue("token") != secret {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			http.SetCookie(w, &http.Cookie{Name: "VW_ADMIN", Value: cookie, Path: "/admin", HttpOnly: true,
				SameSite: http.SameSiteStrictMode, MaxAge: 1200})
			fmt.Fprint(w, "<!DOCTYPE html>", strings.Repeat("a page of settings ", 1000))
		})
		m.HandleFunc("GET /admin/users/by-mail/{mail}", signedIn(func(w http.ResponseWriter, r *http.Request) {
			if r.PathValue("mail") != "ada+x@example.com" {
				http.Error(w, `{"message":"User doesn't exist"}`, http.StatusNotFound)
				return
			}
			answerJSON(w, map[string]any{"id": "b6b1c1f4-0000-4000-8000-000000000001", "email": "ada+x@example.com"})
		}))
		m.HandleFunc("POST /admin/users/{id}/deauth", signedIn(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Content-Type") != "application/json" {
				w.WriteHeader(http.StatusNotFound) // of Rocket, whose route has the format
				return
			}
			a.end("user " + r.PathValue("id"))
		}))
	})
}

var secretFile = regexp.MustCompile(`secret_file = ".*"`)

// preset is the connector that the app's preset prints, as the configuration file gives it.
func (a *api) preset(t testing.TB) exeunt.Connector {
	t.Helper()
	p, err := presets.Named(a.name)
	must(t, err)
	table, err := p.Connector(exeunt.ClientID(a.name), a.server.URL)
	must(t, err)
	return a.configured(t, table)
}

// configured is a connector of a configuration file.
func (a *api) configured(t testing.TB, table string) exeunt.Connector {
	t.Helper()
	dir := t.TempDir()
	secret, file := filepath.Join(dir, "secret"), filepath.Join(dir, "exeunt.toml")
	must(t, os.WriteFile(secret, []byte(a.secret+"\n"), 0o600))
	table = secretFile.ReplaceAllString(table, `secret_file = "`+secret+`"`)
	must(t, os.WriteFile(file, []byte("url = \"https://id.example.com\"\ndata = \"/var/lib/exeunt\"\n"+
		"trusted_proxies = [\"10.0.0.5\"]\n"+table), 0o600))
	c, err := config.Load(config.Sources{File: file, Getenv: func(string) (string, bool) { return "", false }})
	must(t, err)
	if got := string(c.Connectors[0].Secret); got != a.secret {
		t.Fatalf("the secret is %q", got)
	}
	return c.Connectors[0].App()
}

// newConnected is a site whose apps have connectors.
func newConnected(t testing.TB, database string, apps map[*api]exeunt.Connector) *site {
	t.Helper()
	o := testnode.Options{Database: database, Clients: []exeunt.Client{}}
	for a := range apps {
		o.Clients = append(o.Clients, testnode.ClientAt(exeunt.ClientID(a.name), "https://"+a.name+".example/callback"))
	}
	if database != "" {
		for i := range o.Clients {
			o.Clients[i].Keys = []exeunt.TokenHash{{byte(i + 1)}}
		}
	}
	s := newSite(t, o)
	var list []exeunt.Connector
	for a, c := range apps {
		var err error
		c.Sealed, err = s.master.Seal(Purpose(c.Client), []byte(a.secret))
		must(t, err)
		list = append(list, c)
	}
	unknown, err := s.Store.ReconcileConnectors(t.Context(), list, exeunt.System(), s.Now())
	if err != nil || unknown != nil {
		t.Fatal(unknown, err)
	}
	return s
}

// person is somebody with a confirmed address who is signed in to clients.
func (s *site) person(handle, email string, clients ...exeunt.ClientID) exeunt.Session {
	s.t.Helper()
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}
	_, err := s.Accounts.AddAccount(s.t.Context(), operator, account.NewAccount{Handle: handle, Name: handle, Email: email,
		Password: testnode.Password}, email != "")
	must(s.t, err)
	return s.again(handle, clients...)
}

// again is another session of somebody.
func (s *site) again(handle string, clients ...exeunt.ClientID) exeunt.Session {
	s.t.Helper()
	a, err := s.AccountByHandle(s.t.Context(), handle)
	must(s.t, err)
	_, v := s.NewSession(s.t, exeunt.Proof{Account: a.ID, Methods: exeunt.Methods{exeunt.MethodPassword}, At: s.Now(),
		Generation: a.Generation, CredentialVersion: a.CredentialVersion}, exeunt.KindKept)
	for _, c := range clients {
		s.NewAppSession(s.t, v, c)
	}
	return v
}

// delivery is the one of the account and client.
func (s *site) delivery(v exeunt.Session, client exeunt.ClientID) exeunt.Delivery {
	return s.states(v)[client]
}

// Each preset's connector does what the app's documentation says, once for each end of an account, and for no other end.
// Where the app knows nobody of that name, that is done, too.
func TestPresetsEndEverythingOfSomebody(t *testing.T) { onEachEngine(t, presetsEndEverything) }

func presetsEndEverything(t *testing.T, database string) {
	want := map[*api][]string{
		newGrafana(t):     {"user 7"},
		newJellyfin(t):    {"device tv&id=3", "device web 1/2"},
		newMattermost(t):  {"user h5wokrhyfjdptfbnd6ktrhnwpo"},
		newVaultwarden(t): {"user b6b1c1f4-0000-4000-8000-000000000001"},
	}
	apps, all := map[*api]exeunt.Connector{}, []exeunt.ClientID{}
	for a := range want {
		apps[a] = a.preset(t)
		all = append(all, exeunt.ClientID(a.name))
	}
	s := newConnected(t, database, apps)
	v := s.person("ada", "ada+x@example.com", all...)
	other := s.again("ada", all...)
	nobody := s.person("grace", "grace@example.com", all...)
	s.SignOut(t, other)
	s.read()
	for a := range want {
		if got, calls := a.done(); calls != 0 {
			t.Errorf("%s: one session's end called it %d times: %v", a.name, calls, got)
		}
	}
	confirmed := func(v exeunt.Session) {
		t.Helper()
		s.SignOutEverywhere(t, v)
		until(t, "all apps to be told", func() bool {
			now := s.states(v)
			for _, id := range all {
				if now[id].State != exeunt.DeliveryConfirmed {
					return false
				}
			}
			return true
		})
		for id, d := range s.states(v) {
			if d.Attempts != 1 || d.Error != "" || !d.Session.IsZero() {
				t.Errorf("%s: %+v", id, d)
			}
		}
	}
	confirmed(v)
	for a, list := range want {
		if got, _ := a.done(); !slices.Equal(got, list) {
			t.Errorf("%s ended %q, want %q", a.name, got, list)
		}
	}
	confirmed(nobody)
	for a, list := range want {
		if got, _ := a.done(); !slices.Equal(got, list) {
			t.Errorf("%s ended %q for somebody whom it does not know", a.name, got)
		}
		for _, spelled := range []string{a.secret, base64.StdEncoding.EncodeToString([]byte(a.secret))} {
			if strings.Contains(s.said.String(), spelled) {
				t.Errorf("the log has the secret of %s", a.name)
			}
		}
	}
}

// What fails is tried again: also after a crash between the claim and the app's answer, and when the connection is cut
// after the app has done it. Then it is done twice, which changes nothing.
func TestConnectorsAreTriedAgain(t *testing.T) { onEachEngine(t, connectorsAreTriedAgain) }

func connectorsAreTriedAgain(t *testing.T, database string) {
	a := newGrafana(t)
	s := newConnected(t, database, map[*api]exeunt.Connector{a: a.preset(t)})
	v := s.person("ada", "", "grafana")
	a.failing(func(n int, w http.ResponseWriter, r *http.Request) bool {
		switch n {
		case 0: // the lookup
			w.WriteHeader(http.StatusInternalServerError)
			return true
		case 2: // the action, after the lookup of the second attempt
			a.end("user 7")
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
			return true
		}
		return false
	})
	s.SignOutEverywhere(t, v)
	until(t, "the first failure", func() bool { return s.delivery(v, "grafana").Error == "http_500" })
	until(t, "the app to be told", func() bool { return s.delivery(v, "grafana").State == exeunt.DeliveryConfirmed })
	if got, calls := a.done(); s.delivery(v, "grafana").Attempts != 3 || calls != 5 || len(got) != 2 {
		t.Errorf("%+v, %d calls, ended %v", s.delivery(v, "grafana"), calls, got)
	}
	// A process that dies after the claim: once its lease is over, another one does it.
	a.failing(nil)
	s.stop()
	w := s.again("ada", "grafana")
	s.SignOutEverywhere(t, w)
	dead := New(s.fan.Config)
	for more := true; more; {
		var err error
		more, err = dead.step(t.Context(), &reading{})
		must(t, err)
	}
	due, err := s.Store.DueDeliveries(t.Context(), "grafana", s.Now().Add(time.Minute), 10)
	if err != nil || len(due) != 1 {
		t.Fatalf("%v, %v", due, err)
	}
	if claimed, err := s.Store.ClaimDeliveries(t.Context(), due, s.Now()); err != nil || len(claimed) != 1 {
		t.Fatalf("%v, %v", claimed, err)
	}
	s.start()
	s.Clock.Pass(store.AttemptLease + time.Second)
	until(t, "another process to do it", func() bool { return s.delivery(w, "grafana").State == exeunt.DeliveryConfirmed })
	if d := s.delivery(w, "grafana"); d.Attempts != 2 {
		t.Errorf("%+v", d)
	}
}

// What a connector does follows no redirect and takes no answer that has not the shape that was said. A failure is a
// word, without what was sent.
func TestConnectorsAnswers(t *testing.T) {
	big := `{"id":1,"x":"` + strings.Repeat("x", maxAnswer) + `"}`
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	for name, c := range map[string]struct {
		lookup, action func(w http.ResponseWriter)
		want           answer
		ended          []string
	}{
		"found":            {lookup: says(200, `{"id":7}`), want: answer{confirmed: true}, ended: []string{"7"}},
		"a text":           {lookup: says(200, `{"id":"a b"}`), want: answer{confirmed: true}, ended: []string{"a b"}},
		"a large number":   {lookup: says(200, `{"id":12345678901234567890}`), want: answer{confirmed: true}, ended: []string{"12345678901234567890"}},
		"a list":           {lookup: says(200, `[{"id":7},{"id":9},{"id":7}]`), want: answer{confirmed: true}, ended: []string{"7", "9"}},
		"an empty list":    {lookup: says(200, `[]`), want: answer{confirmed: true}},
		"nobody":           {lookup: says(404, `{"id":7}`), want: answer{confirmed: true}},
		"no such field":    {lookup: says(200, `{"ID":7}`), want: answer{err: badAnswer}},
		"not JSON":         {lookup: says(200, `<html>`), want: answer{err: badAnswer}},
		"an object":        {lookup: says(200, `{"id":{}}`), want: answer{err: badAnswer}},
		"nothing":          {lookup: says(200, `{"id":null}`), want: answer{err: badAnswer}},
		"empty":            {lookup: says(200, `{"id":""}`), want: answer{err: badAnswer}},
		"too long":         {lookup: says(200, big), want: answer{err: badAnswer}},
		"another path":     {lookup: says(200, `{"id":".."}`), want: answer{err: badValue}},
		"a longer path":    {lookup: says(200, `{"id":"7/../8"}`), want: answer{err: badValue}},
		"not allowed":      {lookup: says(403, `{}`), want: answer{err: "http_403"}},
		"elsewhere":        {lookup: leads(elsewhere.URL), want: answer{err: "http_302"}},
		"action elsewhere": {lookup: says(200, `{"id":7}`), action: leads(elsewhere.URL), want: answer{err: "http_302"}, ended: []string{"7"}},
		"one of two fails": {lookup: says(200, `[{"id":7},{"id":9}]`), action: once(500), want: answer{err: "http_500"}, ended: []string{"7", "9"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, "app", "the-secret", func(a *api, m *http.ServeMux) {
				m.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
					if r.URL.RawQuery != "name=ada" {
						t.Errorf("it was asked for %q", r.URL.RawQuery)
					}
					c.lookup(w)
				})
				m.HandleFunc("POST /users/{id}/logout", func(w http.ResponseWriter, r *http.Request) {
					a.end(r.PathValue("id"))
					if c.action != nil {
						c.action(w)
					}
				})
			})
			n := a.configured(t, `[[connectors]]
client = "app"
secret = "the-secret"
headers = ["X-Key: {secret}"]
[[connectors.steps]]
url = "`+a.server.URL+`/users?name={handle}"
find = "/id"
[[connectors.steps]]
url = "`+a.server.URL+`/users/{found}/logout"
`)
			got := testService(&lockedBuffer{}).act(t.Context(), &n, exeunt.Filling{"handle": "ada", "secret": "the-secret"})
			if ended, _ := a.done(); got != c.want || !slices.Equal(ended, c.ended) {
				t.Errorf("%+v, want %+v; ended %q, want %q", got, c.want, ended, c.ended)
			}
		})
	}
}

func says(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(status); fmt.Fprint(w, body) }
}

func leads(to string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.Header().Set("Location", to); w.WriteHeader(http.StatusFound) }
}

func once(status int) func(http.ResponseWriter) {
	var first sync.Once
	return func(w http.ResponseWriter) { first.Do(func() { w.WriteHeader(status) }) }
}

// More than an attempt takes is left to the next.
func TestConnectorsAreBounded(t *testing.T) {
	left := map[string]bool{}
	for i := range maxFound + 10 {
		left[fmt.Sprint(i)] = true
	}
	a := newAPI(t, "app", "", func(a *api, m *http.ServeMux) {
		m.HandleFunc("GET /devices", func(w http.ResponseWriter, _ *http.Request) {
			list := []any{}
			for id := range left {
				list = append(list, map[string]any{"id": id, "of": "ada"})
			}
			answerJSON(w, list)
		})
		m.HandleFunc("DELETE /devices/{id}", func(_ http.ResponseWriter, r *http.Request) { delete(left, r.PathValue("id")) })
	})
	c := exeunt.Connector{Client: "app", Steps: []exeunt.Step{
		{URL: a.server.URL + "/devices", Find: "/id", Where: "/of", Equals: "{handle}"},
		{Method: "DELETE", URL: a.server.URL + "/devices/{found}"},
	}}
	must(t, c.Validate())
	s := testService(&lockedBuffer{})
	if got := s.act(t.Context(), &c, exeunt.Filling{"handle": "ada"}); got != (answer{err: tooMany}) || len(left) != 10 {
		t.Errorf("%+v, %d left", got, len(left))
	}
	if got := s.act(t.Context(), &c, exeunt.Filling{"handle": "ada"}); got != (answer{confirmed: true}) || len(left) != 0 {
		t.Errorf("%+v, %d left", got, len(left))
	}
}

// An app that can only end all of somebody's hears of an end of the account also from sessions that had ended alone, and
// by their names as long as the account is not deleted. What cannot be addressed is given up, and says so.
func TestWhoIsMeant(t *testing.T) { onEachEngine(t, whoIsMeant) }

func whoIsMeant(t *testing.T, database string) {
	grafana, mattermost := newGrafana(t), newMattermost(t)
	s := newConnected(t, database, map[*api]exeunt.Connector{grafana: grafana.preset(t), mattermost: mattermost.preset(t)})
	v := s.person("ada", "", "grafana", "mattermost") // without a confirmed address
	s.SignOut(t, v)
	s.read()
	grafana.failing(func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}
	_, err := s.BeginDeletion(t.Context(), operator, v.Account, "", store.HandleSum{1}, true, 0, nil)
	must(t, err)
	until(t, "the attempts", func() bool {
		now := s.states(v)
		return now["grafana"].Error == "http_502" && now["mattermost"].State == exeunt.DeliveryGaveUp
	})
	if d := s.delivery(v, "mattermost"); d.Error != noEmail {
		t.Errorf("%+v", d)
	}
	must(t, s.Maintain(t.Context()))
	if a, err := s.Store.Account(t.Context(), v.Account); err != nil || a.Handle != "ada" || a.Status == exeunt.AccountDeleted {
		t.Errorf("the account is deleted before the app knows: %+v, %v", a, err)
	}
	grafana.failing(nil)
	until(t, "the app to be told", func() bool { return s.delivery(v, "grafana").State == exeunt.DeliveryConfirmed })
	if got, _ := grafana.done(); !slices.Equal(got, []string{"user 7"}) {
		t.Errorf("ended %q", got)
	}
	if got, calls := mattermost.done(); calls != 0 {
		t.Errorf("Mattermost was called: %q", got)
	}
}

// A connector that acts on every end acts on the whole account.
func TestAConnectorOnEverySession(t *testing.T) { onEachEngine(t, aConnectorOnEverySession) }

func aConnectorOnEverySession(t *testing.T, database string) {
	a := newGrafana(t)
	c := a.preset(t)
	c.OnSession = true
	s := newConnected(t, database, map[*api]exeunt.Connector{a: c})
	v := s.person("ada", "", "grafana")
	other := s.again("ada", "grafana")
	unused := s.again("ada")
	s.SignOut(t, unused)
	s.read()
	if _, calls := a.done(); calls != 0 {
		t.Errorf("%d calls for a session that was not used there", calls)
	}
	s.SignOut(t, other)
	until(t, "the app to be told", func() bool { return s.delivery(other, "grafana").State == exeunt.DeliveryConfirmed })
	s.SignOut(t, v)
	until(t, "the app to be told again", func() bool {
		d := s.delivery(v, "grafana")
		return d.State == exeunt.DeliveryConfirmed && !d.At.Before(s.delivery(other, "grafana").At)
	})
	s.read()
	until(t, "both ends", func() bool { got, _ := a.done(); return slices.Equal(got, []string{"user 7", "user 7"}) })
}

// A secret that was sealed by another master key is not sent, and the failure says so.
func TestAConnectorsSecretOfAnotherKey(t *testing.T) {
	a := newGrafana(t)
	s := newConnected(t, "", map[*api]exeunt.Connector{a: a.preset(t)})
	s.stop()
	s.fan.Open = func(string, []byte) ([]byte, error) { return nil, context.Canceled }
	v := s.person("ada", "", "grafana")
	c, err := s.Store.Client(t.Context(), "grafana")
	must(t, err)
	if got := s.fan.connect(t.Context(), exeunt.Delivery{Account: v.Account, Client: "grafana"}, c.Connector); got != (answer{err: badSecret}) {
		t.Errorf("%+v", got)
	}
	if _, calls := a.done(); calls != 0 {
		t.Errorf("%d calls", calls)
	}
	// One client's is of no use as another one's.
	if _, err := s.master.Open(Purpose("other"), c.Connector.Sealed); err == nil {
		t.Error("it opens as another client's")
	}
}
