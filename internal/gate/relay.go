package gate

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
)

// Relay is the proxy of sites that have no other proxy in front of them. It passes a request on only if the decision
// admits it, tells the app who is signed in, and closes what is still open when their session ends: sockets, event streams
// and downloads. It keeps no copy of what passes.
type Relay struct {
	sites *Sites
	proxy httputil.ReverseProxy
	most  int

	mu     sync.Mutex
	open   map[exeunt.AccountID]int // requests under way; the zero ID counts all
	nobody int                      // of those, requests of nobody who is signed in
}

// NewRelay returns the relay of the sites. It has at most so many requests under way at a time; 0: no limit.
func NewRelay(sites *Sites, most int) *Relay {
	r, log := &Relay{sites: sites, most: most, open: map[exeunt.AccountID]int{}}, sites.Log
	r.proxy = httputil.ReverseProxy{
		Rewrite: r.rewrite, ModifyResponse: keepOurs, ErrorHandler: r.failed, FlushInterval: flushInterval,
		BufferPool: &buffers{},
		ErrorLog:   slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: dialPatience}).DialContext,
			MaxIdleConnsPerHost:   idleConnections,
			IdleConnTimeout:       90 * time.Second,
			TLSHandshakeTimeout:   dialPatience,
			ExpectContinueTimeout: time.Second,
			// As much as is taken of a browser.
			MaxResponseHeaderBytes: http.DefaultMaxHeaderBytes,
			DisableCompression:     true, // what the app and the browser have agreed on passes as it is
		},
	}
	return r
}

const (
	dialPatience = 10 * time.Second
	// flushInterval is how long a part of an answer may wait for the next one. ReverseProxy lets no part of event streams
	// and of answers of unknown length wait. To flush at once a page that is there whole takes more writes than it needs.
	flushInterval   = 100 * time.Millisecond
	idleConnections = 64
	// maxOfAccount is how many requests one account may have under way: sockets and event streams last for hours.
	maxOfAccount = 256
)

// buffers are what answers pass through. A new one for each answer keeps the garbage collector busy.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10 // as io.Copy has it

// Get returns a buffer with nothing in it.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put takes a buffer back. What somebody read must not lie in memory until the next answer.
func (b *buffers) Put(buffer []byte) {
	clear(buffer)
	b.pool.Put((*[bufferSize]byte)(buffer))
}

type admitted struct{}

// admission is what a request was admitted with.
type admission struct {
	site    exeunt.Client
	to      *url.URL
	verdict Verdict
}

// Serve passes a request to a site on, or refuses it.
func (p *Relay) Serve(w http.ResponseWriter, r *http.Request, site exeunt.Client) {
	to, err := url.Parse(site.Site.Upstream)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	if p.sites.Peers.Plain(r) && !site.Site.Plain {
		Refuse(w, p.sites.plain(Request{Site: site, Method: r.Method, URI: r.URL.RequestURI(), Header: r.Header}))
		return
	}
	if why := malformed(r); why != "" {
		http.Error(w, why, http.StatusBadRequest)
		return
	}
	v := p.sites.Decide(r.Context(), Request{Site: site, Method: r.Method, URI: r.URL.RequestURI(), Header: r.Header,
		Address: p.sites.Peers.Address(r)})
	if !v.Passes() {
		Refuse(w, v)
		return
	}
	leave, status := p.enter(v)
	if status != 0 {
		w.Header()["Retry-After"] = tenSeconds
		http.Error(w, "Too many requests to this app are open. Close some of its pages, then try again.", status)
		return
	}
	defer leave()
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), admitted{}, admission{site, to, v}))
	defer cancel(nil)
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{}) // uploads and sockets may last
	control.SetWriteDeadline(time.Time{})
	if !v.Credential.Token.IsZero() {
		l := p.sites.authority.Listen(v.Answer.Account)
		defer l.Close()
		// The listener was told of no end that came between the decision and its beginning.
		if !p.sites.authority.Check(ctx, v.Credential).Usable() {
			p.Serve(w, r, site) // decides anew, without this session
			return
		}
		defer p.closeAtEnd(ctx, cancel, control, l.C(), Request{Site: site}, v)()
	}
	p.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// enter counts a request, or returns the status of a refusal: the account has too many, or all together. Anybody may ask for
// what is open, so requests of nobody have half of the places, and the rest is for people and programs.
func (p *Relay) enter(v Verdict) (leave func(), refusal int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all, account := exeunt.AccountID{}, v.Answer.Account
	nobody := 0
	if account == all && !v.Program() {
		nobody = 1
	}
	switch {
	case p.most > 0 && (p.open[all] >= p.most || nobody > 0 && p.nobody >= p.most/2):
		return nil, http.StatusServiceUnavailable
	case account != all && p.open[account] >= maxOfAccount:
		return nil, http.StatusTooManyRequests // RFC 6585 section 4
	}
	counted := []exeunt.AccountID{all, account}
	if account == all {
		counted = counted[:1] // nobody is signed in
	}
	for _, of := range counted {
		p.open[of]++
	}
	p.nobody += nobody
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.nobody -= nobody
		for _, of := range counted {
			if p.open[of]--; p.open[of] == 0 {
				delete(p.open, of)
			}
		}
	}, 0
}

var tenSeconds = []string{"10"}

var errEnded = errors.New("the session has ended")

// closeAtEnd cuts the request off when its session is not usable any more. Call stop when the request is over.
func (p *Relay) closeAtEnd(
	ctx context.Context, cut context.CancelCauseFunc, control *http.ResponseController, news <-chan struct{},
	r Request, v Verdict,
) (stop func()) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		// The session may time out, too, as may the site's own, which is no event until somebody looks.
		look := time.NewTicker(lookAgain)
		defer look.Stop()
		for {
			select {
			case <-news:
			case <-look.C:
			case <-ctx.Done():
				return
			}
			if p.sites.stays(ctx, r, v) || ctx.Err() != nil {
				continue
			}
			cut(errEnded)
			// Nor does it stay open for a browser that reads nothing and sends nothing.
			control.SetReadDeadline(time.Unix(1, 0))
			control.SetWriteDeadline(time.Unix(1, 0))
			return
		}
	}()
	return func() {
		cut(nil)
		<-over // control is of use only until the request is over
	}
}

const lookAgain = 5 * time.Second

var overTLS, overHTTP = []string{"https"}, []string{"http"}

// rewrite makes the request to the app of the one that was admitted.
func (p *Relay) rewrite(pr *httputil.ProxyRequest) {
	a := pr.In.Context().Value(admitted{}).(admission)
	pr.SetURL(a.to)
	// The path as the browser sent it, which the decision was about.
	pr.Out.URL.Path, pr.Out.URL.RawPath, pr.Out.URL.RawQuery = pr.In.URL.Path, pr.In.URL.RawPath, pr.In.URL.RawQuery
	pr.Out.Host = pr.In.Host
	h := pr.Out.Header
	for name := range h {
		if isIdentity(name) {
			delete(h, name)
		}
	}
	if lines := WithoutOurs(h["Cookie"]); len(lines) > 0 {
		h["Cookie"] = lines
	} else {
		delete(h, "Cookie")
	}
	if a.verdict.Program() {
		delete(h, "Authorization") // it was for us
	}
	if !strings.EqualFold(h.Get("Upgrade"), "websocket") {
		// Another protocol, such as HTTP/2 (h2c), would carry requests that nobody decides about.
		delete(h, "Upgrade")
		delete(h, "Connection")
		delete(h, "Http2-Settings")
	}
	if from := p.sites.Peers.Address(pr.In); from.IsValid() {
		h.Set("X-Forwarded-For", from.String())
	}
	h.Set("X-Forwarded-Host", pr.In.Host)
	h["X-Forwarded-Proto"] = overTLS
	if a.site.Site.Plain {
		h["X-Forwarded-Proto"] = overHTTP
	}
	p.sites.Identify(h, a.verdict)
	pr.Out.Trailer = nil
}

// keepOurs takes our cookies out of an answer: the app, or whoever has it set a cookie of any name, must not sign its people
// in as somebody else.
func keepOurs(r *http.Response) error {
	lines := slices.DeleteFunc(r.Header["Set-Cookie"], func(line string) bool {
		pair, _, _ := strings.Cut(line, ";")
		// Some browsers send a cookie without a name as its value alone.
		name, _, _ := strings.Cut(strings.TrimLeft(pair, "= \t"), "=")
		return isOurs(strings.TrimSpace(name))
	})
	if r.Header["Set-Cookie"] = lines; len(lines) == 0 {
		delete(r.Header, "Set-Cookie")
	}
	return nil
}

// isIdentity reports whether a header is one that only we may send to an app, in whatever spelling: many programs do not tell
// Remote-User from remote_user, and some not from Remote.User.
func isIdentity(name string) bool {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return strings.HasPrefix(name, "remote-") || strings.HasPrefix(name, "exeunt-") || strings.HasPrefix(name, "x-forwarded-") ||
		strings.HasPrefix(name, "x-remote-") || strings.HasPrefix(name, "x-auth-request-") || name == "forwarded" || name == "x-real-ip" ||
		name == "x-original-url" || name == "x-rewrite-url"
}

// malformed says why a request is refused that servers may read in two ways; "" if it is in order. net/http has refused
// two lengths and two hosts, and of a length and an encoding it has kept the encoding (RFC 9112 section 6.3).
func malformed(r *http.Request) string {
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect {
		return "This method is not passed on."
	}
	for name := range r.Header {
		if strings.ContainsAny(name, " \t") {
			return "A header's name has a space in it."
		}
	}
	for _, line := range r.Header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			// Connection makes a proxy take a header out again (RFC 9110 section 7.6.1), and must not take out ours.
			if isIdentity(strings.TrimSpace(name)) {
				return "Connection names a header that only the proxy may send."
			}
		}
	}
	return ""
}

// failed answers when the app does not.
func (p *Relay) failed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(context.Cause(r.Context()), errEnded) {
		panic(http.ErrAbortHandler) // whatever was sent so far is cut off, and not ended in order
	}
	if r.Context().Err() == nil {
		p.sites.Log.Warn("the app of a site does not answer", "host", r.Host, "err", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "This app does not answer right now. Try again in a moment.", http.StatusBadGateway)
}
