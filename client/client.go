package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options of a Client. The zero Options are valid.
type Options struct {
	// Timeout of a call, 10 s when zero.
	Timeout time.Duration
	// CheckTimeout of Check and State, for which every request of an app waits:
	// 3 s when zero.
	CheckTimeout time.Duration
	// UserAgent that the authority sees.
	UserAgent string
	// AllowPlainHTTP permits an http:// address beyond this machine. Tokens then
	// cross the network unencrypted: use it only in a private network.
	AllowPlainHTTP bool
	// Transport to use instead of NewTransport().
	Transport http.RoundTripper
}

// Client calls the authority. It holds no credential and is safe for
// concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
	opt  Options
	gate string // the path that Check asks
}

// New returns a client for the authority at baseURL.
func New(baseURL string, opt Options) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("invalid authority address %q: use http:// or https:// and a host", baseURL)
	}
	if u.Scheme == "http" && !opt.AllowPlainHTTP && !StaysHere(u.Hostname()) {
		return nil, fmt.Errorf("authority address %q would send tokens unencrypted: use https", baseURL)
	}
	if opt.Timeout <= 0 {
		opt.Timeout = 10 * time.Second
	}
	if opt.CheckTimeout <= 0 {
		opt.CheckTimeout = 3 * time.Second
	}
	if opt.UserAgent == "" {
		opt.UserAgent = "exeunt-go-client"
	}
	if opt.Transport == nil {
		opt.Transport = NewTransport()
	}
	return &Client{base: u, opt: opt, gate: "/gate", http: &http.Client{
		Transport: opt.Transport,
		// The API redirects nobody; a redirect could carry a token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// URL returns an address of the authority, for links and redirects.
func (c *Client) URL(path string, query url.Values) string {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	return u.String()
}

const maxBody = 1 << 20

// request is one call of the API.
type request struct {
	method, path string
	query        url.Values
	token        Secret
	user         string     // with it, token is its password, not a bearer token
	key          string     // idempotency key; "" for none
	form         url.Values // the body, instead of in
	in, out      any        // bodies; nil for none
	status       int        // the status that means success
}

func (c *Client) get(ctx context.Context, path string, query url.Values, token Secret, out any) error {
	return c.call(ctx, request{method: http.MethodGet, path: path, query: query, token: token, out: out, status: http.StatusOK})
}

func (c *Client) post(ctx context.Context, path string, token Secret, in, out any, status int) error {
	return c.call(ctx, request{method: http.MethodPost, path: path, token: token, in: in, out: out, status: status})
}

func (c *Client) call(ctx context.Context, q request) error {
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	r, err := c.newRequest(ctx, q)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return unreachable(err)
	}
	switch {
	case resp.StatusCode == q.status:
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return problemOf(resp, body)
	default:
		// A captive portal answers 200 to everything: that does not confirm a sign-out.
		return fmt.Errorf("%w: %s %s was answered %s, not %d", ErrUnavailable, q.method, q.path, resp.Status, q.status)
	}
	if q.out == nil {
		return nil
	}
	if len(body) > maxBody {
		return fmt.Errorf("%w: its answer to %s %s is longer than %d bytes", ErrUnavailable, q.method, q.path, maxBody)
	}
	if err := json.Unmarshal(body, q.out); err != nil {
		// The decoder's error may quote the body, which may hold a token.
		return fmt.Errorf("%w: its answer to %s %s is malformed", ErrUnavailable, q.method, q.path)
	}
	return nil
}

func (c *Client) newRequest(ctx context.Context, q request) (*http.Request, error) {
	var body io.Reader
	kind := ""
	switch {
	case q.form != nil:
		body, kind = strings.NewReader(q.form.Encode()), "application/x-www-form-urlencoded"
	case q.in != nil:
		b, err := json.Marshal(q.in)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", q.method, q.path, err)
		}
		body, kind = bytes.NewReader(b), "application/json"
	}
	r, err := http.NewRequestWithContext(ctx, q.method, c.URL(q.path, q.query), body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", q.method, q.path, err)
	}
	r.Header.Set("User-Agent", c.opt.UserAgent)
	r.Header.Set("Accept", "application/json")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	switch {
	case q.user != "":
		r.SetBasicAuth(url.QueryEscape(q.user), url.QueryEscape(q.token.Reveal())) // RFC 6749 section 2.3.1
	case !q.token.IsZero():
		r.Header.Set("Authorization", "Bearer "+q.token.Reveal())
	}
	if q.key != "" {
		r.Header.Set("Idempotency-Key", q.key)
	}
	return r, nil
}

// unreachable turns a failure of the network into ErrUnavailable. errors.Is still
// finds the cause, such as context.Canceled.
func unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the address
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// problemOf reads a problem document, or an error of OAuth (RFC 6749 section 5.2). For
// any other answer, as from a proxy in between, only the status is known.
func problemOf(resp *http.Response, body []byte) error {
	p := &Problem{}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch kind {
	case "application/problem+json":
		if json.Unmarshal(body, p) != nil {
			p = &Problem{}
		}
	case "application/json":
		var e struct {
			Code   string `json:"error"`
			Detail string `json:"error_description"`
		}
		if json.Unmarshal(body, &e) == nil {
			p.Code, p.Detail = e.Code, e.Detail
		}
	}
	p.Status = resp.StatusCode
	if p.Title == "" {
		p.Title = http.StatusText(resp.StatusCode)
	}
	if p.Status < 400 {
		return fmt.Errorf("%w: it answered %d %s", ErrUnavailable, p.Status, strings.TrimSpace(p.Title))
	}
	return p
}
