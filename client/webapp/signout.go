package webapp

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"

	"github.com/exeunt/exeunt/client"
)

// signOut sends the browser to the authority's confirmation page, which says what
// will end: this browser's session and the apps signed in through it.
func (a *App) signOut(w http.ResponseWriter, r *http.Request) {
	a.leave(w)
	a.redirect(w, a.Client.URL("/signout", url.Values{"client": {a.ID}}))
}

// leave changes a cookie of this origin. The sign-out at the authority changes none, and
// a changed cookie makes Chromium drop the copies that it keeps of this origin's no-store
// pages. PrivatePage prevents such copies; this is a second and independent protection.
func (a *App) leave(w http.ResponseWriter) {
	c := a.cookie(a.cookieName()+"-left", rand.Text())
	c.MaxAge = 60
	http.SetCookie(w, c)
}

const reasonSignedOut = "signed_out"

// signOutApp ends only this app's session, and clears the cookie only when the
// authority has recorded the end.
func (a *App) signOutApp(w http.ResponseWriter, r *http.Request) {
	if !a.readBody(w, r) {
		return
	}
	token, found := a.token(r)
	if !found {
		a.redirect(w, "/exeunt/signed-out")
		return
	}
	person, err := a.check(r.Context(), token, true)
	var ended *client.EndedError
	if errors.As(err, &ended) && ended.Reason == reasonSignedOut {
		// What was asked for has been done, mostly by the first of two presses.
		a.clearCookie(w, r)
		a.redirect(w, "/exeunt/signed-out")
		return
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	if renderedFor(r) != person.AppSession {
		a.notice(w, r, Notice{Kind: NoticeOtherSession})
		return
	}
	if err := a.end(r.Context(), token); err != nil {
		a.Log.Warn("a sign-out could not be confirmed", "err", err)
		a.notice(w, r, Notice{Kind: NoticeNotConfirmed})
		return
	}
	a.clearCookie(w, r)
	a.redirect(w, "/exeunt/signed-out")
}

// signedOut is the page after "Only this app". It asks the authority, because anybody
// can open this address.
func (a *App) signedOut(w http.ResponseWriter, r *http.Request) {
	a.explain(w, r, Notice{Kind: NoticeSignedOut})
}

// ended is where an open page goes when its session has ended: it says why, clears
// the cookie, and redirects nowhere.
func (a *App) ended(w http.ResponseWriter, r *http.Request) {
	a.explain(w, r, Notice{Kind: NoticeSignIn})
}

func (a *App) explain(w http.ResponseWriter, r *http.Request, whenNobody Notice) {
	token, found := a.token(r)
	if !found {
		a.notice(w, r, whenNobody)
		return
	}
	_, err := a.check(r.Context(), token, false)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	a.redirect(w, "/") // signed in again, perhaps in another tab
}
