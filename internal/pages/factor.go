package pages

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/factor"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

const (
	sealedSetup = "setup"
	sealedCodes = "codes"
)

// appForm shows what an authenticator app reads. Nothing is stored before somebody types what the app then shows.
func (p *Pages) appForm(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.showApp(w, r, v, http.StatusOK, p.Accounts.SetUp(v.Actor(r, p.Peers)), &ui.AppView{})
}

func (p *Pages) showApp(
	w http.ResponseWriter, r *http.Request, v web.Visitor, status int, set account.Setup, view *ui.AppView,
) (err error) {
	if view.Setup, err = p.Browser.Cookies.SealForm(sealedSetup, set); err != nil {
		return err
	}
	site := strings.TrimPrefix(strings.TrimPrefix(p.Issuer, "https://"), "http://")
	qr, err := factor.QR(factor.URI(site, v.Profile.Handle, set.Secret), "QR code")
	if err != nil {
		return err
	}
	view.QR, view.Secret = template.HTML(qr), factor.Text(set.Secret)
	live, err := p.toEnd(r.Context(), v)
	if err != nil {
		return err
	}
	if view.Proof, err = p.proof(r.Context(), v, view.Err); err != nil {
		return err
	}
	view.Frame, view.Others = p.frame(r, v, ui.NavSecurity), live.count-1
	return p.show(w, status, view)
}

// addApp adds the app, once, however often the form is sent.
func (p *Pages) addApp(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	by, proving := v.Actor(r, p.Peers), p.proving(r, v)
	set, name, f, err := p.addition(r, v, proving)
	if err != nil {
		return err
	}
	done, err := p.Accounts.AddApp(r.Context(), by, set, name, r.PostFormValue("app_code"), f)
	if status := refusal(w, err); status != 0 {
		proving.refused(w)
		if !p.Accounts.Usable(by, set) {
			set = p.Accounts.SetUp(by)
		}
		return p.showApp(w, r, v, status, set, &ui.AppView{Name: name, Keep: !f.Others, Err: err})
	}
	if err != nil {
		return err
	}
	proving.withFactor(exeunt.MethodTOTP)
	return p.factorsChanged(w, r, proving, done, "added")
}

// addition reads the form of a new factor. A setup that does not open is not usable.
func (p *Pages) addition(r *http.Request, v web.Visitor, x *proving) (
	set account.Setup, name string, f account.FactorForm, err error,
) {
	p.Browser.Cookies.OpenForm(sealedSetup, r.PostFormValue("setup"), &set)
	f, err = p.factorPost(r, v, x)
	return set, r.PostFormValue("name"), f, err
}

// factorPost reads what every form has that changes the factors.
func (p *Pages) factorPost(r *http.Request, v web.Visitor, x *proving) (f account.FactorForm, err error) {
	f = account.FactorForm{From: v.Token, Others: r.PostFormValue("others") != "", Prove: x.prove}
	f.Key, err = formKey(r)
	return f, err
}

// factorsChanged goes on to the recovery codes that were made, or back.
func (p *Pages) factorsChanged(
	w http.ResponseWriter, r *http.Request, x *proving, done account.FactorsChanged, what string,
) error {
	if done.Codes != nil {
		sealed, err := p.Browser.Cookies.SealForm(sealedCodes, shownCodes{Session: x.v.Answer.Session, Codes: done.Codes})
		if err != nil {
			return err
		}
		p.Browser.Cookies.SetCodes(w, sealed)
	}
	x.done(w, done.Token)
	n, required := p.notice(r, noticeRequired)
	if !required || !p.isFor(n, x.v) {
		p.tell(w, x.v, noticeFactor, url.Values{"what": {what}})
	}
	if done.Codes != nil {
		return redirect(w, "/security/codes")
	}
	return redirect(w, p.goesOn(w, r, x.v, "/security"))
}

// shownCodes are recovery codes that were just made, and in which session.
type shownCodes struct {
	Session exeunt.SessionID
	Codes   []string
}

// String leaves the codes out.
func (shownCodes) String() string { return "pages.shownCodes(…)" }

// GoString is String, for %#v.
func (s shownCodes) GoString() string { return s.String() }

// justMade returns the recovery codes that this session has just made and not yet called saved.
func (p *Pages) justMade(r *http.Request, v web.Visitor) []string {
	var s shownCodes
	if !p.Browser.Cookies.OpenForm(sealedCodes, p.Browser.Cookies.ReadCodes(r), &s) || s.Session != v.Answer.Session {
		return nil
	}
	return s.Codes
}

// codes shows the recovery codes that were just made, or asks whether to make new ones.
func (p *Pages) codes(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.showCodes(w, r, v, http.StatusOK, p.Accounts.SetUp(v.Actor(r, p.Peers)), nil)
}

func (p *Pages) showCodes(
	w http.ResponseWriter, r *http.Request, v web.Visitor, status int, set account.Setup, wrong error,
) (err error) {
	view := &ui.CodesView{Err: wrong}
	if wrong == nil {
		view.Codes = p.justMade(r, v)
	}
	set.Secret = nil // of no use here
	if view.Setup, err = p.Browser.Cookies.SealForm(sealedSetup, set); err != nil {
		return err
	}
	var factors []exeunt.Factor
	if factors, view.Has, err = p.SignIn.Factors(r.Context(), v.Answer.Account); err != nil {
		return err
	}
	view.NoFactor = len(factors) == 0
	if view.Proof, err = p.proof(r.Context(), v, wrong); err != nil {
		return err
	}
	view.Frame = p.frame(r, v, ui.NavSecurity)
	return p.show(w, status, view)
}

// makeCodes replaces the recovery codes; sent twice, the form makes the same.
func (p *Pages) makeCodes(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	by, proving := v.Actor(r, p.Peers), p.proving(r, v)
	f, err := p.factorPost(r, v, proving)
	if err != nil {
		return err
	}
	var set account.Setup
	if !p.Browser.Cookies.OpenForm(sealedSetup, r.PostFormValue("setup"), &set) {
		return fmt.Errorf("setup: %w", exeunt.ErrBadRequest)
	}
	f.Others = false
	done, err := p.Accounts.MakeCodes(r.Context(), by, set, f)
	if status := refusal(w, err); status != 0 {
		proving.refused(w)
		if !p.Accounts.Usable(by, set) {
			set = p.Accounts.SetUp(by)
		}
		return p.showCodes(w, r, v, status, set, err)
	}
	if err != nil {
		return err
	}
	return p.factorsChanged(w, r, proving, done, "codes")
}

// codesText is the codes as a file.
func (p *Pages) codesText(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	codes := p.justMade(r, v)
	if codes == nil || mayNotStay(v, r.PostFormValue("stays")) {
		return redirect(w, "/security/codes")
	}
	web.NoStore(w)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="recovery-codes.txt"`)
	_, err := fmt.Fprintf(w, "Recovery codes of @%s at %s\r\nMade on %s. Each works once.\r\n\r\n%s\r\n", v.Profile.Handle,
		p.Issuer, p.Now().UTC().Format("2 January 2006"), strings.Join(codes, "\r\n"))
	return err
}

// codesSaved takes the codes out of the browser.
func (p *Pages) codesSaved(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	p.Browser.Cookies.ClearCodes(w)
	return redirect(w, p.goesOn(w, r, v, "/security"))
}

// factorForm says what follows if a factor is removed.
func (p *Pages) factorForm(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.showFactor(w, r, v, http.StatusOK, &ui.FactorView{})
}

func (p *Pages) showFactor(w http.ResponseWriter, r *http.Request, v web.Visitor, status int, view *ui.FactorView) error {
	list, _, err := p.SignIn.Factors(r.Context(), v.Answer.Account)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(f exeunt.Factor) bool { return f.ID.String() == r.PathValue("id") })
	if i < 0 {
		return redirect(w, "/security") // it was removed meanwhile
	}
	live, err := p.toEnd(r.Context(), v)
	if err != nil {
		return err
	}
	if view.Proof, err = p.proof(r.Context(), v, view.Err); err != nil {
		return err
	}
	view.Frame, view.Factor, view.Last, view.Others = p.frame(r, v, ui.NavSecurity), list[i], len(list) == 1, live.count-1
	return p.show(w, status, view)
}

func (p *Pages) removeFactor(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	proving := p.proving(r, v)
	f, err := p.factorPost(r, v, proving)
	if err != nil {
		return err
	}
	var id exeunt.FactorID
	if err := id.UnmarshalText([]byte(r.PathValue("id"))); err != nil {
		return fmt.Errorf("factor: %w", exeunt.ErrNotFound)
	}
	done, err := p.Accounts.RemoveFactor(r.Context(), v.Actor(r, p.Peers), id, f)
	if errors.Is(err, exeunt.ErrNotFound) {
		return redirect(w, "/security") // the form was sent twice
	}
	if status := refusal(w, err); status != 0 {
		proving.refused(w)
		return p.showFactor(w, r, v, status, &ui.FactorView{Keep: !f.Others, Err: err})
	}
	if err != nil {
		return err
	}
	return p.factorsChanged(w, r, proving, done, "removed")
}
