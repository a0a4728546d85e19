package pages

import (
	"bytes"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// outside is the frame of a page that names no account.
func (p *Pages) outside(r *http.Request) ui.Frame {
	return ui.Frame{
		Now: p.Now(), Lang: p.language(r), Display: exeunt.DisplaySystem,
		Path: pagePath(r), RequestID: web.RequestID(r.Context()), Place: p.Place,
		Kiosk: p.kiosk(r) != nil,
	}
}

// frame is what surrounds a page: the account's panel if somebody is signed in.
func (p *Pages) frame(r *http.Request, v web.Visitor, current ui.Nav) ui.Frame {
	f := p.outside(r)
	if !v.SignedIn() {
		return f
	}
	mine := chip(v)
	f.Account, f.OtherAccounts = &mine, p.others(r, v)
	f.Display, f.Session, f.Current = v.Profile.Display, v.Answer.Session, current
	f.OnShared = v.Answer.Kind == exeunt.KindShared
	f.MayAdd = !f.OnShared && !f.Kiosk && f.Accounts() < p.Policy.Accounts
	if p.Offline {
		f.Ticket = p.Browser.Cookies.Ticket(v.Answer.Session)
	}
	f.WarnIn, f.IdleIn = p.states.TimeLeft(v.Answer)
	return f
}

// show answers with a page, whole or not at all.
func (p *Pages) show(w http.ResponseWriter, status int, view ui.View) error {
	var out bytes.Buffer
	if err := p.UI.Render(&out, view); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", p.UI.LanguageOf(view))
	w.Header().Add("Vary", "Accept-Language, Cookie")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the browser may have gone away
	return nil
}
