package pages

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// asking is what a page asks about unfamiliar sign-ins.
func (p *Pages) asking(w http.ResponseWriter, r *http.Request, v web.Visitor) (a ui.Asking, err error) {
	if a.Notices, err = p.Accounts.Notices(r.Context(), v.Answer.Account); err != nil || !client.IsActivity(r.Header) {
		return a, err
	}
	_, a.Answered = p.takeNotice(w, r, v, noticeMe)
	return a, nil
}

// noticeID is the notice that the address names.
func noticeID(r *http.Request) (exeunt.NoticeID, error) {
	id, err := exeunt.ParseNoticeID(r.PathValue("id"))
	if err != nil {
		err = exeunt.ErrNotFound
	}
	return id, err
}

// thisWasMe answers that a sign-in was the reader's own. Sent twice, it answers the same.
func (p *Pages) thisWasMe(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	id, err := noticeID(r)
	if err == nil {
		err = p.Accounts.ThisWasMe(r.Context(), v.Actor(r, p.Peers), id)
	}
	if err != nil {
		return err
	}
	p.tell(w, v, noticeMe, url.Values{})
	return redirect(w, returnPath(r.PostFormValue("return")))
}

// notMe ends everything, this session too, because a sign-in was somebody else's. The second of two presses finds that
// this session has just ended so.
func (p *Pages) notMe(w http.ResponseWriter, r *http.Request) error {
	v := p.arrive(r)
	switch {
	case v.SignedIn():
		return formOf(p.disown)(w, r, v)
	case v.Doubt() != nil:
		return v.Doubt()
	case v.Nobody():
		return redirect(w, signedOutPath(nil))
	case p.secondCookiePending(v):
		return exeunt.ErrSignedOut
	}
	s, scope, first, err := p.Authority.SignedOutHere(r.Context(), v.Token)
	switch {
	case err == nil && s.End.Reason == exeunt.ReasonNotMe && p.Browser.JustNow(first.At):
		return p.left(w, r, v, scope, first, s)
	case err != nil && !errors.Is(err, exeunt.ErrNotFound):
		return err
	}
	return p.clearAndExplain(w, r, v, "/")
}

func (p *Pages) disown(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	key, err := formKey(r)
	if err != nil {
		return err
	}
	id, err := noticeID(r)
	if err != nil {
		return err
	}
	done, err := p.Accounts.NotMe(r.Context(), v.Actor(r, p.Peers), key, id)
	if err != nil {
		return err
	}
	return p.left(w, r, v, exeunt.ScopeAccount, done, exeunt.Session{ID: v.Answer.Session, Kind: v.Answer.Kind,
		End: &exeunt.Ended{At: done.At, Reason: exeunt.ReasonNotMe}})
}

// notMePath is where the links of mails about sign-ins lead.
const notMePath = "/not-me/"

// notMeForm asks whether a sign-in was the reader's own, or says what was answered. It spends nothing.
func (p *Pages) notMeForm(w http.ResponseWriter, r *http.Request) error {
	t := linkToken(r)
	d, err := p.Accounts.LookAtNotMe(r.Context(), t)
	if err != nil {
		return err
	}
	view := &ui.NotMeView{Frame: p.outside(r), Handle: d.Handle, Notice: d.Notice, Spent: d.Spent}
	if d.Notice.State == exeunt.NoticeNotMe {
		_, err := p.Accounts.LookAtReset(r.Context(), p.Browser.Cookies.ResetToken(t))
		view.Reset = err == nil
		if err != nil && !errors.Is(err, exeunt.ErrInviteSpent) {
			return err
		}
	}
	return p.show(w, http.StatusOK, view)
}

// notMeByLink takes the answer of somebody who need not be signed in, and then shows what it has done. Sent twice, or by
// many at once, it does it once and shows the same.
func (p *Pages) notMeByLink(w http.ResponseWriter, r *http.Request) error {
	t := linkToken(r)
	d, err := p.Accounts.LookAtNotMe(r.Context(), t)
	if err != nil {
		return err
	}
	reset := p.Browser.Cookies.ResetToken(t)
	switch as := exeunt.NoticeState(r.PostFormValue("answer")); as {
	case "reset":
		return redirect(w, "/reset/"+reset.Reveal())
	case exeunt.NoticeMe, exeunt.NoticeNotMe:
		err = p.Accounts.AnswerByLink(r.Context(), d, as, reset, p.Peers.Address(r))
	default:
		return exeunt.ErrBadRequest
	}
	if err != nil && !errors.Is(err, exeunt.ErrInviteSpent) && !errors.Is(err, exeunt.ErrAnswered) {
		return err
	}
	return redirect(w, notMePath+t.Reveal())
}
