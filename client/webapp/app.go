package webapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"sync"

	"github.com/exeunt/exeunt/client"
)

// Config of an App. Client, ID, Key and URL are required.
type Config struct {
	Client *client.Client
	// Verifier checks requests that only read; usually a *verify.Verifier, which the
	// app itself runs. Without one they ask the authority too. Requests that change
	// something always ask it, because a post must be refused from the moment that
	// the sign-out was answered, not some milliseconds later.
	Verifier Verifier
	// ID of this app at the authority. It names the cookie: __Host-<ID>.
	ID string
	// Key is the app's secret key at the authority, its client_secret.
	Key client.Secret
	// Name of the app, for people.
	Name string
	// URL that people reach the app at, as in https://chirp.example. Requests
	// for another host are refused (DNS rebinding).
	URL string
	// Render writes a notice as a page of the app: the status n.Status and a body.
	// Security headers are set before. nil writes a plain page.
	Render func(w http.ResponseWriter, r *http.Request, n Notice)
	// MaxBody is the longest request body, 1 MiB when zero.
	MaxBody int64
	// Log; nil is slog.Default().
	Log *slog.Logger
}

// Verifier is the part of verify.Verifier that an App needs: Check answers like
// Client.Check, and Forget makes it ask again about a session that was ended here.
type Verifier interface {
	Check(ctx context.Context, token client.Secret, activity bool) (client.Person, error)
	Forget(token client.Secret)
}

// App is the middleware of an app. See Middleware.
type App struct {
	Config
	routes  *http.ServeMux
	cross   *http.CrossOriginProtection
	streams *streams

	hostsMu sync.Mutex
	hosts   map[string]bool // other hosts that have been logged
}

var validID = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// New returns an App. Close it when the server stops.
func New(c Config) (*App, error) {
	u, err := url.Parse(c.URL)
	switch {
	case c.Client == nil:
		return nil, errors.New("an app needs a Client: set it in the Config")
	case !validID.MatchString(c.ID):
		return nil, fmt.Errorf("invalid app ID %q: use 1 to 40 of a-z, 0-9 and -, starting with a letter", c.ID)
	case c.Key.IsZero():
		return nil, fmt.Errorf("app %s has no Key: set it to the client_secret that it is registered with at the authority",
			c.ID)
	case err != nil || u.Host == "" || (u.Path != "" && u.Path != "/") ||
		u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, fmt.Errorf("invalid app address %q: use a scheme and a host without a path", c.URL)
	case u.Scheme != "https" && !(u.Scheme == "http" && client.StaysHere(u.Hostname())):
		// Browsers drop Secure cookies over plain http, and sign-in would fail silently.
		return nil, fmt.Errorf("invalid app address %q: use https; plain http works on this machine only", c.URL)
	}
	if c.Render == nil {
		c.Render = renderPlain
	}
	if c.MaxBody <= 0 {
		c.MaxBody = 1 << 20
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	c.URL = u.Scheme + "://" + u.Host
	c.Client = c.Client.For(c.ID)
	a := &App{
		Config: c, cross: http.NewCrossOriginProtection(), streams: newStreams(c.Client), hosts: map[string]bool{},
	}
	// So that a Host with its default port is the same origin.
	if err := a.cross.AddTrustedOrigin(c.URL); err != nil {
		return nil, fmt.Errorf("app address: %w", err)
	}
	a.routes = a.newRoutes()
	return a, nil
}

// Close ends the app's event streams, so that a server can shut down. Give it
// to http.Server.RegisterOnShutdown.
func (a *App) Close() { a.streams.stop() }

func (a *App) newRoutes() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("GET /exeunt/sign-in", a.signIn)
	m.HandleFunc("GET /exeunt/callback", a.callback)
	m.HandleFunc("GET /exeunt/not-signed-in", a.notSignedIn)
	m.HandleFunc("GET /exeunt/sign-out", a.signOut)
	m.HandleFunc("POST /exeunt/sign-out-app", a.signOutApp)
	m.HandleFunc("GET /exeunt/signed-out", a.signedOut)
	m.HandleFunc("GET /exeunt/ended", a.ended)
	m.HandleFunc("GET /exeunt/state", a.state)
	m.HandleFunc("GET /exeunt/stream", a.stream)
	m.HandleFunc("POST /exeunt/activity", a.activity)
	m.HandleFunc("POST /exeunt/closing", a.closing)
	m.HandleFunc("GET /exeunt/idle.css", a.idleCSS)
	m.HandleFunc("/exeunt/", func(w http.ResponseWriter, r *http.Request) {
		a.notice(w, r, Notice{Kind: NoticeNotFound})
	})
	return m
}

type personKey struct{}

// Who returns the person who is signed in, in a handler behind Middleware.
func Who(ctx context.Context) (client.Person, bool) {
	p, ok := ctx.Value(personKey{}).(client.Person)
	return p, ok
}
