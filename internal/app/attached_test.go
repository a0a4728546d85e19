package app

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/verify"
	"github.com/exeunt/exeunt/client/webapp"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/operate"
)

// atOnce is within what an app that is "closed at once" must refuse, and close what it keeps open.
const atOnce = 2 * time.Second

// way is a way in which an app is attached to us.
type way struct {
	client exeunt.ClientID
	tier   exeunt.Tier // what people are told of it
	// strict: the first request after the answer is refused. Otherwise every one that is sent atOnce after it.
	strict bool
	asks   func(w *attachedNode, a *attachment) string           // how it answers a request now: "in", "out" or "unknown"
	opens  func(w *attachedNode, a *attachment) <-chan time.Time // what it keeps open; the channel gets when it was closed
	learns func(w *attachedNode, a *attachment) <-chan struct{}  // closed when it is told
	scopes exeunt.Scopes
}

// attachment is one person's sign-in to one app.
type attachment struct {
	way    *way
	who    *signedIn
	code   exeunt.Token
	tokens oauth.Tokens
}

// ways are all ways of being attached.
var ways = []way{
	{client: "sdk", tier: exeunt.TierChecked, strict: true, asks: askPage, opens: openPage},
	{client: "verified", tier: exeunt.TierChecked, asks: askVerifier, opens: openVerifier},
	{client: "told", tier: exeunt.TierTold, learns: listen},
	{client: "connected", tier: exeunt.TierTold, learns: listen},
	{client: "refreshing", tier: exeunt.TierExpires, strict: true, asks: askRefresh, scopes: "openid offline_access"},
	{client: "gated", tier: exeunt.TierChecked, strict: true, asks: askGate},
	{client: "files", tier: exeunt.TierProxied, strict: true, asks: askForward},
	{client: "wiki", tier: exeunt.TierRelayed, strict: true, asks: askRelay, opens: openRelay},
}

const attachedVerifier = "a-verifier-that-is-long-enough-for-rfc-7636-0123"

// attachedNode is a whole node with an app of each way.
type attachedNode struct {
	*edge
	t        *testing.T
	operate  *operate.Service
	http     *http.Client // reaches the node and the apps by any name
	secrets  map[exeunt.ClientID]string
	chirp    *httptest.Server
	chirpURL string
	verifier *verify.Verifier
	hook     *hookTold // a webhook that wants to know everything

	mu   sync.Mutex
	told map[string]chan struct{} // by app and account; closed when the app was told of it
}

var anOperator = exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}

func newAttachedNode(t *testing.T) *attachedNode {
	w := &attachedNode{t: t, secrets: map[exeunt.ClientID]string{}, told: map[string]chan struct{}{}}
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/live" {
			return
		}
		rw.WriteHeader(http.StatusOK)
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(upstream.Close)
	receiver := httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(receiver.Close)
	w.hook = newHookTold(t, false)
	w.edge = newEdge(t, func(c *config.Config) {
		c.MaxSessions = 10
		c.Webhooks = w.hook.config()
		c.Connectors = []config.Connector{{Client: "connected", On: "session",
			Steps: []config.Step{{Method: http.MethodPost, URL: receiver.URL + "/revoke/{account}"}}}}
		c.Policy.Kept = config.Limits{Idle: 24 * time.Hour, Absolute: 36 * time.Hour}
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(c.URL, "http://"))
		c.Sites = []config.Site{
			{Host: "wiki.localhost:" + port, ID: "wiki", Upstream: upstream.URL, Groups: []string{"staff"}},
			{Host: "files.localhost:" + port, ID: "files", Groups: []string{"staff"}}}
	})
	transport := client.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	w.http = &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w.operate = &operate.Service{Authority: w.Authority, Store: w.Store, Notify: w.Notify, ClientsChanged: w.OAuth.Reload}

	var page http.Handler
	w.chirp = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { page.ServeHTTP(rw, r) }))
	t.Cleanup(w.chirp.Close)
	_, port, _ := net.SplitHostPort(w.chirp.Listener.Addr().String())
	w.chirpURL = "http://sdk.localhost:" + port
	for _, c := range []exeunt.Client{{ID: "sdk", Checked: true}, {ID: "verified", Checked: true},
		{ID: "told", BackchannelURI: receiver.URL, Algorithm: "ES256"}, {ID: "connected"}, {ID: "refreshing"}, {ID: "gated", Checked: true}} {
		c.Name, c.FirstParty, c.Groups = string(c.ID), true, []string{"staff"}
		c.RedirectURIs = []string{"http://" + string(c.ID) + ".localhost/exeunt/callback"}
		_, secret, err := w.operate.AddClient(t.Context(), anOperator, c)
		must(t, err)
		w.secrets[c.ID] = secret.Reveal()
	}
	calls, err := client.New(w.Config.URL, client.Options{Transport: transport})
	must(t, err)
	app, err := webapp.New(webapp.Config{Client: calls, ID: "sdk", Key: client.NewSecret(w.secrets["sdk"]), URL: w.chirpURL, Log: w.log})
	must(t, err)
	t.Cleanup(app.Close)
	page = app.Middleware(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/live" {
			return
		}
		ctx, stop := app.UntilEnd(r)
		defer stop()
		rw.WriteHeader(http.StatusOK)
		rw.(http.Flusher).Flush()
		<-ctx.Done()
	}))
	w.verifier, err = verify.New(verify.Options{Client: calls, Key: client.NewSecret(w.secrets["verified"]), Log: w.log})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.verifier.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return w
}

// receive takes logout tokens, and what a connector says.
func (w *attachedNode) receive(rw http.ResponseWriter, r *http.Request) {
	if account, ok := strings.CutPrefix(r.URL.Path, "/revoke/"); ok {
		w.tell("connected", account)
		return
	}
	var claims struct {
		Account string `json:"sub"`
	}
	parts := strings.Split(r.PostFormValue("logout_token"), ".")
	text, _ := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err := json.Unmarshal(text, &claims); err != nil {
		w.t.Error(err)
	}
	w.tell("told", claims.Account)
}

func (w *attachedNode) tell(app exeunt.ClientID, account string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := string(app) + " " + account
	if of := w.told[key]; of != nil {
		close(of)
		delete(w.told, key)
	}
}

// signedIn is somebody with a browser that is signed in.
type signedIn struct {
	handle  string
	proof   exeunt.Proof
	token   exeunt.Token
	session exeunt.Session
}

func (w *attachedNode) somebody(handle string) *signedIn {
	w.t.Helper()
	_, err := w.Accounts.AddAccount(w.t.Context(), anOperator, account.NewAccount{Handle: handle, Password: adasPassword,
		Email: handle + "@example.com"}, true)
	must(w.t, err)
	_, err = w.Accounts.ChangeGroup(w.t.Context(), anOperator, "staff", []string{handle}, false)
	must(w.t, err)
	s := &signedIn{handle: handle}
	w.again(s)
	return s
}

// again signs them in in another browser, which is theirs from then on.
func (w *attachedNode) again(s *signedIn) {
	w.t.Helper()
	s.proof = w.proofOf(s)
	var err error
	s.token, s.session, err = w.Authority.Start(w.t.Context(), authority.SignIn{Proof: s.proof, Kind: exeunt.KindKept})
	must(w.t, err)
}

// elsewhere is another browser of theirs.
func (w *attachedNode) elsewhere(s *signedIn) *signedIn {
	w.t.Helper()
	other := &signedIn{handle: s.handle}
	w.again(other)
	return other
}

func (s *signedIn) actor() exeunt.Actor {
	return exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.session.Account, Session: s.session.ID}
}

func (w *attachedNode) attach(s *signedIn, of *way) *attachment {
	w.t.Helper()
	a := &attachment{way: of, who: s}
	c, err := w.OAuth.Client(of.client)
	must(w.t, err)
	scopes := of.scopes
	if scopes == "" {
		scopes = "openid"
	}
	a.code, err = w.OAuth.GrantCode(w.t.Context(), s.session.Account, s.session.ID, oauth.CodeRequest{Client: c.ID, Scopes: scopes,
		RedirectURI: c.RedirectURIs[0], Challenge: oauth.Challenge(attachedVerifier)})
	must(w.t, err)
	a.tokens, err = w.exchange(a)
	must(w.t, err)
	return a
}

func (w *attachedNode) exchange(a *attachment) (oauth.Tokens, error) {
	c, err := w.OAuth.Client(a.way.client)
	if err != nil {
		return oauth.Tokens{}, err
	}
	return w.OAuth.ExchangeCode(w.t.Context(), oauth.CodeExchange{Code: a.code, Client: c, RedirectURI: c.RedirectURIs[0],
		Verifier: attachedVerifier})
}

// send sends a request to the node by one of its names, and returns the answer without its body.
func (w *attachedNode) sends(method, to string, form url.Values, header ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, to, strings.NewReader(form.Encode()))
	must(w.t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := w.http.Do(r)
	must(w.t, err)
	body, err := io.ReadAll(resp.Body)
	must(w.t, err)
	must(w.t, resp.Body.Close())
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp
}

func inOrOut(status int) string {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo:
		return "in"
	case http.StatusUnauthorized:
		return "out"
	}
	return "unknown: " + strconv.Itoa(status)
}

func askPage(w *attachedNode, a *attachment) string {
	return inOrOut(w.sends(http.MethodGet, w.chirpURL+"/", nil, "Cookie", "__Host-sdk="+a.tokens.Access.Reveal()).StatusCode)
}

func openPage(w *attachedNode, a *attachment) <-chan time.Time {
	return w.open(w.chirp, strings.TrimPrefix(w.chirpURL, "http://"), "__Host-sdk="+a.tokens.Access.Reveal())
}

// open opens what stays open at an app.
func (w *attachedNode) open(at *httptest.Server, host, cookie string) <-chan time.Time {
	w.t.Helper()
	conn, err := net.Dial("tcp", at.Listener.Addr().String())
	must(w.t, err)
	w.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /live HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n", host, cookie)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode > 299 {
		w.t.Fatalf("%s: %v, %v", host, resp, err)
	}
	closed := make(chan time.Time, 1)
	go func() {
		_, _ = io.Copy(io.Discard, resp.Body) // in order, or cut off
		closed <- time.Now()
	}()
	return closed
}

func askVerifier(w *attachedNode, a *attachment) string {
	_, err := w.verifier.Check(w.t.Context(), client.NewSecret(a.tokens.Access.Reveal()), false)
	switch {
	case err == nil:
		return "in"
	case errors.Is(err, client.ErrSignedOut):
		return "out"
	}
	return "unknown: " + err.Error()
}

func openVerifier(w *attachedNode, a *attachment) <-chan time.Time {
	ctx, stop := w.verifier.UntilEnd(w.t.Context(), client.NewSecret(a.tokens.Access.Reveal()))
	closed := make(chan time.Time, 1)
	go func() {
		defer stop()
		<-ctx.Done()
		closed <- time.Now()
	}()
	return closed
}

// listen makes a channel that is closed when the app is told of an end of the account's.
func listen(w *attachedNode, a *attachment) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	of := make(chan struct{})
	w.told[string(a.way.client)+" "+a.who.session.Account.String()] = of
	return of
}

// askRefresh asks for the next tokens. What it gets replaces what it has.
func askRefresh(w *attachedNode, a *attachment) string {
	resp := w.sends(http.MethodPost, w.Config.URL+"/oauth/token", url.Values{"grant_type": {"refresh_token"},
		"refresh_token": {a.tokens.Refresh.Reveal()}}, "Authorization",
		"Basic "+base64.StdEncoding.EncodeToString([]byte("refreshing:"+w.secrets["refreshing"])))
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Error   string `json:"error"`
	}
	must(w.t, json.NewDecoder(resp.Body).Decode(&got))
	switch {
	case got.Refresh != "":
		var err error
		a.tokens.Access, err = exeunt.ParseToken(got.Access)
		must(w.t, err)
		a.tokens.Refresh = oauth.Secret(got.Refresh)
		return "in"
	case got.Error == "invalid_grant":
		return "out"
	}
	return "unknown: " + got.Error
}

func askGate(w *attachedNode, a *attachment) string {
	return inOrOut(w.sends(http.MethodGet, w.Config.URL+"/gate/gated", nil, "Authorization", "Bearer "+a.tokens.Access.Reveal()).StatusCode)
}

func askForward(w *attachedNode, a *attachment) string {
	return inOrOut(w.sends(http.MethodGet, w.Config.URL+"/forward-auth/caddy", nil, "Cookie", "__Host-exeunt-site="+a.tokens.Access.Reveal(),
		"X-Forwarded-Proto", "http", "X-Forwarded-Host", w.Config.Sites[1].Host, "X-Forwarded-Method", "GET",
		"X-Forwarded-Uri", "/").StatusCode)
}

func askRelay(w *attachedNode, a *attachment) string {
	return inOrOut(w.sends(http.MethodGet, "http://"+w.Config.Sites[0].Host+"/", nil, "Cookie",
		"__Host-exeunt-site="+a.tokens.Access.Reveal()).StatusCode)
}

func openRelay(w *attachedNode, a *attachment) <-chan time.Time {
	return w.open(w.server, w.Config.Sites[0].Host, "__Host-exeunt-site="+a.tokens.Access.Reveal())
}

// mustBeOut fails unless the app has kept its tier's promise. answered is when whoever ended it had their answer.
func (a *attachment) mustBeOut(t *testing.T, w *attachedNode, answered time.Time, closed <-chan time.Time, told <-chan struct{},
	c *cause) {
	t.Helper()
	if a.way.asks != nil {
		for {
			asked := time.Now()
			got := a.way.asks(w, a)
			if got == "out" || c.unsure && got != "in" {
				break
			}
			if a.way.strict && !c.soon || asked.Sub(answered) > atOnce {
				t.Errorf("%s answers %q to a request that was sent %v after the end", a.way.client, got, asked.Sub(answered))
				break
			}
		}
	}
	if closed != nil {
		limit := atOnce
		if c.unsure {
			limit += time.Second // for MaxStaleness it counts what it was told before
		}
		select {
		case at := <-closed:
			if took := at.Sub(answered); took > limit {
				t.Errorf("%s closed what was open after %v", a.way.client, took)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s has left something open", a.way.client)
		}
	}
	if told != nil {
		select {
		case <-told:
		case <-time.After(2 * time.Minute):
			t.Errorf("%s was not told", a.way.client)
		}
	}
}

// Whatever ends a session or a sign-in to an app: each app that is attached in some way refuses what it had, or is told,
// within what people read about it.
func TestEveryCauseReachesEveryAttachedApp(t *testing.T) {
	w := newAttachedNode(t)
	for i := range ways {
		of := &ways[i]
		c, err := w.OAuth.Client(of.client)
		must(t, err)
		expires := time.Time{}
		if of.scopes.Has(exeunt.ScopeOffline) {
			expires = w.now().Add(c.LifeOfTokens())
		}
		if got := c.Reach(exeunt.AppSession{TokenExpires: expires}, w.now()).Tier; got != of.tier {
			t.Fatalf("people read %q of %s, which the table says is %q", got, of.client, of.tier)
		}
	}
	covered := map[exeunt.Reason]bool{}
	for i, c := range causes {
		covered[c.reason] = true
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			s := w.somebody(fmt.Sprintf("person-%02d", i))
			if c.prepare != nil {
				c.prepare(t, w, s)
			}
			var list []*attachment
			closed, told := map[*attachment]<-chan time.Time{}, map[*attachment]<-chan struct{}{}
			for i := range ways {
				if slices.Contains(c.not, ways[i].client) {
					continue
				}
				a := w.attach(s, &ways[i])
				list = append(list, a)
				if a.way.asks != nil {
					if got := a.way.asks(w, a); got != "in" {
						t.Fatalf("%s is %q to begin with", a.way.client, got)
					}
				}
				if a.way.opens != nil {
					closed[a] = a.way.opens(w, a)
				}
				if a.way.learns != nil {
					told[a] = a.way.learns(w, a)
				}
			}
			c.end(t, w, s, list)
			answered := time.Now()
			for _, a := range list {
				a.mustBeOut(t, w, answered, closed[a], told[a], &c)
				_, why, known, err := w.Authority.WhyEnded(t.Context(), a.tokens.Access)
				if err != nil || !known || why != c.reason {
					t.Errorf("%s: the end is recorded as %q (%v), not %q", a.way.client, why, err, c.reason)
				}
			}
		})
	}
	// And a webhook was told of each of these ends, once, and of nothing else.
	w.t = t
	head := toldAll(t, w.Store, func() { w.passed.Add(time.Second.Milliseconds()) })
	if ends, secures := w.hook.mustKnowEnds(t, w.Store, head); ends < 20 || secures < 3 {
		t.Errorf("that shows nothing: %d ends, %d accounts secured", ends, secures)
	}
	for _, reason := range allReasons(t) {
		if !covered[reason] && elsewhere[reason] == "" {
			t.Errorf("no cause in the table has the reason %q: add one, or say why it ends nothing", reason)
		}
	}
}

// allReasons are the reasons that the root package declares.
func allReasons(t *testing.T) (list []exeunt.Reason) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../revocation.go", nil, 0)
	must(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if of, ok := v.Type.(*ast.Ident); ok && of.Name == "Reason" {
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			must(t, err)
			list = append(list, exeunt.Reason(text))
		}
		return true
	})
	if len(list) < 20 {
		t.Fatalf("only %d reasons were found", len(list))
	}
	return list
}
