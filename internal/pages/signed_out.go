package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
)

// signedOut tells what was done, if a notice of ours in this browser says so. Script loads the page again while apps are
// being told.
func (p *Pages) signedOut(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	if n, ok := p.notice(r, noticeSignedOut); v.SignedIn() && (!ok || readSignOut(n).Session == v.Answer.Session) {
		return redirect(w, "/")
	}
	if err := v.Doubt(); err != nil {
		return err
	}
	return p.showSignedOut(w, r, &ui.SignedOutView{Frame: p.frame(r, v, ""), Client: p.client(r.URL.Query().Get("client"))})
}

func (p *Pages) showSignedOut(w http.ResponseWriter, r *http.Request, view *ui.SignedOutView) error {
	if n, ok := p.notice(r, noticeSignedOut); ok {
		view.Done = readSignOut(n)
		if mode := r.Header.Get("Sec-Fetch-Mode"); view.Done.Clear && (mode == "navigate" || mode == "") { // not when script looks at apps
			p.Browser.Cookies.ClearStorage(w, r)
		}
		recorded := authority.Ending{Seq: view.Done.Event, At: view.Done.At}
		view.Proof, view.Check = p.receiptPath(recorded), p.checkPathOf(recorded)
		if len(view.Done.More) > 0 {
			view.Proofs = p.proofsOf(view.Done)
		}
		var err error
		if view.Apps, view.More, err = p.appsAfter(r.Context(), view.Done); err != nil {
			// That it is signed out is recorded, whatever can be read now.
			p.Log.Warn("cannot read what became of the apps of a sign-out", "session", view.Done.Session, "err", err)
			view.Apps, view.More = nil, 0
		}
		if d := *view.Done; d.Shared && !d.Session.IsZero() && err == nil && !view.Waiting() {
			// Firefox writes even cookies without expiry to the disk. This page has said what there is to say of the session,
			// so its ID need not be there.
			d.Session = exeunt.SessionID{}
			p.leaveNotice(w, noticeSignedOut, signOutNotice(d))
		}
	}
	return p.show(w, http.StatusOK, view)
}

// proofsOf returns the receipts of several accounts that were signed out together.
func (p *Pages) proofsOf(d *ui.SignOutDone) (list []ui.NumberedProof) {
	all := append([]ui.AccountLeft{{At: d.At, Event: d.Event}}, d.More...)
	for i, one := range all {
		if path := p.receiptPath(authority.Ending{Seq: one.Event, At: one.At}); path != "" {
			list = append(list, ui.NumberedProof{Number: i + 1, Path: path})
		}
	}
	return list
}

// shownAfter is how many apps the page after a sign-out shows.
const shownAfter = 20

// appsAfter returns what has become of the apps that were used with what a sign-out has ended.
func (p *Pages) appsAfter(ctx context.Context, d *ui.SignOutDone) (apps []ui.AppAfter, more int, err error) {
	account, err := p.Authority.AccountOf(ctx, d.Session)
	if errors.Is(err, exeunt.ErrNotFound) { // deleted since
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	ended, err := p.endedBy(ctx, account, d)
	if err != nil {
		return nil, 0, err
	}
	list, more := ui.ReachOf(ended, p.OAuth.Clients(), p.Now(), d.Scope == exeunt.ScopeAccount)
	list, more = ui.FirstReached(list, more, shownAfter)
	told, err := p.Authority.Deliveries(ctx, account, d.Session)
	if err != nil {
		return nil, 0, err
	}
	for _, a := range list {
		one := ui.AppAfter{AppReach: a}
		// Of earlier ends, such as that of the app alone, it was told before.
		i := slices.IndexFunc(told, func(t exeunt.Delivery) bool { return t.Client == a.Client.ID && !t.At.Before(d.At) })
		if i >= 0 {
			one.Delivery = &told[i]
		}
		apps = append(apps, one)
	}
	return apps, more, nil
}

// endedBy returns the sessions that a sign-out has ended, the browser's first; of very many, some.
func (p *Pages) endedBy(ctx context.Context, account exeunt.AccountID, d *ui.SignOutDone) ([]exeunt.Session, error) {
	s, err := p.Authority.Session(ctx, account, d.Session)
	if err != nil || d.Scope != exeunt.ScopeAccount {
		return []exeunt.Session{s}, err
	}
	done, err := p.Authority.Listing(ctx, account)
	if err != nil {
		return nil, err
	}
	defer done()
	list, err := p.Authority.Sessions(ctx, exeunt.SessionFilter{Account: account, State: exeunt.SessionsEnded, Limit: pageLen})
	out := []exeunt.Session{s}
	for _, one := range list.Items {
		if one.ID != s.ID && one.End != nil && one.End.At.Equal(d.At) {
			out = append(out, one)
		}
	}
	return out, err
}

func signedOutPath(from *exeunt.Client) string {
	if from == nil {
		return "/signed-out"
	}
	return "/signed-out?" + url.Values{"client": {string(from.ID)}}.Encode()
}
