package pages

import (
	"net/http"
	"slices"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// site says why somebody did not get to a site whose requests are decided here, or that they signed out of it. The site's
// own host shows no page of ours. Where to go from here is only ever on that site.
func (p *Pages) site(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	c, err := p.OAuth.Client(exeunt.ClientID(q.Get("site")))
	why := ui.SiteWhy(q.Get("why"))
	if err != nil || c.Site == nil || !slices.Contains(ui.SiteWhys, why) {
		return exeunt.ErrNotFound
	}
	view := &ui.SiteView{Frame: p.frame(r, p.visit(r), ""), Site: c, Why: why, To: c.Site.Origin() + web.LocalPath(q.Get("to"))}
	return p.show(w, view.Status(), view)
}
