package demo

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/exeunt/exeunt/client"
)

// browser is a person's browser as the tour needs it. It stores cookies by host (also
// Secure ones on *.localhost, which Go's jar does not), sends the headers that browsers
// send, and follows redirects.
type browser struct {
	http    http.Client
	agent   string
	cookies map[string]map[string]string // by host, then by name
}

func newBrowser(agent string) *browser {
	b := &browser{agent: agent, cookies: map[string]map[string]string{}}
	b.http.Transport = client.NewTransport()
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}

// page is an answer with its body read.
type page struct {
	url    *url.URL
	status int
	header http.Header
	body   string
}

// maxHops is how many redirects are followed; more is a loop.
const maxHops = 8

func (b *browser) get(ctx context.Context, address string) (*page, error) {
	return b.visit(ctx, http.MethodGet, address, nil)
}

// post sends a form from a page of the same origin.
func (b *browser) post(ctx context.Context, address string, form url.Values) (*page, error) {
	return b.visit(ctx, http.MethodPost, address, form)
}

// fill opens a page, which sets a cookie, and sends its form.
func (b *browser) fill(ctx context.Context, address string, form url.Values) (*page, error) {
	if p, err := b.get(ctx, address); err != nil || p.status != http.StatusOK {
		return nil, unexpected("open a form", p, err)
	}
	return b.post(ctx, address, form)
}

func (b *browser) visit(ctx context.Context, method, address string, form url.Values) (*page, error) {
	for range maxHops {
		p, err := b.once(ctx, method, address, form)
		if err != nil {
			return nil, err
		}
		to := p.header.Get("Location")
		if p.status < 300 || p.status > 399 || to == "" {
			return p, nil
		}
		next, err := p.url.Parse(to)
		if err != nil {
			return nil, err
		}
		method, address, form = http.MethodGet, next.String(), nil
	}
	return nil, fmt.Errorf("%s redirects in a loop", address)
}

// form opens a page and returns the hidden fields of its form for an address.
func (b *browser) form(ctx context.Context, address, action string) (url.Values, error) {
	p, err := b.get(ctx, address)
	if err != nil || p.status != http.StatusOK {
		return nil, unexpected("open a page for its form", p, err)
	}
	return p.form(action)
}

// enter signs in to an app with this browser's session, from the app's address for that. It
// reports whether the person was asked whether the app may know who they are, and agrees.
func (b *browser) enter(ctx context.Context, signIn string) (asked bool, err error) {
	p, err := b.get(ctx, signIn)
	if err == nil && p.url.Path == "/authorize" {
		asked = true
		form, err := p.form("/authorize/decide")
		if err != nil {
			return asked, err
		}
		form.Set("decision", "continue")
		if p, err = b.post(ctx, p.url.Scheme+"://"+p.url.Host+"/authorize/decide", form); err != nil {
			return asked, err
		}
	}
	if err != nil || p.status != http.StatusOK || !strings.HasPrefix(signIn, p.url.Scheme+"://"+p.url.Host+"/") {
		return asked, unexpected("come back to the app", p, err)
	}
	return asked, nil
}

// enterChirp signs in to Chirp with this browser's session.
func (b *browser) enterChirp(ctx context.Context, chirp string) error {
	asked, err := b.enter(ctx, chirp+"/exeunt/sign-in")
	if err == nil && asked {
		err = errors.New("Chirp is first-party, and the person was asked nevertheless")
	}
	return err
}

func (b *browser) once(ctx context.Context, method, address string, form url.Values) (*page, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", b.agent)
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
	}
	for name, value := range b.cookies[req.URL.Hostname()] {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	b.store(req.URL.Hostname(), resp.Cookies())
	return &page{req.URL, resp.StatusCode, resp.Header, string(body)}, nil
}

func (b *browser) store(host string, set []*http.Cookie) {
	if b.cookies[host] == nil {
		b.cookies[host] = map[string]string{}
	}
	for _, c := range set {
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.cookies[host], c.Name)
			continue
		}
		b.cookies[host][c.Name] = c.Value
	}
}

// copyCookies returns a thief's copy of the browser.
func (b *browser) copyCookies() *browser {
	thief := newBrowser(b.agent)
	for host, set := range b.cookies {
		thief.cookies[host] = maps.Clone(set)
	}
	return thief
}

var (
	hiddenInput = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*>`)
	inputName   = regexp.MustCompile(`\bname="([^"]*)"`)
	inputValue  = regexp.MustCompile(`\bvalue="([^"]*)"`)
	formOpening = regexp.MustCompile(`<form[^>]*action="([^"]*)"[^>]*>`)
)

// form returns the hidden fields of the page's form that posts to an address.
func (p *page) form(action string) (url.Values, error) {
	for _, at := range formOpening.FindAllStringSubmatchIndex(p.body, -1) {
		to := html.UnescapeString(p.body[at[2]:at[3]])
		if path, _, _ := strings.Cut(to, "?"); path != action {
			continue
		}
		inside, _, _ := strings.Cut(p.body[at[1]:], "</form>")
		out := url.Values{}
		for _, field := range hiddenInput.FindAllString(inside, -1) {
			if name := inputName.FindStringSubmatch(field); name != nil {
				value := ""
				if v := inputValue.FindStringSubmatch(field); v != nil {
					value = html.UnescapeString(v[1])
				}
				out.Set(name[1], value)
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("%s has no form for %s", p.url.Path, action)
}
