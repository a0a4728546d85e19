package app

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/api"
	"github.com/exeunt/exeunt/internal/control"
	"github.com/exeunt/exeunt/internal/gate"
	"github.com/exeunt/exeunt/internal/oidc"
	"github.com/exeunt/exeunt/internal/operate"
	"github.com/exeunt/exeunt/internal/pages"
	"github.com/exeunt/exeunt/internal/stream"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// openSurfaces builds the handler of everything that is served. From the
// outside inwards:
//
//	bodies       by when a request's body must have arrived
//	peers        which proxies may speak to us without TLS, and that they took
//	             the request over TLS
//	sites        whose proxy we are: every other address of their hosts is the app's
//	/gate …      for proxies and apps, which use other host names, so it is
//	             outside the check of the host; it takes no cookie of ours
//	/forward-auth/ …  for proxies in front of sites
//	/.exeunt/    our own addresses on the hosts of sites
//	host         only our own name, and bounded headers
//	/api/        bearer tokens, which forged requests do not have
//	/oauth/ …    what apps ask for by OpenID Connect: client secrets and bearer
//	             tokens; scripts of other sites may call it
//	the rest     pages and what their scripts call, with the browser's pair of
//	             cookies, behind the same-origin protection
func (n *Node) openSurfaces() error {
	kiosk, err := n.Config.Kiosks()
	if err != nil {
		return err
	}
	page := pages.New(pages.Deps{
		Authority: n.Authority, SignIn: n.SignIn, Accounts: n.Accounts, OAuth: n.OAuth, Browser: n.browser,
		Peers: n.peers, Issuer: n.Config.URL, UI: n.templates, Policy: n.Config.SessionPolicy(), Retention: ui.Retention(n.Config.Retention),
		Receipts: web.Receipts{Handles: n.receipts}, Place: n.places.Of, Offline: n.Config.OfflineSignOut, Kiosk: kiosk, Now: n.now, Log: n.log,
	})
	calls := web.Surface{Fail: api.Fail, Log: n.log}
	streams := stream.New(stream.Deps{
		Authority: n.Authority, Clients: n.OAuth.Registry, Browser: n.browser, Now: n.now, Done: n.draining,
		Most: maxStreams(n.connections), Surface: calls,
	})
	pageSurface := web.Surface{Fail: page.Fail, Log: n.log}

	forPages := http.NewServeMux()
	streams.MountBrowser(forPages)
	forPages.Handle("/", page.Handler())

	forApps := http.NewServeMux()
	api.New(api.Deps{
		Authority: n.Authority, SignIn: n.SignIn, Accounts: n.Accounts, OAuth: n.OAuth, Peers: n.peers, URL: n.Config.URL,
		Receipts: web.Receipts{Handles: n.receipts}, Log: n.log,
	}).Mount(forApps)
	streams.MountBearer(forApps)

	named := http.NewServeMux()
	oidc.New(oidc.Deps{Authority: n.Authority, OAuth: n.OAuth, Peers: n.peers, Languages: n.templates.Tags(), Log: n.log}).Mount(named)
	named.Handle("/api/", web.NotCrossOrigin(calls, n.Config.URL, forApps))
	named.Handle("/", n.peers.WarnOfSilent(n.log, web.SameOrigin(pageSurface, n.Config.URL, forPages, pages.FromApps...)))
	bounded := web.BoundHeaders(func(w http.ResponseWriter, r *http.Request, err error) {
		if isCall(r) {
			calls.Answer(w, r, err)
			return
		}
		pageSurface.Answer(w, r, err)
	}, named)
	inner := web.Secure(n.Config.Secure(), web.OnlyHost(n.log, n.Config.URL, n.Config.Development, bounded))
	inner = web.WithRequestID(pageSurface.Recover(inner))

	gateHandler := gate.New(n.Authority, n.OAuth.Registry)
	gateHandler.AnyClient = n.Config.GateAnyClient
	gateHandler.Peers = n.peers
	sites := &gate.Sites{Gate: gateHandler, OAuth: n.OAuth, States: n.requests, Issuer: n.Config.URL, Log: n.log}
	// Each of its requests takes two connections, to the browser and to the app.
	through := gate.NewRelay(sites, maxStreams(n.connections)/2)
	var served http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site, ok := n.OAuth.SiteAt(r.Host)
		ours := strings.HasPrefix(r.URL.Path, exeunt.SitePrefix)
		switch path := r.URL.Path; {
		case ok && site.Site.Upstream != "" && !ours:
			through.Serve(w, r, site)
		case path == "/livez":
			n.livez(w, r)
		case path == "/readyz":
			n.readyz(w, r)
		case strings.HasPrefix(path, gate.ForwardPath):
			sites.Forward(w, r)
		case n.peers.Plain(r):
			n.refusePlain(w, r, site)
		case isGate(r):
			gateHandler.ServeHTTP(w, r)
		case ok && ours:
			sites.ServeHTTP(w, r)
		default:
			inner.ServeHTTP(w, r)
		}
	})
	if n.Config.Secure() && !n.Config.TLS.Terminates() { // otherwise we terminate TLS, or it is development on loopback
		served = n.peers.Only(n.log, served)
	}
	n.handler = web.BoundBodies(served)
	return nil
}

func isGate(r *http.Request) bool {
	return r.URL.Path == gate.Path || strings.HasPrefix(r.URL.Path, gate.Path+"/")
}

// isCall reports whether a program makes the request, which carries a secret.
func isCall(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/") || strings.HasPrefix(r.URL.Path, oidc.Prefix)
}

// refusePlain answers a request that reached the proxy without TLS: somebody who opens
// a page goes to the right address, and everything else is refused, because what it
// carried may have been read on the way, and its answer would be too. site is the site whose host was asked for, if any.
func (n *Node) refusePlain(w http.ResponseWriter, r *http.Request, site exeunt.Client) {
	web.NoStore(w)
	relayed := site.Site != nil && site.Site.Upstream != "" // whose addresses are all the app's
	switch {
	case isGate(r) && !relayed:
		w.Header().Set(client.HeaderReason, exeunt.ErrPlainHTTP.Code)
		w.WriteHeader(http.StatusForbidden)
	case isCall(r) && !relayed:
		api.Fail(w, r, http.StatusForbidden, exeunt.ErrPlainHTTP)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		at := n.Config.URL
		if site.Site != nil {
			at = site.Site.Origin()
		}
		w.Header().Set("Location", at+r.URL.RequestURI())
		w.WriteHeader(http.StatusPermanentRedirect)
	default:
		http.Error(w, exeunt.ErrPlainHTTP.Message, http.StatusForbidden)
	}
}

// plainHandler answers at tls.http_listen: whoever opens a page of ours goes to its https address, and a CA sees that the
// host is ours. It leads to no other host than those that are served here.
func (n *Node) plainHandler() http.Handler {
	return n.certificates.Plain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own, _ := url.Parse(n.Config.URL) // validated
		name := strings.ToLower((&url.URL{Host: r.Host}).Hostname())
		site, ok := n.OAuth.Relayed()[name]
		switch {
		case !ok && name != own.Hostname():
			web.NoStore(w)
			http.Error(w, "There is no such site at this address. Check the address.", http.StatusMisdirectedRequest)
		case !strings.HasPrefix(r.URL.RequestURI(), "/"): // "@other.example" would make the host a user's name
			http.Error(w, "This is no address of a page.", http.StatusBadRequest)
		default:
			n.refusePlain(w, r, site)
		}
	}))
}

// Handler returns the handler of everything that is served.
func (n *Node) Handler() http.Handler { return n.handler }

// livez says whether this process can serve; if not, it must be restarted.
func (n *Node) livez(w http.ResponseWriter, _ *http.Request) {
	writeStatus(w, !n.Store.Failed(), "alive", "the database can no longer be relied on; restart")
}

// readyz says whether requests may be sent here.
func (n *Node) readyz(w http.ResponseWriter, r *http.Request) {
	select {
	case <-n.draining:
		writeStatus(w, false, "", "stopping")
		return
	default:
	}
	// What is read by anybody says no more than what kind of problem it is. The log and `exeunt status` say what to do.
	if n.Store.Held() != nil {
		writeStatus(w, false, "", "the database is not the one that this node has followed, and an operator must decide")
		return
	}
	if n.Store.WriteProblem() != nil {
		writeStatus(w, false, "", "the database cannot be written")
		return
	}
	if !n.Authority.Fresh() {
		writeStatus(w, false, "", "the database has not confirmed a heartbeat lately, so memory may be out of date")
		return
	}
	writeStatus(w, n.Store.Ping(r.Context()) == nil, "ready", "the database does not answer")
}

func writeStatus(w http.ResponseWriter, ok bool, yes, no string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	web.NoStore(w)
	text := yes
	if !ok {
		text = no
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, text)
}

func (n *Node) controlHandler() http.Handler {
	s := &control.Server{
		Operate: &operate.Service{Authority: n.Authority, Store: n.Store, ClientsChanged: n.OAuth.Reload,
			Notify: n.Notify, Fanout: n.Fanout},
		Accounts: n.Accounts,
		Surface:  web.Surface{Fail: control.Fail, Log: n.log}, Version: n.version, URL: n.Config.URL, Started: n.started,
		Link: n.inviteLink, ResetLink: n.resetLink,
	}
	return s.Handler()
}
