package pages

import (
	"errors"
	"net/http"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// Fail answers with the page for an error. It is the Fail of a web.Surface, for
// what stands before the pages too.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	// Not every error comes through Handler, and the page shows the account.
	web.NoStore(w)
	frame := p.frame(r, p.Browser.Introduced(r.Context(), p.Browser.Visitor(r)), "")
	var view ui.View = &ui.ErrorView{Frame: frame, Status: status, Err: err, Retry: retry(r, status)}
	if errors.Is(err, exeunt.ErrOtherAccount) {
		view = &ui.OtherAccountView{Frame: frame}
	}
	if err := p.show(w, status, view); err != nil {
		p.Log.Error("the page for an error could not be drawn", "status", status, "err", err)
		http.Error(w, "Something went wrong on our side. Do not rely on your last step.", http.StatusInternalServerError)
	}
}

// retry is where trying again leads after what may pass by itself.
func retry(r *http.Request, status int) string {
	if status < 500 && status != http.StatusTooManyRequests {
		return ""
	}
	return pagePath(r)
}

// pagePath is the page that a request is about, as an address that can be
// loaded again: for a form's post, the page the form stands on. A one-time
// link is none: its secret must not travel further.
func pagePath(r *http.Request) string {
	if isOneTimeLink(r.URL.Path) {
		return "/"
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return localPath(r.URL.RequestURI())
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch first {
	case "signout": // the form asks for what was asked for
		return signOutPath(r.PostForm)
	case "signin", "signup", "sessions", "settings", "security":
		return "/" + first
	}
	return "/"
}
