package pages

import (
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

func (p *Pages) endedSessionList(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	ended, err := p.Authority.Sessions(r.Context(),
		exeunt.SessionFilter{Account: v.Answer.Account, State: exeunt.SessionsEnded})
	if err != nil {
		return err
	}
	active, err := p.Authority.CountSessions(r.Context(), exeunt.SessionFilter{Account: v.Answer.Account})
	if err != nil {
		return err
	}
	return p.show(w, http.StatusOK, &ui.EndedSessionsView{
		Frame: p.frame(r, v, ui.NavSessions), Ended: ended.Items, LiveCount: int(active), KeptFor: p.Retention,
		Clients: p.OAuth.Clients(),
	})
}
