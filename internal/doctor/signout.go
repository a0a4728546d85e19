package doctor

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/control"
)

// usualBound: nodes take less by far, so more is not a matter of load.
const usualBound = 5 * time.Second

// trial is an account of our own, which signs in and out as a person would.
type trial struct {
	*examination
	handle, password string
	browser          *browser
	session          string
}

// signOut signs an account of its own in at the node and at each site, by their public addresses, signs it out, and
// measures until everything is refused.
func (e *examination) signOut() {
	if e.status == nil || !e.status.Ready {
		return
	}
	t := &trial{examination: e, handle: "doctor-" + strings.ToLower(rand.Text()[:12]), password: rand.Text(), browser: newBrowser(e)}
	ctx, cancel := e.soon()
	err := e.node.Post(ctx, "/accounts", control.NewAccount{Handle: t.handle, Name: "exeunt doctor", Password: t.password}, &control.Added{})
	cancel()
	if err != nil {
		e.fault("sign-out", "See the node's log.", "no account could be added to try it with: %v", err)
		return
	}
	defer t.remove()
	if !t.signIn() {
		return
	}
	t.cookies()
	t.address()
	sites := t.sites()
	stream, err := t.stream()
	if err != nil {
		e.fault("event stream", "Turn the proxy's buffering off for /session/stream, and let answers last for longer than 30 s.",
			"pages are not told of a sign-out at once: %v", err)
	} else {
		defer stream.Close()
	}
	t.leave(sites, stream)
}

// remove removes the account, whatever has happened meanwhile.
func (t *trial) remove() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), patience)
	defer cancel()
	if err := t.node.Post(ctx, "/accounts/"+t.handle+"/delete", control.Deletion{Now: true}, &control.Deletion{}); err != nil {
		t.fault("sign-out", "Run `exeunt accounts delete --now "+t.handle+"`.", "the account that it was tried with could not be removed: %v", err)
	}
}

var sessionIn = regexp.MustCompile(`data-session="(ses_[a-z0-9]+)"`)

func (t *trial) signIn() bool {
	const check = "sign-in"
	address := t.Config.URL + "/signin"
	_, body, err := t.browser.once(http.MethodGet, address, nil)
	form, found := formOf(body, "/signin")
	if err != nil || !found {
		return false // told by headers
	}
	form.Set("identifier", t.handle)
	form.Set("password", t.password)
	form.Set("kind", "shared")
	begun := time.Now()
	resp, _, err := t.browser.visit(http.MethodPost, address, form)
	if err != nil {
		t.fault(check, "See the proxy's log.", "nobody can sign in: %v", err)
		return false
	}
	took := time.Since(begun)
	page, body, err := t.browser.visit(http.MethodGet, t.Config.URL+"/sessions", nil)
	if err != nil {
		t.fault(check, "See the proxy's log.", "nobody stays signed in: %v", err)
		return false
	}
	in := sessionIn.FindStringSubmatch(body)
	switch {
	case in != nil && page.Request.URL.Path == "/sessions":
		t.session = in[1]
		t.ok(check, "an account signed in within %v", took.Round(time.Millisecond))
		return true
	case in != nil:
		t.warn(check, "Nothing, if you know that sign-out works: exeunt doctor cannot try it, because it has no second factor.",
			"the policy asks every account for a factor, so sign-out was not tried")
		return false
	}
	remedy := "Let the proxy pass Cookie and Set-Cookie on as they are, and the Host and Origin headers of requests."
	if resp.StatusCode == http.StatusTooManyRequests {
		remedy = "Wait until the limit of sign-ins from this address has passed."
	}
	t.fault(check, remedy, "an account with the right password is not signed in afterwards: %s", resp.Status)
	return false
}

// cookies looks at the attributes with which cookies have arrived.
func (t *trial) cookies() {
	const check = "cookies"
	sound := true
	for _, c := range t.browser.set {
		if !strings.HasPrefix(c.Name, "__Host-exeunt-") {
			continue
		}
		var lacks []string
		for attribute, has := range map[string]bool{"Secure": c.Secure, "Path=/": c.Path == "/", "no Domain": c.Domain == "",
			"SameSite": c.SameSite == http.SameSiteLaxMode || c.SameSite == http.SameSiteStrictMode,
			"HttpOnly": c.HttpOnly || strings.HasSuffix(c.Name, "-here")} {
			if !has {
				lacks = append(lacks, attribute)
			}
		}
		if len(lacks) > 0 {
			sound = false
			slices.Sort(lacks)
			t.fault(check, "Have the proxy pass Set-Cookie on as it is.", "the cookie %s arrives without %s", kindOf(c.Name), strings.Join(lacks, ", "))
		}
	}
	if sound {
		t.ok(check, "they arrive as they were sent")
	}
}

// kindOf is a cookie's name without what identifies a session.
func kindOf(name string) string { return sessionID.ReplaceAllString(name, "ses_…") }

var sessionID = regexp.MustCompile(`ses_[a-z0-9]+`)

// address sees whether the node knows from where somebody signs in.
func (t *trial) address() {
	const check = "addresses"
	ctx, cancel := t.soon()
	defer cancel()
	var page control.Page[control.Session]
	if err := t.node.Get(ctx, "/sessions", url.Values{"account": {t.handle}}, &page); err != nil || len(page.Items) == 0 {
		t.fault(check, "See the node's log.", "the node does not list its session: %v", err)
		return
	}
	seen, err := netip.ParseAddr(page.Items[0].Address)
	proxies, invalid := t.Config.Proxies()
	here, known := t.own()
	switch {
	case invalid != nil || len(proxies) == 0 || known && trusted(proxies, here):
		// Without a proxy it cannot be wrong; and from a trusted address everything is believed.
	case seen.String() == claimed:
		t.fault(check, "Have the proxy set X-Forwarded-For to the address that it sees, or add to it, and trust no other addresses than the proxy's.",
			"a client can claim any address by a header")
	case err != nil, trusted(proxies, seen): // the node takes no address that it trusts for somebody's own
		t.fault(check, "Have the proxy send X-Forwarded-For with the address that it sees.", "the node sees only the proxy's address, so that all people share their limits")
	default:
		t.ok(check, "people's own are known to the node")
	}
}

func trusted(proxies []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// own is the address from which this program reaches the public one.
func (t *trial) own() (netip.Addr, bool) {
	ctx, cancel := t.soon()
	defer cancel()
	dial := t.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	port := t.url.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[t.url.Scheme]
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(t.url.Hostname(), port))
	if err != nil {
		return netip.Addr{}, false
	}
	defer conn.Close()
	at, err := netip.ParseAddrPort(conn.LocalAddr().String())
	return at.Addr().Unmap(), err == nil
}

// sites signs in at each site, and returns those where that worked.
func (t *trial) sites() (in []*config.Site) {
	for i := range t.Config.Sites {
		if s := &t.Config.Sites[i]; t.site(s) {
			in = append(in, s)
		}
	}
	return in
}

func (t *trial) home(s *config.Site) string { return t.url.Scheme + "://" + s.Host + "/" }

func (t *trial) site(s *config.Site) bool {
	check := "site " + s.Host
	resp, _, err := newBrowser(t.examination).once(http.MethodGet, t.home(s), nil)
	switch {
	case err != nil:
		t.fault(check, "See that its proxy runs, and that the name leads there.", "it does not answer: %v", err)
		return false
	case !t.refused(resp) && !slices.Contains(s.Open, "/") && !slices.Contains(s.Open, "/*"):
		t.fault(check, "Have the proxy ask the node for every request of this host: `exeunt sites snippet --proxy … "+s.Host+"`.",
			"somebody who is not signed in is let through: %s", resp.Status)
		return false
	}
	if s.RequireFactor {
		t.warn(check, "Sign out there once yourself.", "it asks for a factor, so sign-out was not tried")
		return false
	}
	if len(s.Groups) > 0 {
		ctx, cancel := t.soon()
		defer cancel()
		if err := t.node.Post(ctx, "/groups/"+url.PathEscape(s.Groups[0])+"/add", control.Handles{Handles: []string{t.handle}}, &control.GroupChange{}); err != nil {
			t.fault(check, "See the node's log.", "the account that it is tried with could not be put into %s: %v", s.Groups[0], err)
			return false
		}
	}
	resp, _, err = t.browser.visit(http.MethodGet, t.home(s), nil)
	switch {
	case err != nil:
		t.fault(check, "See its proxy's log.", "somebody who is signed in does not get there: %v", err)
	case resp.Request.URL.Host != s.Host || t.refused(resp):
		t.fault(check, "Let its proxy pass Cookie and Set-Cookie on, and /.exeunt/ reach the node.", "somebody who is signed in does not get there, but to %s%s (%s)",
			resp.Request.URL.Host, resp.Request.URL.Path, resp.Status)
	case resp.StatusCode >= 500:
		t.fault(check, "Start the app, or see its log.", "somebody who is signed in gets %s: the app does not answer", resp.Status)
	default:
		return true
	}
	return false
}

// refused reports whether an answer of a site is to sign in first.
func (t *trial) refused(resp *http.Response) bool {
	to, err := resp.Location()
	return resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusServiceUnavailable ||
		err == nil && (to.Host == t.url.Host || strings.HasPrefix(to.Path, "/.exeunt/"))
}

// stream opens the stream that every page has, and waits for its first event.
func (t *trial) stream() (*watched, error) {
	ctx, cancel := context.WithCancel(t.ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Config.URL+"/session/stream?session="+t.session, http.NoBody)
	if err != nil {
		cancel()
		return nil, err
	}
	t.browser.dress(r)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	unlimited := &http.Client{Transport: t.http.Transport, CheckRedirect: t.http.CheckRedirect}
	began, over := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(over)
		resp, err := unlimited.Do(r)
		if err != nil {
			began <- err
			return
		}
		defer resp.Body.Close()
		if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
			began <- fmt.Errorf("the stream answers %s, %s", resp.Status, kind)
			return
		}
		lines := bufio.NewScanner(resp.Body)
		for first := true; lines.Scan(); first = false {
			if first {
				began <- nil
			}
		}
		began <- lines.Err() // read only if there was no line
	}()
	w := &watched{cancel: cancel, over: over}
	select {
	case err = <-began:
	case <-time.After(t.Bound):
		err = fmt.Errorf("nothing arrives of the stream within %v", t.Bound)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// watched is an open stream. over is closed at its end.
type watched struct {
	cancel context.CancelFunc
	over   chan struct{}
}

func (w *watched) Close() {
	w.cancel()
	<-w.over
}

// leave signs out, and measures until a copy of the cookies is refused everywhere.
func (t *trial) leave(sites []*config.Site, stream *watched) {
	const check = "sign-out"
	copied := newBrowser(t.examination)
	for host, all := range t.browser.cookies {
		copied.cookies[host] = maps.Clone(all)
	}
	_, body, err := t.browser.once(http.MethodGet, t.Config.URL+"/signout", nil)
	form, found := formOf(body, "/signout")
	if err != nil || !found {
		t.fault(check, "See the node's log.", "there is no form to sign out by: %v", err)
		return
	}
	form.Set("scope", "session")
	begun := time.Now()
	resp, _, err := t.browser.once(http.MethodPost, t.Config.URL+"/signout", form)
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		status := ""
		if resp != nil {
			status = resp.Status
		}
		t.fault(check, "Let the proxy pass the Origin and Host headers on, and forms by POST.", "a sign-out is not accepted: %s %v", status, err)
		return
	}
	confirmed := time.Now()
	t.until(check, confirmed, func() bool {
		resp, _, err := copied.once(http.MethodGet, t.Config.URL+"/session/state", nil)
		return err == nil && resp.StatusCode == http.StatusUnauthorized
	}, "confirmed within %v, and a copy of the cookies is refused %v later", confirmed.Sub(begun).Round(time.Millisecond))
	for _, s := range sites {
		t.until("site "+s.Host, confirmed, func() bool {
			resp, _, err := copied.once(http.MethodGet, t.home(s), nil)
			return err == nil && t.refused(resp)
		}, "a copy of the cookies is refused %v after the sign-out was confirmed")
	}
	if stream == nil {
		return
	}
	select {
	case <-stream.over:
		t.ok("event stream", "open pages are told of the sign-out within %v", time.Since(confirmed).Round(time.Millisecond))
	case <-time.After(t.Bound):
		t.fault("event stream", "Turn the proxy's buffering off for /session/stream.", "open pages are not told of the sign-out within %v", t.Bound)
	}
}

// until tells how long it took until something is refused. The format's last argument is that.
func (t *trial) until(check string, since time.Time, refused func() bool, format string, args ...any) {
	for {
		if refused() {
			t.ok(check, format, append(args, time.Since(since).Round(time.Millisecond))...)
			return
		}
		if time.Since(since) > t.Bound || t.ctx.Err() != nil {
			t.fault(check, "See that the proxy keeps no answers, and asks the node for every request.",
				"it is still accepted %v after the sign-out was confirmed", time.Since(since).Round(time.Second))
			return
		}
		time.Sleep(10 * time.Millisecond) // so that asking is no load; t.Bound ends it
	}
}
