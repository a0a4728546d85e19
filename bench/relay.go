package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/oauth"
)

const (
	relaySessions = 1000
	relayHost     = "wiki.localhost"
	relayPath     = "/a/page"
	relayBody     = 1000 // bytes

	closedPeople = 5
	closedEach   = 200
	// relayPatience is for what takes milliseconds; after it something is wrong.
	relayPatience = 2 * time.Minute

	// oauth2Proxy is where `make apps` builds it.
	oauth2Proxy = "../bin/oauth2-proxy"
)

// upstreamArgument makes this program the app behind the proxies: a process of its own, so that it costs each of them
// the same.
const upstreamArgument = "upstream-over-stdin"

// upstreamOverStdin serves the app until stdin is closed. It writes its address.
func upstreamOverStdin(in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: upstream()}
	go s.Serve(l)
	if _, err := fmt.Fprintf(out, "http://%s\n", l.Addr()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return errors.Join(err, s.Close())
}

// upstream answers with a page, and in a header with who the proxy says is signed in. /events and /socket stay open.
func upstream() http.Handler {
	page := bytes.Repeat([]byte("0123456789"), relayBody/10)
	m := http.NewServeMux()
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		who := r.Header.Get("Remote-User")
		if who == "" {
			who = r.Header.Get("X-Forwarded-Preferred-Username")
		}
		w.Header().Set("Seen", who)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	m.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: first\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	m.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(conn, rw)
	})
	return m
}

func startUpstream(ctx context.Context) (address string, stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	command := exec.CommandContext(ctx, self, upstreamArgument)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := command.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error { return errors.Join(in.Close(), command.Wait()) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return strings.TrimSpace(line), stop, nil
}

// plainProxy is httputil.ReverseProxy alone, with the transport of our proxy.
func plainProxy(to string) (http.Handler, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(u)
			pr.Out.Host = pr.In.Host
			pr.SetXForwarded()
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			MaxIdleConnsPerHost:   64,
			IdleConnTimeout:       90 * time.Second,
			TLSHandshakeTimeout:   10 * time.Second,
			ExpectContinueTimeout: time.Second,
			DisableCompression:    true,
		},
	}, nil
}

// relay measures our proxy of sites, httputil.ReverseProxy alone and oauth2-proxy, before the same app, and how fast the
// open connections of ended sessions are closed.
func (b *bench) relay(ctx context.Context, rounds int) error {
	return b.relayOf(ctx, oauth2Proxy, relayRun{max(rounds, 20), rounds, relaySessions, closedPeople, closedEach, gateRound})
}

// relayRun says how long the measurement is.
type relayRun struct {
	rounds, closings int
	sessions         int
	people, each     int // whose connections are closed, and how many each has
	round            time.Duration
}

func (b *bench) relayOf(ctx context.Context, program string, run relayRun) (err error) {
	to, stop, err := startUpstream(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	ours, err := serveBoth(b.node.Handler())
	if err != nil {
		return err
	}
	defer ours.Close()
	h, err := plainProxy(to)
	if err != nil {
		return err
	}
	plain, err := serveBoth(h)
	if err != nil {
		return err
	}
	defer plain.Close()
	other := &otherProxy{program: program, node: ours.addr, upstream: to}
	site, err := b.registerSite(ctx, to, other)
	if err != nil {
		return err
	}
	if err := other.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, other.stop()) }()
	_, sessions, err := startMany(ctx, []*app.Node{b.node}, b.proof, run.sessions)
	if err != nil {
		return err
	}
	tokens, err := b.signIn(ctx, site, sessions, exeunt.ScopeOpenID)
	if err != nil {
		return err
	}
	requests := make([][]byte, len(tokens))
	for i, t := range tokens {
		requests[i] = pageRequest(relayHost, "__Host-exeunt-site="+t.Access.Reveal())
	}
	l, err := newLoader()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for _, c := range []struct {
		alone, other string
		connections  int
	}{{rowRelay16, rowRelayOther16, 16}, {rowRelay64, rowRelayOther64, 64}} {
		ways := []way{{ours.addr, requests, "Seen: bench\r\n"}, {plain.addr, requests, "Seen: \r\n"}}
		if other.built {
			// It asks for a new token 4 minutes after a sign-in, which must not be within the rounds.
			cookie, err := b.signInTo(ctx, other, sessions[0])
			if err != nil {
				return err
			}
			ways = append(ways, way{other.addr, [][]byte{pageRequest(other.addr, cookie)}, "Seen: bench\r\n"})
		}
		if err := b.besideProxies(l, ways, c.alone, c.other, c.connections, run); err != nil {
			return err
		}
	}
	return b.closings(ctx, ours.addr, site, run)
}

// registerSite registers the site that the app is, and oauth2-proxy as an app.
func (b *bench) registerSite(ctx context.Context, to string, other *otherProxy) (party, error) {
	other.secret = exeunt.NewToken(exeunt.UseClient)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return party{}, err
	}
	other.addr = l.Addr().String()
	if err := l.Close(); err != nil { // free for it a moment later
		return party{}, err
	}
	c := b.node.Config
	c.Sites = []config.Site{{Host: relayHost, ID: "wiki", Name: "Wiki", Upstream: to}}
	c.Clients = []config.Client{{ID: otherClient, Name: "oauth2-proxy", RedirectURIs: []string{other.callback()},
		KeySHA256: []string{other.secret.Hash().String()}, FirstParty: true}}
	if err := c.Validate(); err != nil {
		return party{}, err
	}
	if err := b.node.OAuth.Reconcile(ctx, c.RegisteredClients(), b.node.Authority.Now()); err != nil {
		return party{}, err
	}
	site, ok := b.node.OAuth.SiteAt(relayHost)
	if !ok {
		return party{}, errors.New("the site is not registered")
	}
	return party{Client: site}, nil
}

// pageRequest is how a browser asks for a page.
func pageRequest(host, cookie string) []byte {
	return []byte("GET " + relayPath + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench\r\nAccept: text/html\r\n" +
		"Accept-Encoding: gzip\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: same-origin\r\n" +
		"Cookie: " + cookie + "\r\n\r\n")
}

// way is one by which the same requests reach the app. Every answer holds what the app says of who is signed in.
type way struct {
	addr     string
	requests [][]byte
	holds    string
}

func (w way) round(l *loader, connections int, d time.Duration) (tally, error) {
	if err := l.send(w.requests); err != nil {
		return tally{}, err
	}
	// A cookie in the answer would be a new token of oauth2-proxy, for which it has asked in place of answering.
	return l.round(order{Addr: w.addr, Connections: connections, For: d, Holds: w.holds, Lacks: "\r\nSet-Cookie:"})
}

// besideProxies measures our proxy, ReverseProxy alone, and oauth2-proxy if it is there, in turns.
func (b *bench) besideProxies(l *loader, ways []way, alone, other string, connections int, run relayRun) error {
	// No request of the rounds is the first of its session.
	if err := l.send(ways[0].requests); err != nil {
		return err
	}
	if _, err := l.round(order{Addr: ways[0].addr, Connections: connections, Once: true, Holds: ways[0].holds}); err != nil {
		return err
	}
	rates, p99, cpu, ratios := make([][]float64, 3), make([][]float64, 3), make([][]float64, 3), make([][]float64, 3)
	var load []float64
	for i := range run.rounds + gateWarmUp {
		turn := make([]tally, len(ways))
		for k := range ways {
			at := (i + k) % len(ways) // none always comes after the same other
			t, err := ways[at].round(l, connections, run.round)
			if err != nil {
				return err
			}
			turn[at] = t
		}
		if i < gateWarmUp {
			continue
		}
		for at, t := range turn {
			rates[at], p99[at] = append(rates[at], t.rate()), append(p99[at], millis(t.P99))
			cpu[at] = append(cpu[at], float64(t.server.Microseconds())/float64(t.Answers))
			ratios[at] = append(ratios[at], turn[0].rate()/t.rate())
			load = append(load, t.CPU.Seconds()/t.Took.Seconds()/float64(runtime.GOMAXPROCS(0)))
		}
	}
	low, high := interval(ratios[1])
	b.add(figure{
		row: alone, value: thousands(median(rates[0])) + "/s", limit: thousands(median(rates[1])) + "/s",
		judged: median(ratios[1]), low: low, high: high,
		note: fmt.Sprintf("p99 %.2f ms, of ReverseProxy %.2f ms; %.0f and %.0f µs of CPU a request; the load generator took %.0f %% of the processors",
			median(p99[0]), median(p99[1]), median(cpu[0]), median(cpu[1]), 100*median(load)),
	})
	f := figure{row: other, value: thousands(median(rates[0])) + "/s", noLimit: "not measured: `make apps` builds oauth2-proxy"}
	if len(ways) > 2 {
		f.low, f.high = interval(ratios[2])
		f.limit, f.judged, f.noLimit = thousands(median(rates[2]))+"/s", median(ratios[2]), ""
		f.note = fmt.Sprintf("p99 %.2f ms, of oauth2-proxy %.2f ms; its cookie has %s bytes", median(p99[0]), median(p99[2]),
			thousands(float64(len(ways[2].requests[0])-len(pageRequest(ways[2].addr, "")))))
	}
	b.add(f)
	return nil
}

// otherProxy is oauth2-proxy before the same app. It signs people in at the node.
type otherProxy struct {
	program  string
	addr     string
	node     string // where the node is served
	upstream string
	secret   exeunt.Token // of its client
	built    bool

	command *exec.Cmd
	said    bytes.Buffer
	ended   chan struct{}
}

const otherClient = "oauth2-proxy"

func (o *otherProxy) callback() string { return "http://" + o.addr + "/oauth2/callback" }

// start starts it, if it has been built, and waits until it answers.
func (o *otherProxy) start(ctx context.Context) error {
	if _, err := os.Stat(o.program); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	o.built, o.command, o.ended = true, exec.CommandContext(ctx, o.program), make(chan struct{})
	o.command.Stdout, o.command.Stderr = &o.said, &o.said
	// As our preset says, and in its favour without a line in a log for each request.
	o.command.Env = []string{
		"OAUTH2_PROXY_PROVIDER=oidc", "OAUTH2_PROXY_OIDC_ISSUER_URL=http://exeunt.localhost",
		"OAUTH2_PROXY_CLIENT_ID=" + otherClient, "OAUTH2_PROXY_CLIENT_SECRET=" + o.secret.Reveal(),
		"OAUTH2_PROXY_REDIRECT_URL=" + o.callback(), "OAUTH2_PROXY_SCOPE=openid profile email groups offline_access",
		"OAUTH2_PROXY_CODE_CHALLENGE_METHOD=S256", "OAUTH2_PROXY_COOKIE_REFRESH=4m", "OAUTH2_PROXY_EMAIL_DOMAINS=*",
		"OAUTH2_PROXY_OIDC_EMAIL_CLAIM=preferred_username", "OAUTH2_PROXY_COOKIE_SECURE=false",
		"OAUTH2_PROXY_COOKIE_SECRET=" + base64.RawURLEncoding.EncodeToString(make([]byte, 32)),
		"OAUTH2_PROXY_HTTP_ADDRESS=" + o.addr, "OAUTH2_PROXY_UPSTREAMS=" + o.upstream + "/", "OAUTH2_PROXY_REQUEST_LOGGING=false",
		// Only browsers know the name exeunt.localhost.
		"http_proxy=http://" + o.node,
	}
	if err := o.command.Start(); err != nil {
		return err
	}
	go func() {
		o.command.Wait()
		close(o.ended)
	}()
	for limit := time.Now().Add(relayPatience); ; {
		resp, err := http.Get("http://" + o.addr + "/ping")
		if err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-o.ended:
			return fmt.Errorf("oauth2-proxy ended: %s", o.said.Bytes())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(limit) {
			return errors.Join(fmt.Errorf("oauth2-proxy does not answer: %w", err), o.stop())
		}
	}
}

func (o *otherProxy) stop() error {
	if !o.built {
		return nil
	}
	err := o.command.Process.Signal(syscall.SIGTERM)
	<-o.ended
	if errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("oauth2-proxy ended: %s", o.said.Bytes())
	}
	return err
}

// signInTo signs a browser in to oauth2-proxy, and returns its cookies. The browser's session is there already; what it
// would be asked on the node's pages is not.
func (b *bench) signInTo(ctx context.Context, o *otherProxy, s exeunt.Session) (string, error) {
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(to, cookies string) (*http.Response, string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
		if err != nil {
			return nil, "", err
		}
		if cookies != "" {
			r.Header.Set("Cookie", cookies)
		}
		resp, err := browser.Do(r)
		if err != nil {
			return nil, "", err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusFound {
			text, _ := io.ReadAll(resp.Body)
			return nil, "", fmt.Errorf("oauth2-proxy answers %s: %.500s", resp.Status, text)
		}
		var kept []string
		for _, c := range resp.Cookies() {
			if c.Value != "" {
				kept = append(kept, c.Name+"="+c.Value)
			}
		}
		return resp, strings.Join(kept, "; "), nil
	}
	resp, begun, err := get("http://"+o.addr+"/oauth2/start?rd="+relayPath, "")
	if err != nil {
		return "", err
	}
	at, err := resp.Location()
	if err != nil {
		return "", err
	}
	q := at.Query()
	code, err := b.node.OAuth.GrantCode(ctx, s.Account, s.ID, oauth.CodeRequest{Client: exeunt.ClientID(q.Get("client_id")),
		RedirectURI: q.Get("redirect_uri"), Challenge: q.Get("code_challenge"), Nonce: q.Get("nonce"),
		Scopes: exeunt.ParseScopes(q.Get("scope"))})
	if err != nil {
		return "", err
	}
	back := url.Values{"code": {code.Reveal()}, "state": {q.Get("state")}, "iss": {b.node.Config.URL}}
	_, cookies, err := get(o.callback()+"?"+back.Encode(), begun)
	return cookies, err
}

// closings measures how long the open connections of sessions stay open that sign out at the same time. Half are sockets,
// half event streams.
func (b *bench) closings(ctx context.Context, addr string, site party, run relayRun) error {
	proofs := make([]exeunt.Proof, run.people)
	for i := range proofs {
		var err error
		if proofs[i], err = newAccount(ctx, b.node, fmt.Sprint("person", i)); err != nil {
			return err
		}
	}
	var p50, p99 []float64
	for range run.closings {
		var sessions []exeunt.Session
		for _, proof := range proofs {
			_, s, err := b.node.Authority.Start(ctx, authority.SignIn{Proof: proof, Kind: exeunt.KindKept, Label: "bench"})
			if err != nil {
				return err
			}
			sessions = append(sessions, s)
		}
		tokens, err := b.signIn(ctx, site, sessions, exeunt.ScopeOpenID)
		if err != nil {
			return err
		}
		took, err := b.closing(ctx, addr, sessions, tokens, run.each)
		if err != nil {
			return err
		}
		slices.Sort(took)
		p50, p99 = append(p50, millis(took[len(took)/2])), append(p99, millis(took[len(took)*99/100]))
	}
	low, high := interval(p99)
	b.add(figure{row: rowClosed99, value: fmt.Sprintf("%.1f ms", median(p99)), judged: median(p99), low: low, high: high,
		note: fmt.Sprintf("half within %.1f ms; %d sessions signed out at once, with %d connections each", median(p50), run.people, run.each)})
	return nil
}

// open is a connection to the site that stays open until its session ends.
type open struct {
	net.Conn
	closed chan time.Time
}

// closing opens the connections of each session, signs all sessions out at once, and returns how long after its sign-out
// began each connection was closed.
func (b *bench) closing(
	ctx context.Context, addr string, sessions []exeunt.Session, tokens []oauth.Tokens, each int,
) ([]time.Duration, error) {
	all := make([]open, len(sessions)*each)
	defer func() {
		for _, o := range all {
			if o.Conn != nil {
				o.Close()
			}
		}
	}()
	failed := make(chan error, len(all))
	for i := range all {
		o, r, err := openAt(addr, tokens[i/each].Access, i%2 == 0)
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		all[i] = o
		go func() {
			if _, err := io.Copy(io.Discard, r); errors.Is(err, os.ErrDeadlineExceeded) {
				failed <- fmt.Errorf("connection %d is still open after %s", i, relayPatience)
				return
			}
			o.closed <- time.Now()
		}()
	}
	begun := make([]time.Time, len(sessions))
	if err := inParallel(len(sessions), func(i int) error {
		begun[i] = time.Now()
		return end(ctx, b.node, sessions[i])
	}); err != nil {
		return nil, err
	}
	took := make([]time.Duration, len(all))
	for i, o := range all {
		select {
		case at := <-o.closed:
			if took[i] = at.Sub(begun[i/each]); took[i] < 0 {
				return nil, fmt.Errorf("connection %d was closed before its session signed out", i)
			}
		case err := <-failed:
			return nil, err
		}
	}
	return took, nil
}

func openAt(addr string, token exeunt.Token, socket bool) (open, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return open{}, nil, err
	}
	conn.SetReadDeadline(time.Now().Add(relayPatience))
	head, want := "GET /events HTTP/1.1\r\n", " 200 "
	if socket {
		head, want = "GET /socket HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", " 101 "
	}
	fmt.Fprintf(conn, "%sHost: %s\r\nCookie: __Host-exeunt-site=%s\r\n\r\n", head, relayHost, token.Reveal())
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, want) {
		conn.Close()
		return open{}, nil, fmt.Errorf("the site answers %q: %w", line, err)
	}
	return open{conn, make(chan time.Time, 1)}, r, nil
}
