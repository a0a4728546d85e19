package pages

import (
	"context"
	"net/http"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// justEnded is how long an ended session keeps its place in the list, so that
// it does not vanish under the reader's eyes.
const justEnded = time.Minute

func (p *Pages) sessionList(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	this, others, err := p.liveSessions(r.Context(), v)
	if err != nil {
		return err
	}
	count, just, err := p.justEnded(r.Context(), v)
	if err != nil {
		return err
	}
	return p.show(w, http.StatusOK, &ui.SessionsView{
		Frame: p.frame(r, v, ui.NavSessions), This: this, Others: others, Just: just, EndedCount: count, Clients: p.clients,
	})
}

// justEnded returns how many ended sessions are kept, and the latest of them.
func (p *Pages) justEnded(ctx context.Context, v web.Visitor) (count int, just []exeunt.Session, err error) {
	count, err = p.Authority.CountEnded(ctx, v.Answer.Account)
	if count == 0 || err != nil {
		return count, nil, err
	}
	ended, err := p.Authority.Sessions(ctx, v.Answer.Account, true)
	for _, s := range ended {
		if p.Now().Sub(s.End.At) < justEnded {
			just = append(just, s)
		}
	}
	return count, just, err
}
