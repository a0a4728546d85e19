package pages

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// accounts lists the accounts that are signed in in this browser.
func (p *Pages) accounts(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.showAccounts(w, r, v, http.StatusOK, false)
}

func (p *Pages) showAccounts(w http.ResponseWriter, r *http.Request, v web.Visitor, status int, full bool) error {
	return p.show(w, status, &ui.AccountsView{Frame: p.frame(r, v, ""), Most: p.Policy.Accounts, Full: full})
}

// withRoom shows a page only while no more accounts are signed in in this browser than can be: tabs that sign in at the same
// moment know nothing of each other.
func (p *Pages) withRoom(h page) page {
	return func(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
		if r.Method == http.MethodGet && len(p.Browser.Cookies.Places(r)) > p.Policy.Accounts && len(p.others(r, v)) >= p.Policy.Accounts {
			return p.showAccounts(w, r, v, http.StatusConflict, true)
		}
		return h(w, r, v)
	}
}

// badge is the icon of a tab while several accounts are signed in. It is drawn from its address alone.
func (p *Pages) badge(w http.ResponseWriter, r *http.Request) error {
	name, ok := strings.CutSuffix(r.PathValue("badge"), ".svg")
	svg, drawn := ui.Badge(name)
	if !ok || !drawn {
		return exeunt.ErrNotFound
	}
	return writeFile(w, "image/svg+xml", svg)
}

// chip is how pages show an account of this browser.
func chip(v web.Visitor) ui.AccountChip {
	return ui.AccountChip{Session: v.Answer.Session, Name: v.Profile.Name, Handle: v.Profile.Handle,
		Picture: pictureAddress(v.Answer.Account, v.Profile)}
}

// others are the other accounts that are signed in here. One whose profile cannot be read now is left out.
func (p *Pages) others(r *http.Request, v web.Visitor) (list []ui.AccountChip) {
	for _, one := range p.Browser.Others(r, v) {
		if one = p.Browser.Introduced(r.Context(), one); one.SignedIn() {
			other := chip(one)
			other.Asked = p.isAsked(r, one)
			list = append(list, other)
		}
	}
	return list
}

// isAsked reports whether the pages of the account ask about an unfamiliar sign-in. If that cannot be told now, pages do
// without the mark.
func (p *Pages) isAsked(r *http.Request, v web.Visitor) bool {
	notices, err := p.Accounts.Notices(r.Context(), v.Answer.Account)
	asking := ui.Asking{Notices: notices}
	return err == nil && len(asking.Asked(v.Answer.Session)) > 0
}

// switchAccount makes another account of this browser the active one. What the browser holds of it proves whose it is; a
// fresh proof is asked for only by policy.
func (p *Pages) switchAccount(w http.ResponseWriter, r *http.Request) error {
	id, err := exeunt.ParseSessionID(r.PostFormValue("to"))
	if err != nil {
		return exeunt.ErrBadRequest
	}
	to := p.Browser.Introduced(r.Context(), p.Browser.VisitorOf(r, id))
	switch {
	case to.Renewed():
		return redirect(w, "/accounts")
	case to.Doubt() != nil:
		return to.Doubt()
	case to.Nobody(), p.secondCookiePending(to):
		return exeunt.ErrSignedOut
	case !to.SignedIn():
		return p.clearAndExplain(w, r, to, "/")
	}
	back := returnPath(r.PostFormValue("return"))
	if !p.Policy.ConfirmSwitch {
		return p.switchTo(w, r, to, back)
	}
	return p.once(func(w http.ResponseWriter, r *http.Request, to web.Visitor) error {
		proving := p.proving(r, to)
		_, err := proving.prove(r.Context())
		if status := refusal(w, err); status != 0 {
			view := &ui.SwitchView{Frame: p.frame(r, p.visit(r), ""), To: chip(to), Return: notFront(back), Err: err}
			if !r.PostForm.Has("current") {
				view.Err = nil // they were not asked before
			}
			if view.Proof, err = p.proof(r.Context(), to, view.Err); err != nil {
				return err
			}
			return p.show(w, status, view)
		}
		if err != nil {
			return err
		}
		proving.done(w, exeunt.Token{})
		return p.switchTo(w, r, to, back)
	})(w, r, to)
}

func (p *Pages) switchTo(w http.ResponseWriter, r *http.Request, to web.Visitor, back string) error {
	p.Authority.TouchFrom(to.Answer, p.Peers.Address(r))
	p.Browser.Cookies.SetActive(w, r, to.Place)
	return redirect(w, back)
}

// askSignOutAll asks before every account of this browser is signed out.
func (p *Pages) askSignOutAll(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	view := &ui.SignOutAllView{Frame: p.frame(r, v, "")}
	if len(view.OtherAccounts) == 0 {
		return redirect(w, "/signout")
	}
	if p.Offline {
		for _, one := range view.OtherAccounts {
			view.Tickets = append(view.Tickets, p.Browser.Cookies.Ticket(one.Session))
		}
	}
	return p.show(w, http.StatusOK, view)
}

// signOutAll ends the sessions of every account of this browser, each in an event of its own. The cookies stay until all are
// recorded as ended, so that the same button can be pressed again: those that have ended by then are not ended twice.
func (p *Pages) signOutAll(w http.ResponseWriter, r *http.Request) error {
	first := p.Browser.Visitor(r)
	all := append([]web.Visitor{first}, p.Browser.Others(r, first)...)
	named := func(v web.Visitor) bool { return v.FormSession(r) == nil }
	if slices.ContainsFunc(all, web.Visitor.SignedIn) && !slices.ContainsFunc(all, named) {
		return exeunt.ErrOtherAccount
	}
	key, err := formKey(r)
	if err != nil {
		return err
	}
	var done []ui.AccountLeft
	var gone []web.Place
	for _, v := range all {
		switch {
		case v.Nobody():
			continue
		case v.Renewed():
			if v.Credential, v.Answer, err = p.Authority.Repeated(r.Context(), v.Credential, key); err != nil {
				return err
			}
		case v.Doubt() != nil:
			return v.Doubt()
		}
		gone = append(gone, v.Place)
		left, err := p.leaveOne(r, v, key)
		if err != nil {
			return err
		}
		if left != nil {
			done = append(done, *left)
		}
	}
	p.leftSeveral(w, r, gone, done)
	return redirect(w, "/signed-out")
}

// leftSeveral clears the browser after the sign-out of several accounts was recorded, and says what was done.
func (p *Pages) leftSeveral(w http.ResponseWriter, r *http.Request, gone []web.Place, done []ui.AccountLeft) {
	p.Browser.Cookies.Forget(w, r, gone...)
	p.Browser.Cookies.ForgetRequester(w, r)
	if len(done) == 0 {
		return
	}
	p.leaveNotice(w, noticeSignedOut, signOutNotice(ui.SignOutDone{
		At: done[0].At, Scope: exeunt.ScopeSession, Session: done[0].Session, Event: done[0].Event, Ended: len(done), Apps: done[0].Apps,
		Clear: web.ThroughWorker(r) && r.URL.Path != offlinePath, More: done[1:],
	}))
}

// leaveOne ends the session of one account. Nothing is left of one that has ended otherwise.
func (p *Pages) leaveOne(r *http.Request, v web.Visitor, key string) (*ui.AccountLeft, error) {
	var done authority.Ending
	var err error
	s := exeunt.Session{ID: v.Answer.Session, Kind: v.Answer.Kind}
	switch {
	case v.SignedIn() || v.Incomplete():
		rev := v.Revocation(exeunt.ReasonSignedOut)
		rev.Key = key
		done, err = p.Authority.End(r.Context(), v.Actor(r, p.Peers), rev)
	case v.Token.IsZero():
		return nil, nil
	default: // by the first of two presses, perhaps
		s, _, done, err = p.Authority.SignedOutHere(r.Context(), v.Token)
		if errors.Is(err, exeunt.ErrNotFound) || err == nil && !p.Browser.JustNow(done.At) {
			return nil, nil
		}
	}
	if err != nil {
		return nil, err
	}
	left := &ui.AccountLeft{At: done.At, Session: s.ID, Apps: int(done.Apps)}
	if s.Kind == exeunt.KindKept {
		left.Event = done.Seq
	}
	return left, nil
}
