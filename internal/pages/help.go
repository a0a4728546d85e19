package pages

import (
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
)

// help is for everybody, and fits the reader's own session if there is one.
func (p *Pages) help(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	return p.show(w, http.StatusOK, &ui.HelpView{
		Frame: p.frame(r, v, ui.NavHelp), Policy: p.Policy, Shared: v.SignedIn() && v.Answer.Kind == exeunt.KindShared,
	})
}
