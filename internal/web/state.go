package web

import (
	"context"
	"net/http"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
)

// States says what open pages may show, and for how long.
type States struct {
	Authority *authority.Authority
	Now       func() time.Time
}

// Of returns the state of a session for a page, and why the session ended if it has.
// It does not count as activity.
func (s States) Of(ctx context.Context, t exeunt.Token, ans authority.Answer) client.State {
	switch ans.State {
	case authority.Usable:
		s.Authority.PageOpen(ans)
		s.Authority.AppTells(ans)
		return s.live(ans)
	case authority.Indeterminate, authority.Renewed, authority.Expired:
		return client.State{State: client.Unknown}
	case authority.NoSuch, authority.WrongUse, authority.Incomplete:
		return client.State{State: client.Over}
	}
	at, reason, found, err := s.Authority.WhyEnded(ctx, t)
	if ans.State == authority.TimedOut && (err != nil || reason == "") {
		// Its time has run out, and the store has not decided yet whether it has
		// ended. The page asks again in a moment.
		return client.State{State: client.Unknown}
	}
	if err != nil || !found {
		return client.State{State: client.Over}
	}
	return client.State{State: client.Over, Reason: string(reason), At: at.UTC().Truncate(time.Millisecond)}
}

func (s States) live(ans authority.Answer) client.State {
	id := ans.Session.String()
	if !ans.App.IsZero() {
		id = ans.App.String()
	}
	warn, end := s.TimeLeft(ans)
	return client.State{State: client.Live, Session: id, WarnIn: warn, IdleIn: end,
		Shared: ans.Kind == exeunt.KindShared}
}

// TimeLeft is how long until a page warns, and until the session ends if it stays
// unused: at its idle or its absolute timeout, whichever comes first.
func (s States) TimeLeft(ans authority.Answer) (warn, end time.Duration) {
	at := ans.IdleAt()
	if e := ans.ExpiresAt(); e.Before(at) {
		at = e
	}
	end = max(at.Sub(s.Now()), 0)
	return max(end-s.Authority.WarningOf(ans), 0), end
}

// WriteState answers with a state.
func WriteState(w http.ResponseWriter, s client.State) { client.WriteState(w, s) }
