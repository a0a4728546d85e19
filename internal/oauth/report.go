package oauth

import (
	"net/netip"
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

// reportAddress tells the operator both addresses, so that they can be compared.
func (r *Registry) reportAddress(c exeunt.Client, q CodeRequest) {
	if r.reports.Take(string(c.ID), perReport, netip.Prefix{}) == 0 {
		r.log.Warn("an app asked to return to an address that is not registered for it; correct it in the app, or in "+
			"the client's redirect_uris", "client", c.ID, "redirect_uri", clip(q.RedirectURI), "registered", c.RedirectURIs)
	}
}

func clip(s string) string {
	if len(s) > maxReported {
		return s[:maxReported] + "…"
	}
	return s
}
