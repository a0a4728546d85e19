package pages

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// Fail answers with the page for an error. It is the Fail of a web.Surface, and
// serves the handlers in front of the pages too.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	// Not every error comes through Handler, and the page shows the account.
	web.NoStore(w)
	frame := p.frame(r, p.Browser.Introduced(r.Context(), p.Browser.Visitor(r)), "")
	errorView := &ui.ErrorView{Frame: frame, Status: status, Err: err, Retry: retry(r, status), Way: p.way(r, err)}
	errorView.Again = again(r, status)
	if errors.Is(err, exeunt.ErrRenewed) {
		// The new cookies are there by then, or the old ones are explained in the end.
		errorView.Retry = pagePath(r)
		w.Header().Set("Retry-After", "1")
		if r.Method == http.MethodGet {
			w.Header().Set("Refresh", "1")
		}
	}
	var view ui.View = errorView
	if errors.Is(err, exeunt.ErrOtherAccount) {
		other := &ui.OtherAccountView{Frame: frame, Form: formPath(r)}
		if id, err := exeunt.ParseSessionID(r.PostFormValue("session")); err == nil && frame.SignedIn() && id != frame.Session {
			if tab := p.Browser.Introduced(r.Context(), p.Browser.VisitorOf(r, id)); tab.SignedIn() {
				of := chip(tab)
				other.Tab = &of
			}
		}
		view = other
	}
	if err := p.show(w, status, view); err != nil {
		p.Log.Error("cannot render the error page", "status", status, "err", err)
		http.Error(w, "Something went wrong on our side. Do not rely on your last step.",
			http.StatusInternalServerError)
	}
}

// way is what to do about a link of a mail that no longer works.
func (p *Pages) way(r *http.Request, err error) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if p.Accounts.SendsMails() && (errors.Is(err, exeunt.ErrLinkSpent) || errors.Is(err, exeunt.ErrInviteSpent) && first == "reset") {
		return first
	}
	return ""
}

// retry is where "Try again" leads after a temporary error, "" after any other.
func retry(r *http.Request, status int) string {
	if status < 500 && status != http.StatusTooManyRequests {
		return ""
	}
	return pagePath(r)
}

// Again by script: so many times, and so many seconds after the answer.
const (
	mostAgain  = 20
	againAfter = 3
)

// repeatable are the fields that a form of an ending may have to be sent again by a page. None is a secret.
var repeatable = append([]string{"session", "key", "scope", "client", "return", "ticket", "answer", "again"}, oauth.SignOutParameters...)

// again is the form of an ending that the server could not do or confirm, with the same key: what was lost is only the
// answer, perhaps. nil for any other request.
func again(r *http.Request, status int) *ui.SendAgain {
	path := r.URL.Path
	ends := path == "/signout" || path == offlinePath || strings.HasPrefix(path, "/end_session/") || path == "/sessions/end" ||
		isEnding(path) || strings.HasPrefix(path, "/apps/")
	if status != http.StatusServiceUnavailable || r.Method != http.MethodPost || !ends {
		return nil
	}
	f := &ui.SendAgain{Action: path, Fields: url.Values{}}
	for name, values := range r.PostForm {
		if !slices.Contains(repeatable, name) {
			return nil
		}
		f.Fields[name] = values[:1]
	}
	tried, _ := strconv.Atoi(r.PostForm.Get("again"))
	if tried >= 0 && tried < mostAgain {
		f.After = againAfter
	}
	f.Fields.Set("again", strconv.Itoa(tried+1))
	return f
}

// formPath is where the form of a post can be loaded anew, for the sign-in that is active now; "" when that is the front
// page, which every page links to.
func formPath(r *http.Request) string {
	if r.PostForm == nil {
		return ""
	}
	path := pagePath(r)
	switch path {
	case "/":
		if r.URL.Path != "/authorize/decide" {
			return ""
		}
		return web.LocalPath("/authorize?" + url.Values{requestParameter: r.PostForm[requestParameter]}.Encode())
	case "/signin", "/signup":
		return withReturn(path, returnPath(r.PostForm.Get("return")))
	}
	return path
}

// pagePath is the page that a request is about, as an address that can be reloaded: for
// a form's post, the page that has the form. For a one-time link it is the front page,
// because the link's secret must not be passed on.
func pagePath(r *http.Request) string {
	if isOneTimeLink(r.URL.Path) {
		return "/"
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return web.LocalPath(r.URL.RequestURI())
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch first {
	case "signout": // with the scope and client of the form
		return signOutPath(r.PostForm)
	case "account":
		if r.URL.Path == "/account/delete" {
			return r.URL.Path
		}
		return "/account/deleting"
	case "end_session":
		return endSessionAgain(r.PostForm)
	case "signin", "signup", "forgot", "sessions", "settings", "security", "apps", "activity", "review", "secure":
		return "/" + first
	}
	return "/"
}
