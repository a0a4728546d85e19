package gate

import (
	"net/http"
	"strings"

	"github.com/exeunt/exeunt/client"
)

// ForwardPath is where proxies ask about requests to sites; each kind of proxy has its own address below it, because each
// says in its own way what it was asked, and does something else with the answer.
const ForwardPath = "/forward-auth/"

// told is what a proxy says of a request that it got.
type told struct {
	scheme, host, method, uri string
}

// adapter is a kind of proxy.
type adapter struct {
	read   func(*http.Request) (told, bool)
	answer func(http.ResponseWriter, Verdict)
}

var adapters = map[string]adapter{
	"nginx":   {readNginx, answerNginx},
	"caddy":   {readForwarded, answerAsIs},
	"traefik": {readForwarded, answerAsIs},
	"haproxy": {readForwarded, answerAsIs},
	"envoy":   {readEnvoy, answerAsIs},
}

// Forward answers proxies that ask about a request to a site.
func (g *Sites) Forward(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, ForwardPath), "/")
	g.refusal(w)
	a, ok := adapters[name]
	if !ok {
		http.Error(w, "There is no adapter for that proxy.", http.StatusNotFound)
		return
	}
	said, ok := a.read(r)
	site, known := g.OAuth.SiteAt(said.host)
	switch {
	case !ok:
		g.forbid(w, []string{"bad_request"})
		return
	case !known:
		g.clients.ReportNoSite(said.host)
		a.answer(w, g.noSite(said, r.Header))
		return
	}
	ask := Request{Site: site, Method: said.method, URI: said.uri, Header: r.Header, Address: g.Peers.Forwarded(r)}
	if said.scheme+"://" != strings.TrimSuffix(site.Site.Origin(), site.Site.Host) {
		a.answer(w, g.plain(ask))
		return
	}
	v := g.Decide(r.Context(), ask)
	if v.Passes() {
		g.Identify(w.Header(), v)
	}
	a.answer(w, v)
}

// noSite refuses a request to a host that is no site. A browser is led to a page that says so.
func (g *Sites) noSite(said told, h http.Header) Verdict {
	if !isNavigation(said.method, h, said.method) {
		return Verdict{Status: http.StatusForbidden, Reason: "no_such_site"}
	}
	return Verdict{Status: http.StatusSeeOther, Reason: "no_such_site", Location: g.Issuer + ExplainPath + "?why=no_such"}
}

// readForwarded reads the headers that Caddy's forward_auth and Traefik's ForwardAuth set, and that our configuration of
// HAProxy sets.
func readForwarded(r *http.Request) (told, bool) {
	return one(r.Header, told{first(r.Header, "X-Forwarded-Proto"), first(r.Header, "X-Forwarded-Host"),
		first(r.Header, "X-Forwarded-Method"), first(r.Header, "X-Forwarded-Uri")},
		"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Method", "X-Forwarded-Uri")
}

// one refuses what was said twice or not at all: a proxy that passes a browser's header on beside its own would leave it
// to chance which one counts.
func one(h http.Header, t told, names ...string) (told, bool) {
	for _, name := range names {
		if len(h[name]) != 1 || h[name][0] == "" {
			return told{}, false
		}
	}
	return t, true
}

// answerAsIs is for proxies that give the browser every answer but 200 as it is.
func answerAsIs(w http.ResponseWriter, v Verdict) {
	h := w.Header()
	if v.Reason != "" {
		h[client.HeaderReason] = []string{v.Reason}
	}
	switch v.Status {
	case http.StatusOK:
	case http.StatusSeeOther:
		h.Set("Location", v.Location)
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable:
		problem(w, v)
		return
	}
	w.WriteHeader(v.Status)
}

// Refuse gives the browser the answer to a request that does not pass.
func Refuse(w http.ResponseWriter, v Verdict) {
	w.Header()["Cache-Control"] = noStore
	answerAsIs(w, v)
}

// problem is the answer to a script or program (RFC 9457).
func problem(w http.ResponseWriter, v Verdict) {
	h := w.Header()
	text := map[int]string{
		http.StatusUnauthorized:       `{"status":401,"code":"signed_out","title":"Nobody is signed in. Nothing was sent."}`,
		http.StatusForbidden:          `{"status":403,"code":"forbidden","title":"You may not use this. Nothing was sent."}`,
		http.StatusServiceUnavailable: `{"status":503,"code":"unavailable","title":"It cannot be told whether you are signed in. Try again."}`,
	}[v.Status]
	switch v.Status {
	case http.StatusUnauthorized:
		h["Www-Authenticate"] = bearer // RFC 9110 section 15.5.2
	case http.StatusServiceUnavailable:
		h["Retry-After"] = oneSecond
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(v.Status)
	_, _ = w.Write([]byte(text + "\n")) // whoever asked may have gone
}
