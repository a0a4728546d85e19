package pages

import (
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/web"
)

// kiosk is the kiosk that the browser is on, or nil.
func (p *Pages) kiosk(r *http.Request) *exeunt.Kiosk {
	if len(p.Kiosk.Networks) == 0 || !p.Kiosk.Has(p.Peers.Address(r)) {
		return nil
	}
	return &p.Kiosk
}

// onKiosk makes the choice of device that nobody has on a kiosk, whatever a form says.
func (p *Pages) onKiosk(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.PostForm.Has("kind") && p.kiosk(r) != nil {
			r.PostForm.Set("kind", string(exeunt.KindShared))
		}
		return h(w, r)
	}
}

// policy is the policy as the forms tell it.
func (p *Pages) policy(r *http.Request) exeunt.Policy {
	if k := p.kiosk(r); k != nil {
		return p.Policy.OnKiosk(*k)
	}
	return p.Policy
}
