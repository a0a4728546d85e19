package chirp

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/exeunt/exeunt/client/webapp"
)

// handler answers a member's request, or returns an error.
type handler func(http.ResponseWriter, *http.Request, member) error

var errNotFound = errors.New("nothing here")

// handle runs behind RequirePerson, so there is somebody.
func (a *App) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, _, err := a.member(r.Context())
		if err == nil {
			err = h(w, r, m)
		}
		if err != nil {
			a.fail(w, r, err)
		}
	})
}

func (a *App) nothingHere(w http.ResponseWriter, r *http.Request) { a.fail(w, r, errNotFound) }

func (a *App) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errNotFound) {
		a.views.show(w, http.StatusNotFound, "notice", a.page(r, webapp.Notice{
			Title: "Nothing here", Text: "There is no such page in Chirp, or it is not yours.",
		}))
		return
	}
	a.log.Error("chirp failed", "method", r.Method, "route", r.Pattern, "err", err)
	a.views.show(w, http.StatusInternalServerError, "notice", a.page(r, webapp.Notice{
		Title: "Chirp had an error", Text: "Your change may or may not have been saved: look before you repeat it.",
	}))
}

// notice renders the middleware's own answers.
func (a *App) notice(w http.ResponseWriter, r *http.Request, n webapp.Notice) {
	a.views.show(w, n.Status, "notice", a.page(r, n))
}

func back(w http.ResponseWriter, r *http.Request, to string) error {
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// pressed is the form that the request sends. Its key goes with what it does and with its text, because after Back
// somebody may send the same form for something else.
func pressed(r *http.Request, m member) press {
	key := r.PostFormValue("key")
	if key == "" {
		return press{by: m.id}
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{
		key, r.URL.Path, r.PostFormValue("to"), r.PostFormValue("text"),
	}, "\x00")))
	return press{m.id, sum[:]}
}

// maxText is the longest text, in characters.
const maxText = 500

// text returns the text of a form, and a problem if it is not valid.
func text(r *http.Request) (s, problem string) {
	s = strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(r.PostFormValue("text"), ""), "\r\n", "\n"))
	switch {
	case s == "":
		return s, "There is no text yet. Nothing was saved; write something first."
	case utf8.RuneCountInString(s) > maxText:
		return s, "The text is longer than 500 characters. Nothing was saved; shorten it here."
	}
	return s, ""
}
