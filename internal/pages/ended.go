package pages

import (
	"context"
	"errors"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// ended explains a credential that is no good any more and removes it, so that
// it is explained once. It is the end of a road: it sends nobody on but who is
// signed in after all, so no page can send a browser round in circles.
func (p *Pages) ended(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	back := returnPath(r.URL.Query().Get("return"))
	switch {
	case v.SignedIn():
		return redirect(w, back)
	case v.Indeterminate():
		return exeunt.ErrUnavailable
	case v.Nobody():
		if _, ok := p.notice(r, noticeSignedOut); ok { // another tab of this browser signed out: say that
			return redirect(w, "/signed-out")
		}
		return p.show(w, http.StatusOK, &ui.EndedView{Frame: p.outside(r), Nobody: true, Return: notFront(back)})
	case p.halfway(v):
		return exeunt.ErrSignedOut
	}
	return p.clearAndExplain(w, r, v, back)
}

// halfway reports an incomplete credential so young that its partner may be on its way: a
// browser stores the two cookies of a sign-in one after the other. It is
// refused, but clearing it would undo the sign-in.
func (p *Pages) halfway(v web.Visitor) bool {
	return v.Incomplete() && p.Browser.JustNow(v.Answer.IssuedAt())
}

// errAlive says that a credential turned out to be usable after all.
var errAlive = errors.New("the credential is alive")

// clearAndExplain removes a credential that is no good and says why it is not:
// the reason and the time alone, since its holder may be a thief or the next
// user of the computer.
func (p *Pages) clearAndExplain(w http.ResponseWriter, r *http.Request, v web.Visitor, back string) error {
	view := &ui.EndedView{Frame: p.outside(r), Damaged: v.Token.IsZero(), Return: notFront(back)}
	var err error
	switch {
	case v.Token.IsZero():
	case v.Incomplete():
		view.Ended, err = p.endIncomplete(r, v)
	default:
		view.Ended, err = p.why(r.Context(), v)
	}
	switch {
	case errors.Is(err, errAlive):
		return redirect(w, back)
	case err != nil:
		return err
	}
	if !p.givingWay(view.Ended) {
		p.Browser.Cookies.Forget(w, r, v.Slot)
	}
	return p.show(w, http.StatusOK, view)
}

// givingWay reports a session that a sign-in in the same browser has just
// replaced: the new pair is on its way into the place of this one, and clearing
// might come after it and undo the sign-in.
func (p *Pages) givingWay(end *exeunt.Ended) bool {
	return end != nil && end.Reason == exeunt.ReasonReplaced && p.Browser.JustNow(end.At)
}

// why tells when and why the credential's session ended, nil when it is none
// we know. It is errAlive when time had not run out after all.
func (p *Pages) why(ctx context.Context, v web.Visitor) (*exeunt.Ended, error) {
	at, reason, known, err := p.Authority.WhyEnded(ctx, v.Token)
	switch {
	case err != nil:
		return nil, err
	case reason != "":
		return &exeunt.Ended{At: at, Reason: reason}, nil
	case known && p.Authority.Check(ctx, v.Credential).Usable():
		return nil, errAlive
	}
	return nil, nil
}

// endIncomplete ends the session of an incomplete credential that is about to be
// removed from its browser: otherwise it would live on without anybody holding it.
// The visit has queued the same ending if the pair is old enough; here it must be
// recorded before it is said.
func (p *Pages) endIncomplete(r *http.Request, v web.Visitor) (*exeunt.Ended, error) {
	done, err := p.Authority.End(r.Context(), exeunt.System(), v.Revocation(exeunt.ReasonIncomplete))
	return &exeunt.Ended{At: done.At, Reason: exeunt.ReasonIncomplete}, err
}

// notFront leaves out a return address that is where one gets to anyway.
func notFront(path string) string {
	if path == "/" {
		return ""
	}
	return path
}
