package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

const (
	checkPath = "/check"
	// maxOthers is how many other sessions the check names.
	maxOthers = 3
)

// check says what is left of a sign-in, and, for a few minutes after a sign-out in this browser, what became of that. What
// is left in the browser a script finds, which tells us nothing of it.
func (p *Pages) check(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	view, err := p.checked(r, v)
	if err != nil {
		return p.unlessUsable(w, r, err)
	}
	if n, ok := p.notice(r, noticeSignedOut); ok {
		if err := p.checkNotice(r.Context(), v, view, readSignOut(n)); err != nil {
			// The rest of the check is of use without it.
			p.Log.Warn("cannot read what became of a sign-out", "request", web.RequestID(r.Context()), "err", err)
		}
	}
	return p.show(w, http.StatusOK, view)
}

// checkReceipt is check about the sign-out of a receipt. As there, knowing the address is enough.
func (p *Pages) checkReceipt(w http.ResponseWriter, r *http.Request) error {
	seq, at, ok := p.Receipts.Read(r.PathValue("handle"))
	if !ok {
		return fmt.Errorf("check: %w", exeunt.ErrNotFound)
	}
	e, err := p.Authority.Ending(r.Context(), seq, at)
	if err != nil {
		return err
	}
	v := p.visit(r)
	view, err := p.checked(r, v)
	if err != nil {
		return p.unlessUsable(w, r, err)
	}
	w.Header().Set("X-Robots-Tag", "noindex")
	view.Out = &ui.CheckOut{At: e.At, Scope: e.Scope, App: !e.AppSession.IsZero(),
		Who: whoIsIn(v, view.This, e.Account, e.At)}
	var complete bool
	view.Apps, complete = p.reached(&e)
	view.Some = !complete
	return p.show(w, http.StatusOK, view)
}

// unlessUsable loads the page again if a credential that seemed to have timed out is usable after all.
func (p *Pages) unlessUsable(w http.ResponseWriter, r *http.Request, err error) error {
	if errors.Is(err, errUsable) {
		return redirect(w, pagePath(r))
	}
	return err
}

// checked is the server's half of the check.
func (p *Pages) checked(r *http.Request, v web.Visitor) (*ui.CheckView, error) {
	view := &ui.CheckView{Frame: p.frame(r, v, ui.NavHelp), State: p.presented(r, v), Browser: helpBrowser(r.UserAgent())}
	switch {
	case view.State == ui.CheckLive:
		return view, p.checkLive(r.Context(), v, view)
	case v.Doubt() != nil:
		return nil, v.Doubt()
	case view.State == ui.CheckEnded:
		var err error
		view.Ended, err = p.why(r.Context(), v)
		return view, err
	}
	return view, nil
}

// presented says what the browser presented. An incomplete credential that is not new ends its session, as on any page.
func (p *Pages) presented(r *http.Request, v web.Visitor) ui.CheckState {
	switch {
	case v.SignedIn():
		return ui.CheckLive
	case v.Nobody():
		return ui.CheckNobody
	case v.Token.IsZero() && p.Browser.Cookies.OnlyReadable(r, v.Place):
		return ui.CheckReadable
	case v.Token.IsZero():
		return ui.CheckGarbage
	case p.secondCookiePending(v):
		return ui.CheckArriving
	case v.Incomplete():
		return ui.CheckHalf
	}
	return ui.CheckEnded
}

func (p *Pages) checkLive(ctx context.Context, v web.Visitor, view *ui.CheckView) error {
	live, err := p.toEnd(ctx, v)
	if err != nil {
		return err
	}
	view.This, view.Live = live.this, live.count
	view.Others = live.others[:min(len(live.others), maxOthers)]
	view.Using, view.More = ui.ReachOf([]exeunt.Session{live.this}, p.OAuth.Clients(), p.Now(), false)
	view.Using, view.More = ui.FirstReached(view.Using, view.More, shownAfter)
	return nil
}

// checkNotice adds the sign-out that has just been done here.
func (p *Pages) checkNotice(ctx context.Context, v web.Visitor, view *ui.CheckView, d *ui.SignOutDone) error {
	account, err := p.Authority.AccountOf(ctx, d.Session)
	if err != nil && !errors.Is(err, exeunt.ErrNotFound) {
		return err
	}
	out := &ui.CheckOut{At: d.At, Scope: d.Scope, Who: whoIsIn(v, view.This, account, d.At)}
	apps, more, err := p.appsAfter(ctx, d)
	if err != nil {
		return err
	}
	view.Out, view.Apps = out, apps
	if !v.SignedIn() {
		view.More = more
	}
	return nil
}

// whoIsIn relates whoever is signed in, by that session, to a sign-out of the account at that time.
func whoIsIn(v web.Visitor, s exeunt.Session, account exeunt.AccountID, at time.Time) ui.CheckWho {
	switch {
	case !v.SignedIn():
		return ""
	case v.Answer.Account != account:
		return ui.CheckAnother
	case s.Started.After(at):
		return ui.CheckAgain
	}
	return ui.CheckOther
}

// clearDead removes what a browser presents that lets nobody in, as /ended does, and leads back to the check. What lets
// somebody in stays: that is signed out.
func (p *Pages) clearDead(w http.ResponseWriter, r *http.Request) error {
	active := p.Browser.Visitor(r)
	for _, v := range append([]web.Visitor{active}, p.Browser.Others(r, active)...) {
		switch {
		case v.SignedIn(), v.Nobody():
			continue
		case v.Doubt() != nil:
			return v.Doubt()
		case p.secondCookiePending(v):
			return exeunt.ErrSignedOut
		}
		if _, err := p.removeDead(w, r, v); err != nil && !errors.Is(err, errUsable) {
			return err
		}
	}
	return redirect(w, checkPath)
}

// checkPathOf is where the sign-out of an ending is checked; the check of this browser alone if it has no receipt.
func (p *Pages) checkPathOf(done authority.Ending) string {
	if path := p.receiptPath(done); path != "" {
		return path + checkPath
	}
	return checkPath
}
