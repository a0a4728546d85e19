package pages

import (
	"net/http"
	"slices"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
)

// site says why somebody did not get to a site whose requests are decided here, or that they signed out of it. The site's
// own host shows no page of ours. Where to go from here is only ever on that site.
func (p *Pages) site(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	view := &ui.SiteView{Frame: p.frame(r, p.visit(r), ""), Why: ui.SiteWhy(q.Get("why"))}
	if !slices.Contains(ui.SiteWhys, view.Why) {
		return exeunt.ErrNotFound
	}
	if view.Why != ui.SiteNoSuch {
		c, err := p.OAuth.Client(exeunt.ClientID(q.Get("site")))
		if err != nil || c.Site == nil {
			return exeunt.ErrNotFound
		}
		view.Site = c
		if view.Why != ui.SiteNotAdmitted {
			view.To = c.Site.At(q.Get("to"))
		}
	}
	return p.show(w, view.Status(), view)
}
