package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/oauth"
)

const (
	appRedirect    = "http://127.0.0.1/callback"
	tokenPath      = "/oauth/token"
	introspectPath = "/oauth/introspect"
	userInfoPath   = "/oauth/userinfo"

	openIDConnections = 16
	tokensEach        = 1024 // requests of a round
	introspected      = 10_000
	introspectors     = 64 // clients that ask in turn, because each has a rate
	toldApps          = 8
	toldSessions      = 64 // in each app, so that a round has 512 deliveries
	toldAtOnce        = 32 // as many as a node makes at once
	toldAtLatest      = 2 * time.Minute
	signingRound      = gateRound
	pendingLook       = time.Millisecond
)

// party is an app of the bench, with its secret.
type party struct {
	exeunt.Client
	secret exeunt.Token
}

// verifier is its PKCE verifier, the same each time; "" if it uses none.
func (p party) verifier() string {
	if p.NoPKCE {
		return ""
	}
	return strings.Repeat("verifier", 6) // RFC 7636 section 4.1: at least 43 characters
}

// register registers apps, in place of any before. Each may change what it likes of itself first.
func (b *bench) register(ctx context.Context, n int, change func(i int, c *exeunt.Client)) ([]party, error) {
	apps, list := make([]party, n), make([]exeunt.Client, n)
	for i := range apps {
		apps[i].secret = exeunt.NewToken(exeunt.UseClient)
		apps[i].Client = exeunt.Client{
			ID: exeunt.ClientID(fmt.Sprint("app", i)), Name: fmt.Sprint("App ", i), RedirectURIs: []string{appRedirect},
			Keys: []exeunt.TokenHash{apps[i].secret.Hash()}, NoPKCE: true, FirstParty: true,
		}
		change(i, &apps[i].Client)
		list[i] = apps[i].Client
	}
	return apps, b.node.OAuth.Reconcile(ctx, list, b.node.Authority.Now())
}

// grant gets a code for the app in each of the sessions.
func (b *bench) grant(
	ctx context.Context, p party, sessions []exeunt.Session, scopes exeunt.Scopes,
) ([]exeunt.Token, error) {
	codes := make([]exeunt.Token, len(sessions))
	challenge := ""
	if v := p.verifier(); v != "" {
		challenge = oauth.Challenge(v)
	}
	return codes, inParallel(len(sessions), func(i int) (err error) {
		codes[i], err = b.node.OAuth.GrantCode(ctx, sessions[i].Account, sessions[i].ID,
			oauth.CodeRequest{Client: p.ID, RedirectURI: p.RedirectURIs[0], Challenge: challenge, Scopes: scopes})
		return err
	})
}

// signIn signs the sessions in to the app.
func (b *bench) signIn(
	ctx context.Context, p party, sessions []exeunt.Session, scopes exeunt.Scopes,
) ([]oauth.Tokens, error) {
	codes, err := b.grant(ctx, p, sessions, scopes)
	if err != nil {
		return nil, err
	}
	out := make([]oauth.Tokens, len(sessions))
	return out, inParallel(len(sessions), func(i int) (err error) {
		out[i], err = b.node.OAuth.ExchangeCode(ctx,
			oauth.CodeExchange{Code: codes[i], Client: p.Client, RedirectURI: p.RedirectURIs[0], Verifier: p.verifier()})
		return err
	})
}

// inParallel does n things, many at once so that they share commits.
func inParallel(n int, do func(i int) error) error {
	errs := make([]error, min(n, manyCallers))
	var wg sync.WaitGroup
	for c := range errs {
		wg.Go(func() {
			for i := c; i < n && errs[c] == nil; i += len(errs) {
				errs[c] = do(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// form is a request of the app, with its secret.
func (p party) form(path string, values url.Values) []byte {
	body := values.Encode()
	return []byte("POST " + path + " HTTP/1.1\r\nHost: exeunt.localhost\r\nUser-Agent: bench\r\n" +
		"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(string(p.ID)+":"+p.secret.Reveal())) +
		"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " + strconv.Itoa(len(body)) +
		"\r\n\r\n" + body)
}

// tokenRows are the rows of one algorithm.
type tokenRows struct{ alg, code, refresh string }

// tokens measures the token endpoint beside the signatures that the machine can make.
func (b *bench) tokens(ctx context.Context, rounds int) error {
	return b.tokensOf(ctx, rounds, tokensEach, tokenRows{"RS256", rowCodeRS256, rowRefreshRS256},
		tokenRows{"ES256", rowCodeES256, rowRefreshES256})
}

func (b *bench) tokensOf(ctx context.Context, rounds, each int, of ...tokenRows) error {
	apps, err := b.register(ctx, len(of), func(i int, c *exeunt.Client) { c.Algorithm = of[i].alg })
	if err != nil {
		return err
	}
	l, err := newLoader()
	if err != nil {
		return err
	}
	s, err := serveBoth(b.node.Handler())
	if err != nil {
		return errors.Join(err, l.close())
	}
	defer s.Close()
	for i := range of {
		if err == nil {
			err = b.tokensTo(ctx, l, s, apps[i], of[i], rounds, each)
		}
	}
	return errors.Join(err, l.close())
}

// tokensTo measures an app's codes and refresh tokens. Each is presented once.
func (b *bench) tokensTo(ctx context.Context, l *loader, s *switched, p party, of tokenRows, rounds, each int) error {
	const scopes = exeunt.ScopeOpenID + " " + exeunt.ScopeProfile + " " + exeunt.ScopeOffline
	var codes, refreshes besideSigning
	var limit *signing
	for range rounds {
		_, sessions, err := startMany(ctx, []*app.Node{b.node}, b.proof, each)
		if err != nil {
			return err
		}
		got, err := b.signIn(ctx, p, sessions, scopes)
		if err != nil {
			return err
		}
		if limit == nil {
			one, err := b.node.OAuth.IDToken(ctx, p.Client, got[0])
			if err != nil {
				return err
			}
			if limit, err = newSigning(of.alg, one.Reveal()); err != nil {
				return err
			}
		}
		requests := make([][]byte, each)
		for i, t := range got {
			requests[i] = p.form(tokenPath, url.Values{
				"grant_type": {"refresh_token"}, "refresh_token": {t.Refresh.Reveal()},
			})
		}
		if err := refreshes.measure(l, s, requests, limit); err != nil {
			return err
		}
		granted, err := b.grant(ctx, p, sessions, scopes)
		if err != nil {
			return err
		}
		for i, code := range granted {
			requests[i] = p.form(tokenPath, url.Values{
				"grant_type": {"authorization_code"}, "code": {code.Reveal()}, "redirect_uri": {appRedirect},
			})
		}
		if err := codes.measure(l, s, requests, limit); err != nil {
			return err
		}
	}
	b.add(codes.figure(of.code))
	b.add(refreshes.figure(of.refresh))
	return nil
}

// besideSigning are the rounds of something that cannot be faster than its signatures.
type besideSigning struct{ rate, limit, ratio, share []float64 }

// measure sends the requests, each once, and signs alone for a while.
func (m *besideSigning) measure(l *loader, s *switched, requests [][]byte, limit *signing) error {
	if err := l.send(requests); err != nil {
		return err
	}
	t, err := l.round(order{Addr: s.addr, Connections: openIDConnections, Once: true, Holds: `"id_token":"`})
	if err != nil {
		return err
	}
	alone, err := limit.perSecond(signingRound, runtime.GOMAXPROCS(0), func(string) error { return nil })
	if err != nil {
		return err
	}
	m.add(t.rate(), alone)
	m.share = append(m.share, t.share())
	return nil
}

func (m *besideSigning) add(rate, limit float64) {
	m.rate, m.limit, m.ratio = append(m.rate, rate), append(m.limit, limit), append(m.ratio, rate/limit)
}

func (m *besideSigning) figure(row string) figure {
	f := figure{
		row: row, value: thousands(median(m.rate)) + "/s", limit: thousands(median(m.limit)) + "/s", judged: median(m.ratio),
	}
	if f.low, f.high = interval(m.ratio); len(m.share) > 0 {
		f.note = fmt.Sprintf("the load generator took %.0f %% of the CPU", 100*median(m.share))
	}
	return f
}

// signing makes tokens like one of a node, by the library alone.
type signing struct {
	signer  jose.Signer
	payload []byte
}

// rsaBits are those of a node's keys; newSigning fails if they are not.
const rsaBits = 3072

func newSigning(alg, like string) (*signing, error) {
	parsed, err := jose.ParseSignedCompact(like, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		return nil, err
	}
	header := parsed.Signatures[0].Protected
	key := jose.JSONWebKey{KeyID: header.KeyID, Algorithm: alg, Use: "sig"}
	if alg == string(jose.RS256) {
		key.Key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	} else {
		key.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	s := &signing{payload: parsed.UnsafePayloadWithoutVerification()}
	s.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return nil, err
	}
	one, err := s.sign()
	if err == nil && len(one) != len(like) {
		err = errors.New("a token signed here is not as long as one of the node: use a key of the same kind and size")
	}
	return s, err
}

func (s *signing) sign() (string, error) {
	signed, err := s.signer.Sign(s.payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// perSecond is how many tokens some at once sign in a second, and do something with each.
func (s *signing) perSecond(d time.Duration, atOnce int, with func(token string) error) (float64, error) {
	errs := make([]error, atOnce)
	var made atomic.Int64
	var wg sync.WaitGroup
	begun := time.Now()
	for w := range errs {
		wg.Go(func() {
			for time.Since(begun) < d && errs[w] == nil {
				token, err := s.sign()
				if err == nil {
					err = with(token)
				}
				made.Add(1)
				errs[w] = err
			}
		})
	}
	wg.Wait()
	return perSecond(int(made.Load()), time.Since(begun)), errors.Join(errs...)
}

// introspection measures introspection and userinfo, and an empty handler behind the same server with the same
// requests.
func (b *bench) introspection(ctx context.Context, rounds int) error {
	return b.introspectionOf(ctx, max(rounds, 20), introspected, gateRound)
}

func (b *bench) introspectionOf(ctx context.Context, rounds, n int, round time.Duration) error {
	apps, err := b.register(ctx, introspectors, func(int, *exeunt.Client) {})
	if err != nil {
		return err
	}
	_, sessions, err := startMany(ctx, []*app.Node{b.node}, b.proof, n)
	if err != nil {
		return err
	}
	got := make([]oauth.Tokens, n)
	for i, p := range apps {
		var own []exeunt.Session
		for j := i; j < n; j += introspectors {
			own = append(own, sessions[j])
		}
		tokens, err := b.signIn(ctx, p, own, exeunt.ScopeOpenID+" "+exeunt.ScopeProfile)
		if err != nil {
			return err
		}
		for k, t := range tokens {
			got[i+k*introspectors] = t
		}
	}
	l, err := newLoader()
	if err != nil {
		return err
	}
	s, err := serveBoth(b.node.Handler())
	if err != nil {
		return errors.Join(err, l.close())
	}
	defer s.Close()
	for _, c := range []struct {
		row, holds string
		request    func(i int, token string) []byte
	}{
		{rowIntrospect, `"active":true`, func(i int, token string) []byte {
			return apps[i%introspectors].form(introspectPath, url.Values{"token": {token}})
		}},
		{rowUserInfo, `"preferred_username":"bench"`, func(_ int, token string) []byte {
			return []byte("GET " + userInfoPath + " HTTP/1.1\r\nHost: exeunt.localhost\r\nUser-Agent: bench\r\n" +
				"Authorization: Bearer " + token + "\r\n\r\n")
		}},
	} {
		requests := make([][]byte, len(got))
		for i, t := range got {
			requests[i] = c.request(i, t.Access.Reveal())
		}
		if err == nil {
			err = l.send(requests)
		}
		if err == nil {
			o := order{Connections: openIDConnections, For: round, Holds: c.holds}
			err = b.besideEmpty(l, s, c.row, o, n, rounds)
		}
	}
	return errors.Join(err, l.close())
}

// receivers are the apps that are told of ended sessions, each behind an address of its own.
type receivers struct {
	urls    []string
	servers []*http.Server
	client  *http.Client // like a node's: each request has a connection of its own
	count   atomic.Int64
	want    atomic.Int64
	all     chan struct{} // receives when there are as many as wanted
	last    atomic.Value  // the token of one
}

func newReceivers(n int) (*receivers, error) {
	r := &receivers{all: make(chan struct{}, 1)}
	r.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		s := &http.Server{Handler: http.HandlerFunc(r.take)}
		r.urls, r.servers = append(r.urls, "http://"+l.Addr().String()+"/told"), append(r.servers, s)
		go s.Serve(l)
	}
	return r, nil
}

func (r *receivers) close() (err error) {
	for _, s := range r.servers {
		err = errors.Join(err, s.Close())
	}
	return err
}

// take answers at once. Only notices are counted, not the empty requests beside them.
func (r *receivers) take(w http.ResponseWriter, req *http.Request) {
	token := req.PostFormValue("logout_token")
	w.WriteHeader(http.StatusNoContent)
	if token == "" {
		return
	}
	r.last.Store(token)
	if r.count.Add(1) == r.want.Load() {
		r.all <- struct{}{}
	}
}

func (r *receivers) postEmpty(to string) error {
	resp, err := r.client.Post(to, "application/x-www-form-urlencoded", strings.NewReader(""))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the receiver answered %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// deliveries measures how fast apps are told that sessions have ended, beside signing and sending nothing.
func (b *bench) deliveries(ctx context.Context, rounds int) error {
	return errors.Join(b.deliveriesOf(ctx, rounds, toldApps, toldSessions, "RS256", rowDeliverRS256),
		b.deliveriesOf(ctx, rounds, toldApps, toldSessions, "ES256", rowDeliverES256))
}

func (b *bench) deliveriesOf(ctx context.Context, rounds, n, sessions int, alg, row string) (err error) {
	r, err := newReceivers(n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	apps, err := b.register(ctx, n, func(i int, c *exeunt.Client) { c.Algorithm, c.BackchannelURI = alg, r.urls[i] })
	if err != nil {
		return err
	}
	var m besideSigning
	var limit *signing
	for range rounds + 1 { // the first opens the keys, and is not counted
		rate, err := b.tell(ctx, r, apps, sessions)
		if err != nil {
			return err
		}
		if limit == nil {
			if limit, err = newSigning(alg, r.last.Load().(string)); err != nil {
				return err
			}
			continue
		}
		var turn atomic.Int64
		alone, err := limit.perSecond(signingRound, toldAtOnce, func(string) error {
			return r.postEmpty(r.urls[int(turn.Add(1))%len(r.urls)])
		})
		if err != nil {
			return err
		}
		m.add(rate, alone)
	}
	b.add(m.figure(row))
	return nil
}

// tell signs sessions in to all apps and then out, at once. It returns how many notices a second were confirmed, from
// the first sign-out until the last notice was recorded as confirmed.
func (b *bench) tell(ctx context.Context, r *receivers, apps []party, n int) (float64, error) {
	_, sessions, err := startMany(ctx, []*app.Node{b.node}, b.proof, n)
	if err != nil {
		return 0, err
	}
	for _, p := range apps {
		if _, err := b.signIn(ctx, p, sessions, exeunt.ScopeOpenID); err != nil {
			return 0, err
		}
	}
	owed := n * len(apps)
	r.count.Store(0)
	r.want.Store(int64(owed))
	ctx, cancel := context.WithTimeout(ctx, toldAtLatest)
	defer cancel()
	begun := time.Now()
	if _, err := endAll(ctx, []*app.Node{b.node}, sessions, n); err != nil {
		return 0, err
	}
	select {
	case <-r.all:
	case <-ctx.Done():
		return 0, fmt.Errorf("only %d of %d notices came: %w", r.count.Load(), owed, ctx.Err())
	}
	for {
		pending, err := b.node.Fanout.Totals(ctx)
		if err != nil {
			return 0, err
		}
		if len(pending) == 0 {
			break
		}
		time.Sleep(pendingLook)
	}
	took := time.Since(begun)
	if got := r.count.Load(); got != int64(owed) {
		return 0, fmt.Errorf("%d notices were sent, but %d were owed", got, owed)
	}
	return perSecond(owed, took), nil
}
