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
	"time"

	"github.com/exeunt/exeunt/client"
)

// Place is where a tour is played: a running authority and running apps.
type Place struct {
	Exeunt, Chirp string        // as browsers reach them
	Gazette       string        // "" if it does not run
	Nodes         []string      // addresses, host:port, of all nodes, when there are several
	Staleness     time.Duration // for how long nodes may disagree at most
	// Balanced means that Exeunt leads to any of the nodes, so that a request may reach
	// one that has not yet applied what another has answered.
	Balanced bool
}

// lag returns for how long after an answer a request may still see the former state.
func (p Place) lag() time.Duration {
	if p.Balanced {
		return p.Staleness
	}
	return 0
}

// Tour plays a person with a laptop, a phone app and a library computer over HTTP,
// verifies after each step what the step promises, and writes a line for it. With
// newAccount the person signs up first. It reports whether all steps held.
func Tour(ctx context.Context, p Place, a Account, newAccount bool, out io.Writer) (held bool, err error) {
	t := &tour{Place: p, handle: a.Handle, password: a.Password, newAccount: newAccount, out: out}
	return t.play(ctx)
}

// as signs the tour's account in with a label.
func (t *tour) as(label string) client.SignIn {
	return client.SignIn{Identifier: t.handle, Password: client.Sent(t.password), Label: label}
}

type tour struct {
	Place
	handle     string
	password   string
	newAccount bool
	out        io.Writer

	api     *client.Client
	laptop  *browser
	library *browser
	phone   client.Secret
	before  map[string]*browser // copies of browsers, from before their sessions ended
	over    time.Time           // when the laptop's sign-out was answered
}

const (
	laptopAgent  = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
	libraryAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 " +
		"(KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
)

func (t *tour) play(ctx context.Context) (held bool, err error) {
	if t.api, err = client.New(t.Exeunt, client.Options{}); err != nil {
		return false, err
	}
	t.laptop, t.library = newBrowser(laptopAgent), newBrowser(libraryAgent)
	t.before = map[string]*browser{}
	held = true
	type step struct {
		what string
		do   func(context.Context) (verified string, err error)
	}
	steps := []step{
		{"Sign in on a laptop, in a phone app and on a library computer", t.signIn},
		{"List the sessions", t.list},
		{"Sign in to Chirp from the laptop and post", t.enterChirp},
	}
	if t.Gazette != "" {
		steps = append(steps, step{"Sign in to Gazette from the laptop", t.enterGazette})
	}
	steps = append(steps, []step{
		{"End the library computer from the phone", t.endLibrary},
		{"Sign out on the laptop", t.signOutLaptop},
		{"Ask the apps with the laptop's cookies", t.askApps},
		{"Replay every old credential", t.replay},
		{"Sign out under traffic", t.underTraffic},
		{"Sign out everywhere", t.everywhere},
	}...)
	if len(t.Nodes) > 0 {
		steps = append(steps, step{"Sign out on one node, ask the others", t.across})
	}
	for _, step := range steps {
		start := time.Now()
		verified, err := step.do(ctx)
		took := time.Since(start).Round(time.Millisecond)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			held = false
			fmt.Fprintf(t.out, "  ✗ %s: %v (%v)\n", step.what, err, took)
			continue
		}
		fmt.Fprintf(t.out, "  ✓ %s: %s (%v)\n", step.what, verified, took)
	}
	return held, nil
}

func (t *tour) signIn(ctx context.Context) (string, error) {
	if t.newAccount {
		p, err := t.laptop.fill(ctx, t.Exeunt+"/signup", url.Values{
			"handle": {t.handle}, "name": {"On tour"}, "password": {t.password}, "kind": {"kept"},
		})
		if err != nil || p.status != http.StatusOK {
			return "", unexpected("sign up", p, err)
		}
	} else if err := t.signInOn(ctx, t.laptop, "kept"); err != nil {
		return "", err
	}
	if err := t.signInOn(ctx, t.library, "shared"); err != nil {
		return "", err
	}
	var err error
	t.phone, _, err = t.api.SignIn(ctx, t.as("Pixel 8"))
	if err != nil {
		return "", err
	}
	return "three different credentials, the library's without an expiry date", nil
}

func (t *tour) signInOn(ctx context.Context, b *browser, kind string) error {
	form := url.Values{"identifier": {t.handle}, "password": {t.password}, "kind": {kind}}
	p, err := b.fill(ctx, t.Exeunt+"/signin", form)
	if err != nil || p.status != http.StatusOK {
		return unexpected("sign in", p, err)
	}
	return nil
}

func unexpected(what string, p *page, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %s answered %d", what, p.url.Path, p.status)
}

func (t *tour) sessions(ctx context.Context) ([]client.Session, error) {
	page, err := t.api.SessionPage(ctx, t.phone, client.SessionQuery{})
	return page.Sessions, err
}

func (t *tour) list(ctx context.Context) (string, error) {
	list, err := t.sessions(ctx)
	if err != nil {
		return "", err
	}
	var labels []string
	current := 0
	for _, s := range list {
		labels = append(labels, s.Label)
		if s.Current {
			current++
		}
	}
	if len(list) != 3 || current != 1 {
		return "", fmt.Errorf("there are %d sessions, %d marked as this one", len(list), current)
	}
	return strings.Join(labels, ", ") + "; this one is marked", nil
}

func (t *tour) enterChirp(ctx context.Context) (string, error) {
	if err := t.laptop.enterChirp(ctx, t.Chirp); err != nil {
		return "", err
	}
	p, err := t.chirpPost(ctx, t.laptop, "Hello from the tour")
	if err != nil || p.status != http.StatusOK || !strings.Contains(p.body, "Hello from the tour") {
		return "", unexpected("post", p, err)
	}
	return "the post is in the timeline", nil
}

func (t *tour) enterGazette(ctx context.Context) (string, error) {
	asked, err := t.laptop.enter(ctx, t.Gazette+"/sign-in")
	if err != nil {
		return "", err
	}
	p, err := t.laptop.get(ctx, t.Gazette+"/articles")
	if err != nil || p.status != http.StatusOK {
		return "", unexpected("open the articles", p, err)
	}
	if asked {
		return "asked once what it may know, then its articles open", nil
	}
	return "allowed on an earlier tour, so its articles open at once", nil
}

// chirpPost fills in Chirp's form and sends it.
func (t *tour) chirpPost(ctx context.Context, b *browser, text string) (*page, error) {
	form, err := b.form(ctx, t.Chirp+"/", "/posts")
	if err != nil {
		return nil, err
	}
	form.Set("text", text)
	t.before["form"] = b.copyCookies()
	return b.post(ctx, t.Chirp+"/posts", form)
}

func (t *tour) endLibrary(ctx context.Context) (string, error) {
	list, err := t.sessions(ctx)
	if err != nil {
		return "", err
	}
	t.before["library computer"] = t.library.copyCookies()
	for _, s := range list {
		if s.Kind != "shared" {
			continue
		}
		if err := t.api.EndSession(ctx, t.phone, s.ID, ""); err != nil {
			return "", err
		}
		for answered := time.Now(); ; {
			asked := time.Now()
			p, err := t.library.once(ctx, http.MethodGet, t.Exeunt+"/sessions", nil)
			if err != nil || p.status == http.StatusOK && asked.Sub(answered) >= t.lag() {
				return "", unexpected("the library computer's next request", p, err)
			}
			if p.status != http.StatusOK {
				return "its next request was refused", nil
			}
		}
	}
	return "", errors.New("the library computer is not listed")
}

func (t *tour) signOutLaptop(ctx context.Context) (string, error) {
	t.before["laptop"] = t.laptop.copyCookies()
	form, err := t.laptop.form(ctx, t.Exeunt+"/signout", "/signout")
	if err != nil {
		return "", err
	}
	p, err := t.laptop.once(ctx, http.MethodPost, t.Exeunt+"/signout", form)
	t.over = time.Now()
	if err != nil || p.status != http.StatusSeeOther {
		return "", unexpected("sign out", p, err)
	}
	for name := range t.laptop.cookies[p.url.Hostname()] {
		switch name {
		case "__Host-exeunt-notice", "__Host-exeunt-device", "__Host-exeunt-request":
			// For the next page, the next sign-in and an app's next request; they name nobody.
		default:
			return "", fmt.Errorf("the cookie %s was not cleared", name)
		}
	}
	if p, err = t.laptop.once(ctx, http.MethodGet, t.Exeunt+p.header.Get("Location"), nil); err != nil || p.status >= http.StatusMultipleChoices {
		return "", unexpected("what was done", p, err)
	}
	if p.header.Get("Clear-Site-Data") != `"storage"` {
		return "", errors.New("the browser was not told to clear its storage")
	}
	return "recorded; its cookies have expired and its storage is cleared", nil
}

// untilTold bounds how long an app may take that must be told. It is told in a moment; on a
// busy machine that may be long.
const untilTold = 2 * time.Minute

// askApps opens a private page of each app with the cookies from before the sign-out, until
// it is refused, and says how soon that was. Chirp checks with the authority; Gazette has a
// session of its own, and must have been told.
func (t *tour) askApps(ctx context.Context) (string, error) {
	type app struct {
		name, page string
		bound      time.Duration
	}
	apps := []app{{"Chirp", t.Chirp + "/messages", max(t.Staleness, t.lag())}}
	if t.Gazette != "" {
		apps = append(apps, app{"Gazette", t.Gazette + "/articles", untilTold})
	}
	said, errs := make([]string, len(apps)), make([]error, len(apps))
	var wg sync.WaitGroup
	for i, a := range apps {
		b := t.before["laptop"].copyCookies()
		wg.Go(func() {
			for {
				asked := time.Since(t.over)
				p, err := b.once(ctx, http.MethodGet, a.page, nil)
				switch {
				case err == nil && p.status == http.StatusUnauthorized:
					said[i] = a.name + " refused at once"
					if asked >= time.Millisecond {
						said[i] = fmt.Sprintf("%s refused after %v", a.name, asked.Round(time.Millisecond))
					}
					return
				case err != nil || p.status != http.StatusOK || asked > a.bound:
					errs[i] = unexpected(fmt.Sprintf("%s after %v", a.name, asked.Round(time.Millisecond)), p, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return strings.Join(said, ", "), errors.Join(errs...)
}

func (t *tour) replay(ctx context.Context) (string, error) {
	n := 0
	for who, b := range t.before {
		p, err := b.once(ctx, http.MethodGet, t.Exeunt+"/sessions", nil)
		if err != nil || p.status == http.StatusOK {
			return "", unexpected("replay of the "+who, p, err)
		}
		if len(b.cookies) > 1 { // it has Chirp's cookie too
			p, err := b.once(ctx, http.MethodPost, t.Chirp+"/posts", url.Values{"text": {"from beyond"}})
			if err != nil || p.status < 400 {
				return "", unexpected("replay at Chirp of the "+who, p, err)
			}
		}
		n++
	}
	return fmt.Sprintf("%d copies refused, at the authority and at Chirp", n), nil
}

const (
	trafficRounds  = 20
	trafficWorkers = 8
)

// underTraffic signs out while eight workers use the session without pause. A check
// that saved the session would revive it.
func (t *tour) underTraffic(ctx context.Context) (string, error) {
	var checks, undone, late atomic.Int64
	for range trafficRounds {
		token, _, err := t.api.SignIn(ctx, t.as("Traffic"))
		if err != nil {
			return "", err
		}
		var ended atomic.Pointer[time.Time]
		var wg sync.WaitGroup
		busy := make(chan struct{}, trafficWorkers)
		for range trafficWorkers {
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					over, asked := ended.Load(), time.Now() // before the check
					_, err := t.api.Check(ctx, token, true)
					checks.Add(1)
					if i == 0 {
						busy <- struct{}{}
					}
					switch {
					case over == nil:
					case err != nil:
						return
					case asked.Sub(*over) >= t.lag():
						undone.Add(1)
						return
					default:
						late.Add(1)
					}
				}
			})
		}
		for range trafficWorkers {
			<-busy
		}
		err = t.api.End(ctx, token)
		answered := time.Now()
		ended.Store(&answered)
		wg.Wait()
		if err != nil {
			return "", err
		}
	}
	if n := undone.Load(); n > 0 {
		return "", fmt.Errorf("still valid afterwards %d times", n)
	}
	outcome := "never valid afterwards"
	if t.Balanced {
		outcome = fmt.Sprintf("valid on another node %d times afterwards and then never again", late.Load())
	}
	return fmt.Sprintf("%d times with %d workers, %d checks, %s",
		trafficRounds, trafficWorkers, checks.Load(), outcome), nil
}

const crowd = 10

func (t *tour) everywhere(ctx context.Context) (string, error) {
	var tokens []client.Secret
	for i := range crowd {
		token, _, err := t.api.SignIn(ctx, t.as(fmt.Sprintf("Device %d", i+1)))
		if err != nil {
			return "", err
		}
		tokens = append(tokens, token)
	}
	n, _, err := t.api.EndSessions(ctx, t.phone, client.Everywhere, "")
	if err != nil {
		return "", err
	}
	if n != crowd+1 {
		return "", fmt.Errorf("%d sessions ended, not %d", n, crowd+1)
	}
	answered := time.Now()
	for _, token := range append(tokens, t.phone) {
		for {
			asked := time.Now()
			_, err := t.api.Check(ctx, token, false)
			if errors.Is(err, client.ErrSignedOut) {
				break
			}
			if err != nil || asked.Sub(answered) >= t.lag() {
				return "", fmt.Errorf("a session was not refused afterwards: %v", err)
			}
		}
	}
	return fmt.Sprintf("%d sessions in one step, all refused", n), nil
}
