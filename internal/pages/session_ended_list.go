package pages

import (
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

func (p *Pages) endedSessionList(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	done, err := p.Authority.Listing(r.Context(), v.Answer.Account)
	if err != nil {
		return err
	}
	defer done()
	f := part(r)
	f.Account, f.State = v.Answer.Account, exeunt.SessionsEnded
	ended, err := p.Authority.Sessions(r.Context(), f)
	if err != nil {
		return err
	}
	count, err := p.Authority.CountSessions(r.Context(), f)
	if err != nil {
		return err
	}
	active, err := p.Authority.CountSessions(r.Context(), exeunt.SessionFilter{Account: v.Answer.Account})
	if err != nil {
		return err
	}
	view := &ui.EndedSessionsView{
		Frame: p.frame(r, v, ui.NavSessions), Part: partView("/sessions/ended", f, ended.Next), Ended: ended.Items,
		Count: int(count), LiveCount: int(active), KeptFor: p.Retention.Ended, Clients: p.OAuth.Clients(),
	}
	if v.Answer.Kind != exeunt.KindShared {
		view.Proof = func(e *exeunt.Ended) string { return p.Receipts.PathOf(e.Seq, e.Recorded) }
	}
	return p.show(w, http.StatusOK, view)
}
