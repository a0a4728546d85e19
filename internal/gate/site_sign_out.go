package gate

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/web"
)

// signOut leads to the authority's question, which every sign-out of an app asks. Nothing ends by this address alone: any
// site can send a browser here.
func (g *Sites) signOut(w http.ResponseWriter, r *http.Request, site exeunt.Client) {
	seeOther(w, g.Issuer+"/end_session?"+url.Values{"client_id": {string(site.ID)},
		"post_logout_redirect_uri": {site.Site.SignedOut()}}.Encode())
}

// signedOut clears what the site has in the browser, once its session has ended.
func (g *Sites) signedOut(w http.ResponseWriter, r *http.Request, site exeunt.Client) {
	if g.hasSession(r, site) {
		g.signOut(w, r, site)
		return
	}
	if !isNavigation(r.Method, r.Header) {
		// An image on another site's page comes without our cookies, too, and must not clear what is stored.
		http.Error(w, "This address is a page: open it in a window of its own.", http.StatusForbidden)
		return
	}
	for _, name := range ours {
		http.SetCookie(w, web.HostCookie(name, "", -1, true))
	}
	g.clearApp(w, r, site)
	seeOther(w, g.explainAt(site, "signed_out", ""))
}

// maxCleared bounds how many of the app's cookies are cleared at a time, so that the answer's headers stay within what
// proxies and browsers take. What is left is cleared the next time.
const maxCleared = 100

// clearApp has the browser delete the app's own cookies of this host, by name, and what its pages have stored: the next
// person must not get the last one's session in it. Clear-Site-Data: "cookies" would reach every host below the same domain.
func (g *Sites) clearApp(w http.ResponseWriter, r *http.Request, site exeunt.Client) {
	host, _, _ := strings.Cut(r.Host, ":")
	list := site.Site.Cookies
	for _, c := range r.Cookies() {
		if !isOurs(c.Name) {
			list = append(list[:len(list):len(list)], exeunt.SiteCookie{Name: c.Name, Path: "/"})
		}
	}
	for _, c := range list[:min(len(list), maxCleared)] {
		// A cookie is deleted only by its own path and domain (RFC 6265 section 5.3, step 11).
		one := &http.Cookie{Name: c.Name, Path: c.Path, MaxAge: -1, Secure: !site.Site.Plain || strings.HasPrefix(c.Name, "__")}
		http.SetCookie(w, one)
		if !strings.HasPrefix(c.Name, "__Host-") {
			one.Domain = host
			http.SetCookie(w, one)
		}
	}
	w.Header().Set("Clear-Site-Data", `"storage"`)
}

// ours are our cookies on a site's host.
var ours = []string{siteCookie, cookieBegun, cookieDone, cookieOf}

func isOurs(name string) bool { return slices.Contains(ours, name) }

// WithoutOurs is a Cookie header without our cookies: the app must not have what signs its people in.
func WithoutOurs(lines []string) (out []string) {
	for _, line := range lines {
		var kept []string
		for pair := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(pair, "=")
			if name = strings.TrimSpace(name); name != "" && !isOurs(name) {
				kept = append(kept, strings.TrimSpace(pair))
			}
		}
		if len(kept) > 0 {
			out = append(out, strings.Join(kept, "; "))
		}
	}
	return out
}
