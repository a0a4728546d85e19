package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/jackc/pgx/v5"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/factor"
	"github.com/exeunt/exeunt/internal/mailbox"
	"github.com/exeunt/exeunt/internal/testpg"
)

// Whoever reads a copy of the database, or the log, finds nothing with which they could be anybody: no token, code, link,
// challenge, password, secret of a factor, nor what a mail says. (A SHA-256 of 256 random bits, a keyed hash, and what the
// master key has sealed are of no use to them, and are not looked for.) What is looked for is what clients were given
// and have sent, and what the mailbox got.
func TestADumpHoldsNoUsableSecret(t *testing.T) {
	for engine, prepare := range map[string]func(t *testing.T, opt *Options) (dump func() []byte){
		"sqlite": func(t *testing.T, opt *Options) func() []byte {
			return func() []byte { return dumpFile(t, filepath.Join(opt.Data, "exeunt.db")) }
		},
		"postgres": func(t *testing.T, opt *Options) func() []byte {
			database := testpg.New(t).NewDatabase(t)
			opt.Database = config.Secret(database)
			return func() []byte { return dumpServer(t, database) }
		},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			opt := testOptions(privateDir(t))
			dump := prepare(t, &opt)
			s := newStory(t, opt)
			s.tell(t)
			text := dump()
			s.mailIsBack(t)
			secrets := s.secrets(t)
			if found := search(text, secrets); len(found) > 0 {
				t.Errorf("the database holds:\n%s", strings.Join(found, "\n"))
			}
			if found := search([]byte(s.log.String()), secrets); len(found) > 0 {
				t.Errorf("the log holds:\n%s", strings.Join(found, "\n"))
			}
			// The search finds what is there.
			planted := append(text, bytes.ToUpper([]byte("password hunter2 hunter2"))...)
			if search(planted, map[string]string{"HUNTER2 HUNTER2": "a planted secret"}) == nil {
				t.Error("a planted secret is not found")
			}
			if search(text, map[string]string{"ada@example.com": "an address"}) == nil {
				t.Error("the dump does not even hold an address")
			}
		})
	}
}

// A secret is found in each of the ways in which it may be stored.
func TestSpellings(t *testing.T) {
	raw := sha256.Sum256([]byte("32 bytes"))
	token := exeunt.TokenFrom(exeunt.UseSession, raw).Reveal()
	for _, stored := range []string{token, token[4:], token[4:47], string(raw[:]), fmt.Sprintf("\\x%x", raw), fmt.Sprintf("%X", raw),
		fmt.Sprintf("%x", token), base64.StdEncoding.EncodeToString([]byte(token)), base64.StdEncoding.EncodeToString(raw[:])} {
		if search([]byte("before "+stored+" after"), map[string]string{token: "token"}) == nil {
			t.Errorf("%q is not found as %q", token, stored)
		}
	}
	secret := factor.NewSecret()
	for _, stored := range []string{string(secret), fmt.Sprintf("%x", secret), base64.StdEncoding.EncodeToString(secret)} {
		if search([]byte(stored), map[string]string{strings.ReplaceAll(factor.Text(secret), " ", ""): "secret"}) == nil {
			t.Errorf("the secret of an app is not found as %q", stored)
		}
	}
	sum := sha256.Sum256([]byte(token))
	if search(sum[:], map[string]string{token: "token"}) != nil {
		t.Error("a hash is taken for its token")
	}
}

// shortest is the length of the shortest secret that is looked for.
const shortest = 8

// search returns which secrets a text holds, of which kind, without repeating them.
func search(text []byte, secrets map[string]string) (found []string) {
	type spelled struct {
		secret string
		number int
		text   []byte
	}
	begin := map[string][]spelled{}
	for secret := range secrets {
		for i, s := range spellings(secret) {
			begin[string(s[:shortest])] = append(begin[string(s[:shortest])], spelled{secret, i, s})
		}
	}
	seen := map[string]bool{}
	for at := range len(text) - shortest + 1 {
		for _, s := range begin[string(text[at:at+shortest])] {
			if !seen[s.secret] && bytes.HasPrefix(text[at:], s.text) {
				seen[s.secret] = true
				found = append(found, fmt.Sprintf("%s (spelling %d of %.12s…) after %q", secrets[s.secret], s.number, s.secret,
					text[max(0, at-60):at]))
			}
		}
	}
	return found
}

// dumpFile is every byte of a database's files, and every value of its tables, since the file has long ones in pieces.
func dumpFile(t *testing.T, path string) (out []byte) {
	t.Helper()
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		must(t, err)
		out = append(out, b...)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=query_only(1)")
	must(t, err)
	defer db.Close()
	tables, err := db.Query(`SELECT name FROM sqlite_master WHERE type = 'table'`)
	must(t, err)
	var names []string
	for tables.Next() {
		var name string
		must(t, tables.Scan(&name))
		names = append(names, name)
	}
	must(t, tables.Err())
	for _, name := range names {
		rows, err := db.Query(`SELECT * FROM ` + name)
		must(t, err)
		columns, err := rows.Columns()
		must(t, err)
		for rows.Next() {
			values, dest := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			must(t, rows.Scan(dest...))
			for _, v := range values {
				out = append(append(out, v...), '\n')
			}
		}
		must(t, rows.Err())
	}
	return out
}

// dumpServer is every table as COPY writes it.
func dumpServer(t *testing.T, database string) []byte {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database)
	must(t, err)
	defer c.Close(context.Background())
	rows, err := c.Query(t.Context(), `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`)
	must(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	var out bytes.Buffer
	for _, name := range names {
		_, err := c.PgConn().CopyTo(t.Context(), &out, `COPY `+name+` TO STDOUT`)
		must(t, err)
	}
	return out.Bytes()
}

// story is a stage whose traffic, mails and log are kept.
type story struct {
	*Stage
	accounts Accounts
	recorder *recorder
	log      *lines
	away     atomic.Bool  // the mailbox takes no mail
	ended    atomic.Int64 // how often the phone app's API was called with its secret

	mu      sync.Mutex
	refused int
}

// lines is a log that is read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *lines) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// apiSecret is that of the phone app's connector.
const apiSecret = "an administrator's secret of the phone app"

const phoneBack = "http://127.0.0.1/back"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newStory(t *testing.T, opt Options) *story {
	t.Helper()
	s := &story{log: &lines{}, recorder: &recorder{}}
	opt.Log = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	phone := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") == apiSecret {
			s.ended.Add(1)
		}
	}))
	t.Cleanup(phone.Close)
	opt.Open = func(ctx context.Context, c config.Config, o NodeOptions) (*Node, error) {
		c.Clients = append(c.Clients, config.Client{ID: "phone", Name: "Phone", HomeURL: "http://phone.localhost/", Auth: "none",
			RedirectURIs: []string{phoneBack}, DeviceGrant: true})
		c.Connectors = append(c.Connectors, config.Connector{Client: "phone", On: "session", Secret: apiSecret,
			Headers: []string{"X-Key: {secret}"}, Steps: []config.Step{{URL: phone.URL + "/{handle}/end"}}})
		n, err := openNode(ctx, c, o)
		if err == nil {
			serve := n.Serve
			n.Serve = func(ctx context.Context, l net.Listener) error {
				s.recorder.Listener = l
				return serve(ctx, s.recorder)
			}
		}
		return n, err
	}
	s.Stage, s.accounts, _ = performWith(t, opt)
	s.mailbox.box.Received = func(mailbox.Message) error {
		if s.away.Load() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.refused++
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Busy"}
		}
		return nil
	}
	return s
}

// tell has people do everything that hands out a secret. Of each, something is left unused, and a mail waits.
func (s *story) tell(t *testing.T) {
	t.Helper()
	var said bytes.Buffer
	held, err := s.Tour(t.Context(), s.accounts, &said)
	if err != nil || !held {
		t.Fatalf("%v\n%s", err, &said)
	}
	ada := newBrowser(laptopAgent)
	mustSignIn(t, ada, s.Stage, s.accounts.Accounts[0])
	codes := s.addApp(t, ada)
	s.secondStep(t, codes[1], codes[2])
	s.phone(t, ada)
	s.device(t, ada)
	s.links(t)
	s.mailed(t, ada)
	s.away.Store(true)
	s.sent(t, ada, "/security", "/security/password", url.Values{"current": {s.accounts.Accounts[0].Password},
		"password": {"nine lanterns in the rain"}})
	s.until(t, "the phone app's API is called", func() bool { return s.ended.Load() > 0 })
	s.until(t, "a mail is tried", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.refused > 0 })
}

// mailed has links sent by mail, which nobody opens: for a new password, and to confirm an address.
func (s *story) mailed(t *testing.T, ada *browser) {
	t.Helper()
	who := s.accounts.Accounts[0]
	s.sent(t, newBrowser(laptopAgent), "/forgot", "/forgot", url.Values{"identifier": {who.Handle}})
	s.sent(t, ada, "/settings", "/settings/profile", url.Values{"name": {"Ada"}, "email": {"ada.new@example.com"},
		"current": {who.Password}})
	for _, path := range linkPaths[:3] {
		s.until(t, "a mail has a link to "+path, func() bool {
			return slices.ContainsFunc(s.mailbox.box.Messages(), func(m mailbox.Message) bool {
				return slices.ContainsFunc(m.Links, func(l string) bool { return strings.HasPrefix(l, s.ExeuntURL+path) })
			})
		})
	}
}

// linkPaths are where one-time links lead. The first come by mail in this story.
var linkPaths = []string{"/reset/", "/confirm/", "/not-me/", "/undo/", "/setup/"}

// mailIsBack lets the mail arrive that waits.
func (s *story) mailIsBack(t *testing.T) {
	t.Helper()
	before := len(s.mailbox.box.Messages())
	s.away.Store(false)
	s.until(t, "the mail arrives", func() bool { return len(s.mailbox.box.Messages()) > before })
}

func (s *story) until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// secrets are all that were handed out, with their kinds.
func (s *story) secrets(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	exchanges := s.recorder.exchanges()
	for _, k := range secretKinds {
		n := len(out)
		for _, x := range exchanges {
			for _, secret := range k.find(x) {
				if len(secret) >= shortest && out[secret] == "" {
					out[secret] = k.kind
				}
			}
		}
		if n = len(out) - n; n < k.least {
			t.Errorf("%s: the run has handed out %d, want %d at least", k.kind, n, k.least)
		}
	}
	out[apiSecret] = "secret of a connector"
	mails := s.mailbox.box.Messages()
	if len(mails) < 2 {
		t.Errorf("the run has sent %d mails", len(mails))
	}
	for _, m := range mails {
		for _, line := range append(strings.Split(m.Text+"\n"+m.HTML, "\n"), m.Links...) {
			if line = strings.TrimSpace(line); len(line) >= 24 && line != s.ExeuntURL {
				out[line] = "line of a mail"
			}
		}
	}
	for _, path := range linkPaths {
		out[s.ExeuntURL+path] = "a link"
	}
	return out
}

// sent fills in a page's form, and follows it.
func (s *story) sent(t *testing.T, b *browser, page, action string, fill url.Values) *page {
	t.Helper()
	form, err := b.form(t.Context(), s.ExeuntURL+page, action)
	must(t, err)
	for name, values := range fill {
		form[name] = values
	}
	p, err := b.post(t.Context(), s.ExeuntURL+action, form)
	if err != nil || p.status >= 400 {
		t.Fatalf("%s: %v", action, unexpected(action, p, err))
	}
	return p
}

func (s *story) addApp(t *testing.T, b *browser) (codes []string) {
	t.Helper()
	p, err := b.get(t.Context(), s.ExeuntURL+"/security/app")
	must(t, err)
	form, err := p.form("/security/app")
	must(t, err)
	form.Set("app_code", factor.Code(factor.Secret(shownSecret.FindStringSubmatch(p.body)[1]), factor.Step(time.Now())))
	if p, err = b.post(t.Context(), s.ExeuntURL+"/security/app", form); err != nil || p.url.Path != "/security/codes" {
		t.Fatal(unexpected("add an app", p, err))
	}
	file := s.sent(t, b, "/security/codes", "/security/codes/text", nil)
	return recoveryCodes.FindAllString(file.body, -1)
}

// secondStep signs in with a second step, in a browser and in an app, and leaves a challenge of each open.
func (s *story) secondStep(t *testing.T, codes ...string) {
	t.Helper()
	ada := s.accounts.Accounts[0]
	for _, code := range []string{codes[0], ""} {
		b := newBrowser(libraryAgent)
		p := s.sent(t, b, "/signin", "/signin", url.Values{"identifier": {ada.Handle}, "password": {ada.Password}, "kind": {"kept"}})
		if code == "" {
			break
		}
		form, err := p.form("/signin/code")
		must(t, err)
		form.Set("code", code)
		if p, err = b.post(t.Context(), s.ExeuntURL+"/signin/code", form); err != nil || p.url.Path != "/recovered" {
			t.Fatal(unexpected("a recovery code", p, err))
		}
	}
	api, err := client.New(s.ExeuntURL, client.Options{})
	must(t, err)
	for _, code := range []string{codes[1], ""} {
		_, _, err := api.SignIn(t.Context(), client.SignIn{Identifier: ada.Handle, Password: client.Sent(ada.Password), Label: "Phone"})
		var more *client.Problem
		if !errors.As(err, &more) || more.Challenge == nil {
			t.Fatalf("no challenge: %v", err)
		}
		if code != "" {
			_, _, err = api.Answer(t.Context(), client.Answer{Challenge: more.Challenge.Token, Code: client.Sent(code), Label: "Phone"})
			must(t, err)
		}
	}
}

// phone signs in to a public client that refreshes its token, and leaves a code unspent.
func (s *story) phone(t *testing.T, b *browser) {
	t.Helper()
	verifier := strings.Repeat("verify", 8)
	sum := sha256.Sum256([]byte(verifier))
	ask := s.ExeuntURL + "/authorize?" + url.Values{"client_id": {"phone"}, "redirect_uri": {phoneBack}, "response_type": {"code"},
		"scope": {"openid offline_access"}, "state": {"a-state"}, "nonce": {"a-nonce"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}}.Encode()
	var code string
	for range 2 {
		p, err := b.once(t.Context(), http.MethodGet, ask, nil)
		must(t, err)
		if p.status == http.StatusOK || p.status == http.StatusNonAuthoritativeInfo {
			form, err := p.form("/authorize/decide")
			must(t, err)
			form.Set("decision", "continue")
			p, err = b.once(t.Context(), http.MethodPost, s.ExeuntURL+"/authorize/decide", form)
			must(t, err)
		}
		back, err := url.Parse(p.header.Get("Location"))
		if code = back.Query().Get("code"); err != nil || code == "" {
			t.Fatalf("no code: %d %q", p.status, back)
		}
		if refresh := s.tokens(t, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {phoneBack},
			"code_verifier": {verifier}})["refresh_token"]; refresh != "" {
			s.tokens(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
		}
	}
	if _, err := b.once(t.Context(), http.MethodGet, ask, nil); err != nil {
		t.Fatal(err)
	}
}

// device signs a device in, and leaves one waiting.
func (s *story) device(t *testing.T, b *browser) {
	t.Helper()
	started := s.posted(t, "/oauth/device", url.Values{"scope": {"openid offline_access"}})
	p := s.sent(t, b, "/device", "/device", url.Values{"user_code": {started["user_code"]}})
	form, err := p.form("/device/decide")
	must(t, err)
	form.Set("decision", "continue")
	if p, err = b.post(t.Context(), s.ExeuntURL+"/device/decide", form); err != nil || p.status >= 400 {
		t.Fatal(unexpected("allow a device", p, err))
	}
	s.tokens(t, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {started["device_code"]}})
	s.posted(t, "/oauth/device", url.Values{"scope": {"openid"}})
}

func (s *story) tokens(t *testing.T, form url.Values) map[string]string {
	t.Helper()
	got := s.posted(t, "/oauth/token", form)
	if got["access_token"] == "" {
		t.Fatalf("no token: %v", got)
	}
	return got
}

// posted is an answer to the public client, of which the texts are returned.
func (s *story) posted(t *testing.T, path string, form url.Values) map[string]string {
	t.Helper()
	form.Set("client_id", "phone")
	c := http.Client{Transport: client.NewTransport()}
	r, err := c.PostForm(s.ExeuntURL+path, form)
	must(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	must(t, err)
	var all map[string]any
	must(t, json.Unmarshal(b, &all))
	out := map[string]string{}
	for name, v := range all {
		out[name] = fmt.Sprint(v)
	}
	return out
}

// links uses a link for a new account and one for a new password; of each, one more was opened and not used.
func (s *story) links(t *testing.T) {
	t.Helper()
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "test"}
	for i := range 2 {
		token, _, err := s.Node.Accounts.Invite(t.Context(), account.Invitation{Handle: fmt.Sprint("mary", i), Expires: time.Now().Add(time.Hour)})
		must(t, err)
		s.follow(t, "/setup/"+token.Reveal(), i == 0, url.Values{"name": {"Mary"},
			"password": {"seven harbours under a moon"}, "kind": {"kept"}})
		grace, err := s.Node.Authority.AccountByHandle(t.Context(), "grace")
		must(t, err)
		token, err = s.Node.Accounts.OfferReset(t.Context(), operator, grace)
		must(t, err)
		s.follow(t, "/reset/"+token.Reveal(), i == 0, url.Values{"password": {"ten lanterns in the snow"}})
	}
}

func (s *story) follow(t *testing.T, link string, use bool, form url.Values) {
	t.Helper()
	b := newBrowser(libraryAgent)
	p, err := b.get(t.Context(), s.ExeuntURL+link)
	if err == nil && p.status == http.StatusOK && use {
		p, err = b.post(t.Context(), s.ExeuntURL+link, form)
	}
	if err != nil || p.status >= 400 {
		t.Fatal(unexpected("a link", p, err))
	}
}
