package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// language is the one that this request's page is in. An app's request may ask for some (ui_locales), which counts until
// somebody chooses another; else it is what somebody has chosen in this browser, or what the browser asks for.
func (p *Pages) language(r *http.Request) string {
	chosen, at := p.chosenLanguage(r)
	asked, began := p.askedLanguages(r)
	if chosen != "" && (asked == "" || at.After(began)) {
		return chosen
	}
	return p.UI.Language(asked, chosen, r.Header.Get("Accept-Language"))
}

// chosenLanguage is what was chosen in this browser, and when; "" for none, or one that is not known any more.
func (p *Pages) chosenLanguage(r *http.Request) (string, time.Time) {
	tag, at := p.Browser.Cookies.ReadLanguage(r)
	if !p.UI.Has(tag) {
		return "", time.Time{}
	}
	return tag, at
}

// askedLanguages is what the app asks for that somebody is signing in to, like an Accept-Language header, and when it did
// so. OpenID Connect Core section 3.1.2.1: ui_locales are separated by spaces, and none that is unknown is an error.
func (p *Pages) askedLanguages(r *http.Request) (string, time.Time) {
	q := r.URL.Query()
	if r.PostForm != nil {
		q = r.PostForm
	}
	if first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); first != "authorize" {
		back, err := url.Parse(q.Get("return"))
		if err != nil || back.Path != "/authorize" {
			return "", time.Time{}
		}
		q = back.Query()
	}
	if !q.Has(requestParameter) { // as it came from the app, and not looked at yet
		return headerOf(strings.Fields(q.Get("ui_locales"))), p.Now()
	}
	request, err := p.OAuth.OpenRequest(q.Get(requestParameter), p.Browser.Cookies.ReadRequester(r))
	if err != nil {
		return "", time.Time{}
	}
	return headerOf(request.Languages), request.Began
}

// headerOf is a list of tags as an Accept-Language header, the best first.
func headerOf(tags []string) string { return strings.Join(tags, ",") }

func (p *Pages) languages(w http.ResponseWriter, r *http.Request) error {
	chosen, _ := p.chosenLanguage(r)
	return p.show(w, http.StatusOK, &ui.LanguageView{Frame: p.frame(r, p.visit(r), ""), Languages: p.UI.Languages(),
		Chosen: chosen != "", Return: web.LocalPath(r.URL.Query().Get("return"))})
}

// chooseLanguage remembers a language in this browser and, for whoever is signed in, in their account.
func (p *Pages) chooseLanguage(w http.ResponseWriter, r *http.Request) error {
	tag := r.PostFormValue("language")
	if tag != "" && !p.UI.Has(tag) {
		return exeunt.ErrBadRequest
	}
	v := p.visit(r)
	if err := v.Doubt(); err != nil {
		return err
	}
	if v.Incomplete() { // perhaps the other half is being stored at this moment
		return exeunt.ErrSignedOut
	}
	if session := r.PostFormValue("session"); v.SignedIn() != (session != "") || session != "" && session != v.Answer.Session.String() {
		return exeunt.ErrOtherAccount
	}
	if v.SignedIn() {
		now := tag
		if now == "" {
			now = p.UI.Language(r.Header.Get("Accept-Language"))
		}
		if err := p.Accounts.ChooseLanguage(r.Context(), v.Actor(r, p.Peers), now, tag != ""); err != nil {
			return err
		}
	}
	shared := p.kiosk(r) != nil || v.SignedIn() && v.Answer.Kind == exeunt.KindShared
	p.Browser.Cookies.SetLanguage(w, tag, p.Now(), shared)
	return redirect(w, web.LocalPath(r.PostFormValue("return")))
}

// followLanguage has a browser that somebody keeps signed in show the pages in the language that they have chosen
// elsewhere, unless one was chosen here.
func (p *Pages) followLanguage(w http.ResponseWriter, r *http.Request, id exeunt.AccountID, kind exeunt.SessionKind) error {
	if chosen, _ := p.chosenLanguage(r); chosen != "" || kind != exeunt.KindKept {
		return nil
	}
	a, err := p.Authority.Account(r.Context(), id)
	if err != nil || !a.LanguageChosen || !p.UI.Has(a.Language) || a.Language == p.language(r) {
		return err
	}
	p.Browser.Cookies.SetLanguage(w, a.Language, p.Now(), false)
	return nil
}
