package pages

import (
	"net/http"

	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

func (p *Pages) endedSessionList(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	ended, err := p.Authority.Sessions(r.Context(), v.Answer.Account, true)
	if err != nil {
		return err
	}
	_, others, err := p.liveSessions(r.Context(), v)
	if err != nil {
		return err
	}
	return p.show(w, http.StatusOK, &ui.EndedSessionsView{
		Frame: p.frame(r, v, ui.NavSessions), Ended: ended, LiveCount: len(others) + 1, KeptFor: p.Retention, Clients: p.clients,
	})
}
