package chirp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/verify"
	"github.com/exeunt/exeunt/client/webapp"
)

// Config of Chirp.
type Config struct {
	Authority string // address of the session authority
	URL       string // Chirp's own address, for browsers
	ClientID  string // as registered at the authority; "chirp" when empty
	// Key is Chirp's secret key at the authority, its client_secret.
	Key      client.Secret
	Database string // file of Chirp's own data
	Log      *slog.Logger
	Now      func() time.Time // nil is the system's clock
}

// App is Chirp. Serve it, then Close it.
type App struct {
	http.Handler
	gate  *webapp.App
	data  *data
	views *views
	now   func() time.Time
	log   *slog.Logger
	stop  func() // the verifier
}

// New opens the database and builds the handler.
func New(c Config) (*App, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.ClientID == "" {
		c.ClientID = "chirp"
	}
	a := &App{now: c.Now, log: c.Log, stop: func() {}}
	var err error
	if a.views, err = newViews(); err != nil {
		return nil, err
	}
	authority, err := client.New(c.Authority, client.Options{UserAgent: "chirp"})
	if err != nil {
		return nil, err
	}
	verifier, err := verify.New(verify.Options{Client: authority, Key: c.Key, Log: c.Log})
	if err != nil {
		return nil, err
	}
	a.gate, err = webapp.New(webapp.Config{
		Client: authority, Verifier: verifier, ID: c.ClientID, Key: c.Key, Name: "Chirp", URL: c.URL,
		Render: a.notice, MaxBody: maxBody, Log: c.Log,
	})
	if err != nil {
		return nil, err
	}
	if a.data, err = openData(c.Database); err != nil {
		return nil, fmt.Errorf("chirp's database %s: %w", c.Database, err)
	}
	a.Handler = a.routes()
	a.stop = run(verifier)
	return a, nil
}

// maxBody is enough for a form with one text.
const maxBody = 64 << 10

// routes puts the middleware in front of everything but the static files.
func (a *App) routes() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", a.timeline)
	forMembers := func(pattern string, h handler) {
		pages.Handle(pattern, a.gate.RequirePerson(a.handle(h)))
	}
	forMembers("POST /posts", a.postAdd)
	forMembers("GET /drafts", a.draftList)
	forMembers("POST /drafts", a.draftAdd)
	forMembers("GET /drafts/{id}", a.draftShow)
	forMembers("POST /drafts/{id}", a.draftSave)
	forMembers("POST /drafts/{id}/post", a.draftPost)
	forMembers("POST /drafts/{id}/delete", a.draftDelete)
	forMembers("GET /messages", a.messageList)
	forMembers("POST /messages", a.messageAdd)
	forMembers("GET /messages/{handle}", a.messageThread)
	pages.HandleFunc("/", a.nothingHere)

	all := http.NewServeMux()
	all.Handle("GET "+a.views.static, a.views)
	all.Handle("/", a.gate.Middleware(pages))
	return secure(all)
}

// secure sets the headers of every answer: nothing from other sites, no inline script
// or style, no framing.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
			"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		// Not no-referrer, which would remove the Origin header from form posts.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// Shutdown ends the open event streams, so that a server can stop, and stops the
// verifier. Pass it to http.Server.RegisterOnShutdown.
func (a *App) Shutdown() {
	a.gate.Close()
	a.stop()
}

// Close closes the database. Call it after the server has stopped.
func (a *App) Close() error {
	a.Shutdown()
	return a.data.close()
}

// member is the signed-in person as Chirp knows them.
type member struct {
	client.Person
	id int64 // in Chirp's own database
}

// member returns the signed-in person, and false if there is none.
func (a *App) member(ctx context.Context) (member, bool, error) {
	p, ok := webapp.Who(ctx)
	if !ok {
		return member{}, false, nil
	}
	id, err := a.data.remember(ctx, p.Account, p.Handle, p.Name)
	return member{p, id}, true, err
}
