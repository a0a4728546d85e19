package pages

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

func (p *Pages) home(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	live, err := p.liveSessions(r.Context(), v, exeunt.SessionFilter{Limit: pageLen})
	if err != nil {
		return err
	}
	just, _, err := p.justEnded(w, r, v)
	if err != nil {
		return err
	}
	asking, err := p.asking(w, r, v)
	if err != nil {
		return err
	}
	frame := p.frame(r, v, ui.NavHome)
	if err := p.remind(r.Context(), v, &frame); err != nil {
		return err
	}
	view := &ui.HomeView{
		Frame: frame, Asking: asking, This: live.this, Others: live.others, Live: live.count, Just: just,
		Clients: p.OAuth.Clients(),
	}
	// Nobody is offered to leave a passkey on a computer that others use.
	if live.this.Kind == exeunt.KindKept && live.this.Methods.String() == string(exeunt.MethodPassword) {
		if view.OfferPasskey, err = p.Accounts.OfferPasskey(r.Context(), v.Answer.Account); err != nil {
			return err
		}
	}
	return p.show(w, http.StatusOK, view)
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

// pageLen is how many sessions a page of a list has.
const pageLen = 50

// liveSessions is what a page shows of the account's live sessions.
type liveSessions struct {
	this   exeunt.Session   // the visitor's own
	others []exeunt.Session // a part of the other ones
	next   exeunt.Cursor    // where the next part begins
	count  int              // how many there are, this included
}

// liveSessions reads the visitor's own session, and a part of the account's other ones.
func (p *Pages) liveSessions(ctx context.Context, v web.Visitor, f exeunt.SessionFilter) (l liveSessions, err error) {
	f.Account = v.Answer.Account
	done, err := p.Authority.Listing(ctx, f.Account)
	if err != nil {
		return l, err
	}
	defer done()
	active, err := p.Authority.Sessions(ctx, f)
	if err != nil {
		return l, err
	}
	l.next = active.Next
	l.others = slices.DeleteFunc(active.Items, func(s exeunt.Session) bool { return s.ID == v.Answer.Session })
	if l.this, err = p.thisSession(ctx, v); err != nil {
		return l, err
	}
	if l.count = len(l.others) + 1; f.After == "" && f.Search == "" && l.next == "" {
		return l, nil // they are all here
	}
	n, err := p.Authority.CountSessions(ctx, f)
	l.count = max(l.count, int(n))
	return l, err
}

// toEnd is liveSessions for the pages with which somebody ends sessions: whoever lists the account's sessions
// without pause must not keep its owner from them. Then they name no other session, and tell only how many there are.
func (p *Pages) toEnd(ctx context.Context, v web.Visitor) (l liveSessions, err error) {
	if l, err = p.liveSessions(ctx, v, exeunt.SessionFilter{Limit: 10}); !errors.Is(err, exeunt.ErrBusyLists) {
		return l, err
	}
	if l.this, err = p.thisSession(ctx, v); err != nil {
		return l, err
	}
	n, err := p.Authority.CountSessions(ctx, exeunt.SessionFilter{Account: v.Answer.Account})
	l.count = max(1, int(n))
	return l, err
}

// maxSearch is how much of a search's text counts, in bytes.
const maxSearch = 400

// part is which part of a list the address asks for.
func part(r *http.Request) exeunt.SessionFilter {
	q := r.URL.Query()
	search := authority.CleanLabel(q.Get("q")[:min(len(q.Get("q")), maxSearch)])
	return exeunt.SessionFilter{Search: search, After: exeunt.Cursor(q.Get("after")), Limit: pageLen}
}

func partView(list string, f exeunt.SessionFilter, next exeunt.Cursor) ui.Part {
	return ui.Part{List: list, Search: f.Search, After: string(f.After), Next: string(next)}
}
