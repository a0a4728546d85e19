package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
)

// Wherever a credential is accepted, one that is checked without pause while it
// is signed out is never valid once the sign-out has been answered; where Chirp
// reads by what it remembers, once it has heard of it. (Programs
// that read a session on each check and write it back bring it to life again.)
func TestSignOutUnderTraffic(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 20
	}
	s, _, _ := perform(t, privateDir(t))
	tr := &traffic{s: s, shared: &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DialContext: client.NewTransport().DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	defer tr.shared.CloseIdleConnections()
	var err error
	if tr.api, err = client.New(s.ExeuntURL, client.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, e := range []struct {
		where string
		open  func(t *testing.T, round int) attempt
	}{
		{"a page with the pair of cookies", tr.page},
		{"the state asked by an open page", tr.state},
		{"the gate with a bearer token", tr.gateBearer},
		{"the gate with an app's cookie", tr.gateCookie},
		{"the API", tr.apiSession},
		{"Chirp's private messages", tr.chirpPage},
		{"a post in Chirp", tr.chirpPost},
	} {
		t.Run(e.where, func(t *testing.T) {
			var checks int64
			for round := range rounds {
				if round%10 == 0 { // one account may end many only so often
					tr.account = newcomer(t, s)
				}
				checks += e.open(t, round).attack(t)
				if t.Failed() {
					t.Fatalf("in round %d", round+1)
				}
			}
			t.Logf("%d sign-outs, %d checks by %d workers", rounds, checks, trafficWorkers)
		})
	}
}

type traffic struct {
	s       *Stage
	account Account
	shared  *http.Client
	api     *client.Client
}

// attempt is one credential: how to try it, and how to sign it out.
type attempt struct {
	try func(context.Context) (valid bool, err error)
	end func(context.Context) error
}

// after is how often each worker tries once the sign-out has been answered.
const after = 1

func (a attempt) attack(t *testing.T) int64 {
	t.Helper()
	ctx := t.Context()
	var checks, undone atomic.Int64
	var over atomic.Bool
	var wg sync.WaitGroup
	busy := make(chan error, trafficWorkers)
	for range trafficWorkers {
		wg.Go(func() {
			late := 0
			for first := true; late < after; first = false {
				answered := over.Load() // read before the check begins
				valid, err := a.try(ctx)
				checks.Add(1)
				if err == nil && first && !valid && !answered {
					err = errors.New("the credential was not valid to begin with")
				}
				if first {
					busy <- err
				}
				if err != nil {
					if !first {
						t.Error(err)
					}
					return
				}
				if answered {
					late++
					if valid {
						undone.Add(1)
					}
				}
			}
		})
	}
	for range trafficWorkers {
		if err := <-busy; err != nil {
			t.Error(err)
		}
	}
	err := a.end(ctx)
	over.Store(true)
	wg.Wait()
	if err != nil {
		t.Error(err)
	}
	if n := undone.Load(); n > 0 {
		t.Errorf("valid %d times after the sign-out had been answered", n)
	}
	return checks.Load()
}

// request sends one request that a thief's copy of the cookies would make:
// nothing the server answers changes it.
func (tr *traffic) request(ctx context.Context, method, address string, header http.Header, form url.Values) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, "", err
	}
	req.Header = header.Clone()
	resp, err := tr.shared.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// tries returns a try that takes `good` for valid and any of `bad` for not;
// anything else is neither and fails the test.
func (tr *traffic) tries(method, address string, header http.Header, form url.Values, good int, bad ...int) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		status, body, err := tr.request(ctx, method, address, header, form)
		if err != nil {
			return false, err
		}
		if status == good {
			return true, nil
		}
		for _, b := range bad {
			if status == b {
				return false, nil
			}
		}
		return false, fmt.Errorf("%s %s answered %d: %.200s", method, address, status, body)
	}
}

// header is what a browser sends with a request of a page.
func (b *browser) header(host, origin string) http.Header {
	h := http.Header{"User-Agent": {b.agent}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"same-origin"}}
	if origin != "" {
		h.Set("Origin", origin)
		h.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	var pairs []string
	for name, value := range b.cookies[host] {
		pairs = append(pairs, name+"="+value)
	}
	h.Set("Cookie", strings.Join(pairs, "; "))
	return h
}

func (tr *traffic) browser(t *testing.T) *browser {
	t.Helper()
	b := newBrowser(laptopAgent)
	b.http = *tr.shared
	mustSignIn(t, b, tr.s, tr.account)
	return b
}

// inBrowser signs a browser out in one of the ways there are, in turn.
func (tr *traffic) inBrowser(t *testing.T, b *browser, round int) func(context.Context) error {
	t.Helper()
	form, err := b.form(t.Context(), tr.s.ExeuntURL+"/signout"+[]string{"", "?scope=account"}[round%2], "/signout")
	if err != nil {
		t.Fatal(err)
	}
	if round%3 == 2 { // from elsewhere
		token, _, err := tr.api.SignIn(t.Context(), client.SignIn{Identifier: tr.account.Handle, Password: client.Sent(tr.account.Password), Label: "Elsewhere"})
		if err != nil {
			t.Fatal(err)
		}
		return func(ctx context.Context) error {
			return errors.Join(tr.api.EndSession(ctx, token, form.Get("session"), ""), tr.api.End(ctx, token))
		}
	}
	copied := b.copyCookies()
	copied.http = *tr.shared
	return func(ctx context.Context) error {
		p, err := copied.once(ctx, http.MethodPost, tr.s.ExeuntURL+"/signout", form)
		if err == nil && p.status != http.StatusSeeOther {
			err = unexpected("sign out", p, nil)
		}
		return err
	}
}

const exeuntHost, chirpHost = "exeunt.localhost", "chirp.localhost"

func (tr *traffic) page(t *testing.T, round int) attempt {
	b := tr.browser(t)
	path := []string{"/sessions", "/settings", "/menu", "/signout"}[round%4]
	return attempt{
		try: tr.tries(http.MethodGet, tr.s.ExeuntURL+path, b.header(exeuntHost, ""), nil, http.StatusOK, http.StatusSeeOther, http.StatusUnauthorized),
		end: tr.inBrowser(t, b, round),
	}
}

func (tr *traffic) state(t *testing.T, round int) attempt {
	b := tr.browser(t)
	return attempt{
		try: tr.tries(http.MethodGet, tr.s.ExeuntURL+"/session/state", b.header(exeuntHost, ""), nil, http.StatusOK, http.StatusUnauthorized),
		end: tr.inBrowser(t, b, round),
	}
}

// phone signs an app in.
func (tr *traffic) phone(t *testing.T) (client.Secret, http.Header) {
	t.Helper()
	token, _, err := tr.api.SignIn(t.Context(), client.SignIn{Identifier: tr.account.Handle, Password: client.Sent(tr.account.Password), Label: "Pixel 8"})
	if err != nil {
		t.Fatal(err)
	}
	return token, http.Header{"Authorization": {"Bearer " + token.Reveal()}}
}

func (tr *traffic) onPhone(token client.Secret, round int) func(context.Context) error {
	return func(ctx context.Context) error {
		if round%2 == 1 {
			_, _, err := tr.api.EndSessions(ctx, token, client.Everywhere, "")
			return err
		}
		return tr.api.End(ctx, token)
	}
}

func (tr *traffic) gateBearer(t *testing.T, round int) attempt {
	token, header := tr.phone(t)
	return attempt{
		try: tr.tries(http.MethodGet, tr.s.ExeuntURL+"/gate", header, nil, http.StatusOK, http.StatusUnauthorized),
		end: tr.onPhone(token, round),
	}
}

func (tr *traffic) apiSession(t *testing.T, round int) attempt {
	token, header := tr.phone(t)
	return attempt{
		try: tr.tries(http.MethodGet, tr.s.ExeuntURL+"/api/v1/session", header, nil, http.StatusOK, http.StatusUnauthorized),
		end: tr.onPhone(token, round),
	}
}

// inChirp is a browser that is signed in to Chirp too, and what Chirp's form
// for a post carries.
func (tr *traffic) inChirp(t *testing.T) (*browser, url.Values) {
	t.Helper()
	b := tr.browser(t)
	if err := b.enterChirp(t.Context(), tr.s.ChirpURL); err != nil {
		t.Fatal(err)
	}
	form, err := b.form(t.Context(), tr.s.ChirpURL+"/", "/posts")
	if err != nil {
		t.Fatal(err)
	}
	return b, form
}

// chirpEnd ends Chirp's session with its parent, or every third time alone.
func (tr *traffic) chirpEnd(t *testing.T, b *browser, form url.Values, round int) func(context.Context) error {
	t.Helper()
	if round%3 != 1 {
		return tr.inBrowser(t, b, round)
	}
	header, only := b.header(chirpHost, tr.s.ChirpURL), url.Values{"session": {form.Get("session")}}
	return func(ctx context.Context) error {
		status, body, err := tr.request(ctx, http.MethodPost, tr.s.ChirpURL+"/exeunt/sign-out-app", header, only)
		if err == nil && status != http.StatusSeeOther {
			err = fmt.Errorf("sign out of Chirp only: %d %.200s", status, body)
		}
		return err
	}
}

func (tr *traffic) gateCookie(t *testing.T, round int) attempt {
	b, form := tr.inChirp(t)
	header := http.Header{"Cookie": b.header(chirpHost, "")["Cookie"]}
	return attempt{
		try: tr.tries(http.MethodGet, tr.s.ExeuntURL+"/gate/chirp", header, nil, http.StatusOK, http.StatusUnauthorized),
		end: tr.chirpEnd(t, b, form, round),
	}
}

func (tr *traffic) chirpPage(t *testing.T, round int) attempt {
	b, form := tr.inChirp(t)
	path := []string{"/messages", "/drafts", "/"}[round%3]
	try := tr.tries(http.MethodGet, tr.s.ChirpURL+path, b.header(chirpHost, ""), nil, http.StatusOK, http.StatusUnauthorized)
	return attempt{try: try, end: arrives(tr.chirpEnd(t, b, form, round), try)}
}

// arrivalLimit is for how long an app that checks in its own process may take
// to hear of an end: the longest staleness of Chirp's verifier.
const arrivalLimit = 2 * time.Second

// arrives carries out an end, and waits until it is known where it is tried.
func arrives(end func(context.Context) error, try func(context.Context) (bool, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := end(ctx); err != nil {
			return err
		}
		for answered := time.Now(); ; {
			begun := time.Now()
			valid, err := try(ctx)
			if err != nil || !valid {
				return err
			}
			if begun.Sub(answered) > arrivalLimit {
				return fmt.Errorf("valid %v after the sign-out had been answered", begun.Sub(answered))
			}
		}
	}
}

func (tr *traffic) chirpPost(t *testing.T, round int) attempt {
	b, form := tr.inChirp(t)
	form.Set("text", fmt.Sprintf("round %d", round))
	return attempt{
		try: tr.tries(http.MethodPost, tr.s.ChirpURL+"/posts", b.header(chirpHost, tr.s.ChirpURL), form, http.StatusSeeOther, http.StatusUnauthorized),
		end: tr.chirpEnd(t, b, form, round),
	}
}
