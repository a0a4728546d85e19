package pages

import (
	"net/http"
	"net/url"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/ui"
)

// forgotForm asks to whom a link for a new password is sent. Without a mail server there is no such page.
func (p *Pages) forgotForm(w http.ResponseWriter, r *http.Request) error {
	return p.showForgot(w, r, http.StatusOK, &ui.ForgotView{})
}

func (p *Pages) showForgot(w http.ResponseWriter, r *http.Request, status int, view *ui.ForgotView) error {
	if !p.Accounts.SendsMails() {
		return exeunt.ErrNotFound
	}
	view.Frame, view.Life = p.outside(r), account.MailLinkLife
	return p.show(w, status, view)
}

// forgot asks for the link. The answer is the same whether or not there is such an account (OWASP ASVS 5.0, 6.3.8).
func (p *Pages) forgot(w http.ResponseWriter, r *http.Request) error {
	key, err := formKey(r)
	if err != nil {
		return err
	}
	identifier := r.PostFormValue("identifier")
	err = p.Accounts.AskReset(r.Context(), identifier, key, p.Peers.Address(r))
	if status := refusal(w, err); status != 0 {
		return p.showForgot(w, r, status, &ui.ForgotView{Identifier: identifier, Err: err})
	}
	if err != nil {
		return err
	}
	p.leaveNotice(w, noticeForgot, url.Values{})
	return redirect(w, "/forgot/sent")
}

// forgotSent says that a mail may be on its way, to whoever has just asked.
func (p *Pages) forgotSent(w http.ResponseWriter, r *http.Request) error {
	if _, ok := p.notice(r, noticeForgot); !ok {
		return redirect(w, "/forgot")
	}
	return p.showForgot(w, r, http.StatusOK, &ui.ForgotView{Sent: true})
}
