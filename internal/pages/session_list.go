package pages

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

func (p *Pages) sessionList(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	f := part(r)
	live, err := p.liveSessions(r.Context(), v, f)
	if err != nil {
		return err
	}
	count, err := p.Authority.CountSessions(r.Context(),
		exeunt.SessionFilter{Account: v.Answer.Account, State: exeunt.SessionsEnded})
	if err != nil {
		return err
	}
	just, done, err := p.justEnded(w, r, v)
	if err != nil {
		return err
	}
	asking, err := p.asking(w, r, v)
	if err != nil {
		return err
	}
	frame := p.frame(r, v, ui.NavSessions)
	if err := p.remind(r.Context(), v, &frame); err != nil {
		return err
	}
	return p.show(w, http.StatusOK, &ui.SessionsView{
		Frame: frame, Asking: asking, Part: partView("/sessions", f, live.next), This: live.this,
		Others: live.others, Live: live.count, Just: just, Done: done, EndedCount: int(count),
		Clients: p.OAuth.Clients(),
	})
}

// justEnded returns, once, what the reader has just ended on this page: the session
// whose button they pressed, which stays in the list until the page is reloaded, or how
// many sessions. When a script fetches the page to update itself the notice is kept,
// because it is for the page that the reader loads.
func (p *Pages) justEnded(w http.ResponseWriter, r *http.Request, v web.Visitor) (
	just []exeunt.Session, done *ui.SessionsEnded, err error,
) {
	if !client.IsActivity(r.Header) {
		return nil, nil, nil
	}
	n, ok := p.takeNotice(w, r, v, noticeEnded)
	if !ok {
		return nil, nil, nil
	}
	if n.Get("session") == "" {
		done = &ui.SessionsEnded{}
		done.Ended, _ = strconv.Atoi(n.Get("ended"))
		return nil, done, nil
	}
	just, err = p.oneEnded(r.Context(), v, n.Get("session"))
	return just, nil, err
}

func (p *Pages) oneEnded(ctx context.Context, v web.Visitor, name string) ([]exeunt.Session, error) {
	id, err := exeunt.ParseSessionID(name)
	if err != nil {
		return nil, nil
	}
	s, err := p.Authority.Session(ctx, v.Answer.Account, id)
	switch {
	case errors.Is(err, exeunt.ErrNotFound):
		return nil, nil // another account has signed in since
	case err != nil || s.End == nil:
		return nil, err
	}
	return []exeunt.Session{s}, nil
}
