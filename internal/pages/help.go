package pages

import (
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
)

// help is for everybody, and fits the reader's own session if there is one.
func (p *Pages) help(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	policy := p.Policy
	if v.SignedIn() {
		policy = policy.Of(v.Profile.Groups)
	}
	return p.show(w, http.StatusOK, &ui.HelpView{
		Frame: p.frame(r, v, ui.NavHelp), Policy: policy, Shared: v.SignedIn() && v.Answer.Kind == exeunt.KindShared,
		Mails: p.Accounts.SendsMails(),
	})
}
