package pages

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// asked is what this browser's passkeys were asked, and for which form.
func (p *Pages) asked(r *http.Request) signin.Asked {
	t, expires := p.Browser.Cookies.ReadAsked(r)
	key, _ := formKey(r) // a malformed one was refused before
	return signin.Asked{Token: t, Expires: expires, Form: key}
}

// passkeyQuestion tells the script what to ask the browser's passkeys: to sign in, or with "confirm", for a form of
// somebody who is signed in. Nothing is stored; the browser keeps the question in a cookie.
func (p *Pages) passkeyQuestion(w http.ResponseWriter, r *http.Request) error {
	if !p.SignIn.HasPasskeys() {
		return exeunt.ErrNotFound
	}
	v := p.Browser.Visitor(r)
	had := p.asked(r)
	asked, err := p.SignIn.NewAsked(r.Context(), had)
	if err != nil {
		return err
	}
	var question []byte
	if r.URL.Query().Has("confirm") {
		if !v.SignedIn() {
			return exeunt.ErrSignedOut
		}
		question, err = p.SignIn.AskConfirm(r.Context(), asked, v.Actor(r, p.Peers))
	} else {
		question, err = p.SignIn.AskSignIn(asked)
	}
	if err != nil {
		return err
	}
	if asked != had {
		if err := p.Browser.Cookies.SetAsked(w, asked.Token, asked.Expires); err != nil {
			return err
		}
	}
	web.NoStore(w)
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(question)
	return err
}

// byPasskey proves who somebody is by what the browser's passkey has answered.
func (p *Pages) byPasskey(r *http.Request, answer string) (exeunt.Proof, error) {
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Address: p.Peers.Address(r), Label: label(r)}
	return p.SignIn.Passkey(r.Context(), p.asked(r), answer, by)
}

// isBy reports whether an answer says that it is by a passkey of whoever is signed in.
func (p *Pages) isBy(v web.Visitor, answer string) bool {
	id, _ := signin.AnsweredBy(answer)
	return v.SignedIn() && v.Answer.Account == id
}

// unknownPasskey is what the browser is told of a passkey that is not registered here: its password manager can then stop
// offering it.
func (p *Pages) unknownPasskey(r *http.Request, err error) string {
	if exeunt.CodeOf(err) != "unknown_passkey" {
		return ""
	}
	_, credential := signin.AnsweredBy(r.PostFormValue("passkey"))
	return signal(map[string]any{"unknown": map[string]any{"rpId": p.SignIn.PasskeyDomain(), "credentialId": base64url(credential)}})
}

// signals is what the browser is told of the passkeys and the name of somebody who is signed in.
func (p *Pages) signals(v web.Visitor, list []exeunt.Factor) string {
	if !p.SignIn.HasPasskeys() {
		return ""
	}
	ids := []string{}
	for _, id := range account.Passkeys(list) {
		ids = append(ids, base64url(id))
	}
	domain, user := p.SignIn.PasskeyDomain(), base64url(v.Answer.Account.Bytes())
	return signal(map[string]any{
		"accepted": map[string]any{"rpId": domain, "userId": user, "allAcceptedCredentialIds": ids},
		"details":  map[string]any{"rpId": domain, "userId": user, "name": v.Profile.Handle, "displayName": v.Profile.Name},
	})
}

func signal(what map[string]any) string {
	text, err := json.Marshal(what)
	if err != nil {
		return "" // of texts alone there is no error
	}
	return string(text)
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// passkeyForm asks the browser for a new passkey.
func (p *Pages) passkeyForm(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.showPasskey(w, r, v, http.StatusOK, p.Accounts.SetUp(v.Actor(r, p.Peers)), &ui.PasskeyView{})
}

func (p *Pages) showPasskey(
	w http.ResponseWriter, r *http.Request, v web.Visitor, status int, set account.Setup, view *ui.PasskeyView,
) (err error) {
	if !p.SignIn.HasPasskeys() {
		return exeunt.ErrNotFound
	}
	if view.Setup, err = p.Browser.Cookies.SealForm(sealedSetup, set); err != nil {
		return err
	}
	ask, err := p.Accounts.AskNewPasskey(r.Context(), v.Actor(r, p.Peers), set)
	if err != nil {
		return err
	}
	live, err := p.toEnd(r.Context(), v)
	if err != nil {
		return err
	}
	if view.Proof, err = p.proof(r.Context(), v, view.Err); err != nil {
		return err
	}
	view.Frame, view.Others, view.Ask, view.Label = p.frame(r, v, ui.NavSecurity), live.count-1, string(ask), label(r)
	return p.show(w, status, view)
}

// addPasskey adds the passkey, once, however often the form is sent.
func (p *Pages) addPasskey(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	by, proving := v.Actor(r, p.Peers), p.proving(r, v)
	set, name, f, err := p.addition(r, v, proving)
	if err != nil {
		return err
	}
	done, err := p.Accounts.AddPasskey(r.Context(), by, set, name, r.PostFormValue("made"), label(r), f)
	if status := refusal(w, err); status != 0 {
		proving.refused(w)
		view := &ui.PasskeyView{Name: name, Keep: !f.Others, Err: err}
		// What the browser has made stays in the form, unless that is what is wrong.
		if view.Made = r.PostFormValue("made"); !p.Accounts.Usable(by, set) || isField(err, "passkey") {
			set, view.Made = p.Accounts.SetUp(by), ""
		}
		return p.showPasskey(w, r, v, status, set, view)
	}
	if err != nil {
		return err
	}
	proving.withFactor(exeunt.MethodPasskey)
	return p.factorsChanged(w, r, proving, done, "passkey")
}

// declinePasskey has Home offer no passkey any more.
func (p *Pages) declinePasskey(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	if err := p.Accounts.DeclinePasskey(r.Context(), v.Actor(r, p.Peers)); err != nil {
		return err
	}
	return redirect(w, "/")
}

func isField(err error, name string) bool {
	var f *exeunt.FieldError
	return errors.As(err, &f) && f.Field == name
}

// factorNameForm asks for another name of a factor.
func (p *Pages) factorNameForm(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.showFactorName(w, r, v, http.StatusOK, nil)
}

func (p *Pages) showFactorName(w http.ResponseWriter, r *http.Request, v web.Visitor, status int, wrong error) error {
	f, ok, err := p.factorOf(r, v)
	if err != nil {
		return err
	}
	if !ok {
		return redirect(w, "/security") // it was removed meanwhile
	}
	view := &ui.FactorNameView{Frame: p.frame(r, v, ui.NavSecurity), Factor: f, Name: f.Name, Err: wrong}
	if wrong != nil {
		view.Name = r.PostFormValue("name")
	}
	return p.show(w, status, view)
}

// factorOf is the factor that the address names.
func (p *Pages) factorOf(r *http.Request, v web.Visitor) (f exeunt.Factor, ok bool, err error) {
	list, _, err := p.SignIn.Factors(r.Context(), v.Answer.Account)
	i := slices.IndexFunc(list, func(f exeunt.Factor) bool { return f.ID.String() == r.PathValue("id") })
	if err != nil || i < 0 {
		return f, false, err
	}
	return list[i], true, nil
}

func (p *Pages) renameFactor(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	f, ok, err := p.factorOf(r, v)
	if err != nil {
		return err
	}
	if !ok {
		return redirect(w, "/security")
	}
	err = p.Accounts.RenameFactor(r.Context(), v.Actor(r, p.Peers), f.ID, r.PostFormValue("name"))
	if status := refusal(w, err); status != 0 {
		return p.showFactorName(w, r, v, status, err)
	}
	if err != nil {
		return err
	}
	p.tell(w, v, noticeFactor, url.Values{"what": {"renamed"}})
	return redirect(w, "/security")
}
