package gazette

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Config of Gazette. HTTP, Log and Now may be nil; the rest is needed.
type Config struct {
	Issuer   string // of the authority that signs readers in, exactly as it writes it
	ClientID string
	Secret   string
	URL      string       // Gazette's own address, for browsers
	HTTP     *http.Client // for questions to the authority
	Log      *slog.Logger
	Now      func() time.Time
}

// App is Gazette.
type App struct {
	http.Handler
	Config
	sessions *sessions

	mu    sync.Mutex
	found *provider // once discovered
}

// New returns an App. It asks the authority nothing before somebody signs in.
func New(c Config) *App {
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &App{Config: c, sessions: newSessions(c.Now)}
	m := http.NewServeMux()
	m.HandleFunc("GET /{$}", a.front)
	m.HandleFunc("GET /articles", a.forReaders(a.list))
	m.HandleFunc("GET /articles/{name}", a.forReaders(a.article))
	m.Handle("GET /gazette.css", http.FileServerFS(files))
	m.Handle("GET /gazette.svg", http.FileServerFS(files))
	m.HandleFunc("GET /sign-in", a.signIn)
	m.HandleFunc("GET /callback", a.callback)
	m.HandleFunc("POST /sign-out", a.signOut)
	m.HandleFunc("GET /signed-out", a.signedOut)
	m.HandleFunc("/", a.nothingHere)
	// The authority's notice comes from no page, and carries its own proof.
	all := http.NewServeMux()
	all.HandleFunc("POST /backchannel-logout", a.backchannel)
	all.Handle("/", http.NewCrossOriginProtection().Handler(m))
	a.Handler = a.secure(all)
	return a
}

// secure sets the headers of every answer: nothing from other sites, no script, no framing.
func (a *App) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		// The form that signs out leads on to the authority.
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' "+origin(a.Issuer)+
			"; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		next.ServeHTTP(w, r)
	})
}

// provider is what discovery says about the authority (OpenID Connect Discovery section 4).
type provider struct {
	oauth2.Config
	verifier   *oidc.IDTokenVerifier
	endSession string
}

// discovered asks the authority until it has answered once, so that either may start first.
func (a *App) discovered() (*provider, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.found != nil {
		return a.found, nil
	}
	found, err := oidc.NewProvider(a.context(context.Background()), a.Issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, err
	}
	at := found.Endpoint()
	at.AuthStyle = oauth2.AuthStyleInHeader // a second guess would use the code a second time
	a.found = &provider{
		Config: oauth2.Config{ClientID: a.ClientID, ClientSecret: a.Secret, Endpoint: at, RedirectURL: a.URL + "/callback",
			Scopes: []string{oidc.ScopeOpenID, "profile"}},
		verifier:   found.Verifier(&oidc.Config{ClientID: a.ClientID, Now: a.Now}),
		endSession: more.EndSession,
	}
	return a.found, nil
}

func (a *App) context(ctx context.Context) context.Context { return oidc.ClientContext(ctx, a.HTTP) }
