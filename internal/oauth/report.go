package oauth

import (
	"net/netip"
	"strings"
	"time"

	"github.com/exeunt/exeunt/internal/throttle"

	"github.com/exeunt/exeunt"
)

// perReport bounds the lines about one client, and about unknown ones: anybody can send a wrong request.
var perReport = throttle.Rate{Burst: 3, Every: time.Minute}

// maxReported is how much of a value that somebody sent is written to the log.
const maxReported = 300

// reportUnknown tells the operator which client an app claims to be.
func (r *Registry) reportUnknown(q CodeRequest) {
	if r.reports.Take("", perReport, netip.Prefix{}) == 0 {
		r.log.Warn("an app asked to sign somebody in with a client_id that is not registered; correct it in the app, "+
			"or add it to the clients", "client_id", clip(string(q.Client)), "redirect_uri", clip(q.RedirectURI))
	}
}

// ReportNoSuch tells the operator which client that is not registered somebody names to the gate.
func (r *Registry) ReportNoSuch(id exeunt.ClientID) {
	if r.reports.Take(" gate", perReport, netip.Prefix{}) == 0 { // which is no client's ID
		r.log.Warn("the gate was asked about a client that is not registered; correct its name in the proxy or the app, "+
			"or add it to the clients", "client", clip(string(id)))
	}
}

// ReportNoSite tells the operator which host that no site has a proxy asks about.
func (r *Registry) ReportNoSite(host string) {
	if r.reports.Take(" site", perReport, netip.Prefix{}) == 0 { // which is no client's ID
		r.log.Warn("a proxy asked about a host that no site has; correct the proxy, or add the site", "host", clip(host))
	}
}

// reportAddress tells the operator both addresses, so that they can be compared.
func (r *Registry) reportAddress(c exeunt.Client, q CodeRequest) {
	if r.reports.Take(string(c.ID), perReport, netip.Prefix{}) == 0 {
		r.log.Warn("an app asked to return to an address that is not registered for it; correct it in the app, or in "+
			"the client's redirect_uris", "client", c.ID, "redirect_uri", clip(q.RedirectURI), "registered", c.RedirectURIs)
	}
}

// reportSignOut tells the operator what an app asked for that is not registered.
func (r *Registry) reportSignOut(id exeunt.ClientID, uri string, registered []string) {
	key := " sign-out" // which is no client's ID
	if registered != nil {
		key = string(id) + key
	}
	if r.reports.Take(key, perReport, netip.Prefix{}) == 0 {
		r.log.Warn("an app asked for a sign-out with a client_id or a post_logout_redirect_uri that is not registered; "+
			"correct it in the app, or in the client's post_logout_uris", "client_id", clip(string(id)),
			"post_logout_redirect_uri", clip(uri), "registered", registered)
	}
}

// clip cuts a value, and cleans it of what is no text.
func clip(s string) string {
	if len(s) > maxReported {
		s = s[:maxReported] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
