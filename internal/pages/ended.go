package pages

import (
	"context"
	"errors"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// ended explains a credential that is no longer valid and removes it, so that it is
// explained once. Only somebody who is signed in after all is redirected from here,
// so no redirect loop is possible.
func (p *Pages) ended(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	back := returnPath(r.URL.Query().Get("return"))
	switch {
	case v.SignedIn():
		return redirect(w, back)
	case v.Doubt() != nil:
		return v.Doubt()
	case v.Nobody():
		if _, ok := p.notice(r, noticeSignedOut); ok { // another tab of this browser signed out: say that
			return redirect(w, "/signed-out")
		}
		return p.show(w, http.StatusOK, &ui.EndedView{Frame: p.outside(r), Nobody: true, Return: notFront(back)})
	case p.secondCookiePending(v):
		return exeunt.ErrSignedOut
	}
	return p.clearAndExplain(w, r, v, back)
}

// secondCookiePending reports an incomplete credential so new that its other half may
// still arrive: a browser stores the two cookies of a sign-in one after the other. It
// is refused, but clearing it would undo the sign-in.
func (p *Pages) secondCookiePending(v web.Visitor) bool {
	return v.Incomplete() && v.JustIssued
}

// errUsable says that a credential turned out to be usable after all.
var errUsable = errors.New("the credential is usable")

// clearAndExplain removes an invalid credential and says why it is invalid. It tells only the
// reason and the time, since whoever holds it may be a thief or the next user of the computer.
func (p *Pages) clearAndExplain(w http.ResponseWriter, r *http.Request, v web.Visitor, back string) error {
	end, err := p.removeDead(w, r, v)
	switch {
	case errors.Is(err, errUsable):
		return redirect(w, back)
	case err != nil:
		return err
	}
	return p.show(w, http.StatusOK, &ui.EndedView{Frame: p.outside(r), Ended: end, Damaged: v.Token.IsZero(), Return: notFront(back)})
}

// removeDead removes an invalid credential, ends its session if it is the half of one that lives, and returns when and why
// it ended, nil if nothing is known of it. It returns errUsable, and removes nothing, if it has not ended after all.
func (p *Pages) removeDead(w http.ResponseWriter, r *http.Request, v web.Visitor) (end *exeunt.Ended, err error) {
	switch {
	case v.Token.IsZero():
	case v.Incomplete():
		end, err = p.endIncomplete(r, v)
	default:
		end, err = p.why(r.Context(), v)
	}
	if err == nil && !p.justReplaced(end) {
		p.Browser.Cookies.Forget(w, r, v.Place)
	}
	return end, err
}

// justReplaced reports a session that a sign-in in the same browser has just replaced.
// The new cookies are on their way, and clearing them might undo the sign-in.
func (p *Pages) justReplaced(end *exeunt.Ended) bool {
	return end != nil && end.Reason == exeunt.ReasonReplaced && p.Browser.JustNow(end.At)
}

// why tells when and why the credential's session ended, nil if there is no record of
// it. It returns errUsable if the session has not timed out after all.
func (p *Pages) why(ctx context.Context, v web.Visitor) (*exeunt.Ended, error) {
	at, reason, exists, err := p.Authority.WhyEnded(ctx, v.Token)
	switch {
	case err != nil:
		return nil, err
	case reason != "":
		return &exeunt.Ended{At: at, Reason: reason}, nil
	case exists && p.Authority.Check(ctx, v.Credential).Usable():
		return nil, errUsable
	}
	return nil, nil
}

// endIncomplete ends the session of an incomplete credential that is about to be removed from its
// browser, so that it does not live on unused. The visit has queued the same ending if the pair is
// old enough, but the page may only claim what has been recorded.
func (p *Pages) endIncomplete(r *http.Request, v web.Visitor) (*exeunt.Ended, error) {
	done, err := p.Authority.End(r.Context(), exeunt.System(), v.Revocation(exeunt.ReasonIncomplete))
	return &exeunt.Ended{At: done.At, Reason: exeunt.ReasonIncomplete}, err
}

// notFront returns "" for the front page, which is where people land anyway.
func notFront(path string) string {
	if path == "/" {
		return ""
	}
	return path
}
