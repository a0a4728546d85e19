package pages

import (
	"context"
	"net/http"
	"slices"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

func (p *Pages) home(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	this, others, err := p.liveSessions(r.Context(), v)
	if err != nil {
		return err
	}
	just, _, err := p.justEnded(w, r, v)
	if err != nil {
		return err
	}
	return p.show(w, http.StatusOK, &ui.HomeView{
		Frame: p.frame(r, v, ui.NavHome), This: this, Others: others, Just: just, Clients: p.OAuth.Clients(),
	})
}

// thisSession returns the visitor's own session; ErrSignedOut if it has ended
// since the request began.
func (p *Pages) thisSession(ctx context.Context, v web.Visitor) (exeunt.Session, error) {
	s, err := p.Authority.Session(ctx, v.Answer.Account, v.Answer.Session)
	if err == nil && s.End != nil {
		err = exeunt.ErrSignedOut
	}
	return s, err
}

// liveSessions returns the visitor's own session and the account's other ones.
func (p *Pages) liveSessions(ctx context.Context, v web.Visitor) (exeunt.Session, []exeunt.Session, error) {
	active, err := p.Authority.Sessions(ctx, exeunt.SessionFilter{Account: v.Answer.Account})
	if err != nil {
		return exeunt.Session{}, nil, err
	}
	others := slices.DeleteFunc(active.Items, func(s exeunt.Session) bool { return s.ID == v.Answer.Session })
	this, err := p.thisSession(ctx, v)
	return this, others, err
}
