package doctor

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// browser keeps the cookies of each host, as a person's would.
type browser struct {
	*examination
	cookies map[string]map[string]*http.Cookie // by host
	set     []*http.Cookie                     // all that were ever set
}

func newBrowser(e *examination) *browser {
	return &browser{examination: e, cookies: map[string]map[string]*http.Cookie{}}
}

// maxPage is how much of an answer is read.
const maxPage = 4 << 20

func (b *browser) once(method, address string, form url.Values) (*http.Response, string, error) {
	ctx, cancel := b.soon()
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	b.dress(r)
	resp, err := b.http.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return nil, "", err
	}
	b.keep(resp)
	return resp, string(text), nil
}

// claimed is an address that nobody has (RFC 5737). It is sent as if a client claimed to be there.
const claimed = "203.0.113.99"

// dress gives a request what a browser's has.
func (b *browser) dress(r *http.Request) {
	if r.Method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	}
	r.Header.Set("User-Agent", "exeunt doctor")
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("X-Forwarded-For", claimed)
	for _, c := range b.cookies[r.URL.Host] {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
}

func (b *browser) keep(resp *http.Response) {
	host := resp.Request.URL.Host
	for _, c := range resp.Cookies() {
		if b.cookies[host] == nil {
			b.cookies[host] = map[string]*http.Cookie{}
		}
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.cookies[host], c.Name)
			continue
		}
		// Browsers refuse others (RFC 6265bis section 4.1.3.2).
		if strings.HasPrefix(c.Name, "__Host-") && (!c.Secure || c.Path != "/" || c.Domain != "") {
			b.set = append(b.set, c)
			continue
		}
		b.cookies[host][c.Name] = c
		b.set = append(b.set, c)
	}
}

// visit follows redirects.
func (b *browser) visit(method, address string, form url.Values) (resp *http.Response, body string, err error) {
	for range 20 {
		if resp, body, err = b.once(method, address, form); err != nil {
			return nil, "", err
		}
		next, err := resp.Location()
		if err != nil { // it has none
			return resp, body, nil
		}
		method, address, form = http.MethodGet, next.String(), nil
	}
	return nil, "", fmt.Errorf("%s redirects without end", address)
}

// formOf returns the hidden fields of the first form of a page that is sent to a path.
func formOf(body, action string) (url.Values, bool) {
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		return nil, false
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" && attribute(n, "action") == action {
			fields := url.Values{}
			for in := range n.Descendants() {
				if in.Type == html.ElementNode && in.Data == "input" && attribute(in, "type") == "hidden" {
					fields.Set(attribute(in, "name"), attribute(in, "value"))
				}
			}
			return fields, true
		}
	}
	return nil, false
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
