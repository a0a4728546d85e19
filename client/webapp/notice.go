package webapp

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/exeunt/exeunt/client"
)

// NoticeKind says what a notice is about.
type NoticeKind string

const (
	// NoticeEnded: the session has ended, and the cookie has been cleared.
	NoticeEnded NoticeKind = "ended"
	// NoticeSignIn: the page is for people who are signed in.
	NoticeSignIn NoticeKind = "sign_in"
	// NoticeUnavailable: the authority cannot tell whether this browser is signed in.
	NoticeUnavailable NoticeKind = "unavailable"
	// NoticeNotConfirmed: a sign-out may or may not have been recorded.
	NoticeNotConfirmed NoticeKind = "not_confirmed"
	// NoticeSignedOut: signed out of this app only.
	NoticeSignedOut NoticeKind = "signed_out"
	// NoticeFlow: a sign-in returned that was not begun in this browser, or too late.
	NoticeFlow NoticeKind = "flow"
	// NoticeSetUp: the app is not set up correctly, so nobody can sign in to it.
	NoticeSetUp NoticeKind = "set_up"
	// NoticeCookies: a sign-in returned to a browser that sent none of this app's cookies of it.
	NoticeCookies NoticeKind = "cookies"
	// NoticeOtherSession: a form that was rendered for another sign-in.
	NoticeOtherSession NoticeKind = "other_session"
	// NoticeForeign: a request from another site's page.
	NoticeForeign NoticeKind = "foreign"
	// NoticeTooLarge: the request's body is too long.
	NoticeTooLarge NoticeKind = "too_large"
	// NoticeBroken: the request's body did not arrive whole.
	NoticeBroken NoticeKind = "broken"
	// NoticeWrongHost: a request for another host.
	NoticeWrongHost NoticeKind = "wrong_host"
	// NoticeNotFound: no such address below /exeunt/.
	NoticeNotFound NoticeKind = "not_found"
)

// Notice is an answer of the App itself, without the app's handlers.
type Notice struct {
	Kind   NoticeKind
	Status int
	Title  string // English
	Text   string // English: what happened and what to do
	Posted bool   // the request would have changed something, and was not carried out
	Reason string // of NoticeEnded, "" when unknown
	At     time.Time
	SignIn string // address that signs in, "" if that does not help
}

// notices are the texts, in which %s is the app's name.
var notices = map[NoticeKind]struct {
	status      int
	title, text string
}{
	NoticeEnded:  {http.StatusUnauthorized, "You are signed out of %s", ""},
	NoticeSignIn: {http.StatusUnauthorized, "Sign in to %s", "Nobody is signed in to %s in this browser."},
	NoticeUnavailable: {http.StatusServiceUnavailable, "%s cannot tell right now whether you are signed in",
		"The sign-in service does not answer. That does not mean you are signed out. Nothing was done; " +
			"try again in a moment."},
	NoticeNotConfirmed: {http.StatusServiceUnavailable, "Not confirmed yet",
		"The sign-in service has not confirmed that you are signed out of %s. Do not rely on it: " +
			"try again in a moment. Trying again is harmless."},
	NoticeSignedOut: {http.StatusOK, "You are signed out of %s",
		"%s was signed out in this browser. Your sign-in service and other apps may still be signed in."},
	NoticeFlow: {http.StatusBadRequest, "That sign-in did not work",
		"It was begun in another browser, took too long, or was used before. Start again here."},
	NoticeSetUp: {http.StatusBadGateway, "%s is not set up correctly",
		"The sign-in service did not accept it. Nobody can sign in to %s until whoever runs it corrects that; " +
			"its log says what is wrong."},
	NoticeCookies: {http.StatusBadRequest, "This browser sent no cookie of that sign-in",
		"So you are not signed in to %s. Allow cookies for this address in the browser’s settings, then sign in again. " +
			"If they are allowed, the sign-in was begun in another browser or took too long."},
	NoticeOtherSession: {http.StatusConflict, "This page belongs to another sign-in",
		"Nothing was posted. Load the page again, then repeat what you wanted to do."},
	NoticeForeign: {http.StatusForbidden, "That came from somewhere else",
		"The request was not sent by a page of %s, so nothing was done."},
	NoticeTooLarge: {http.StatusRequestEntityTooLarge, "That is too much at once",
		"The request was longer than %s accepts. Nothing was posted."},
	NoticeBroken: {http.StatusBadRequest, "That did not arrive whole",
		"The connection broke off while the request was sent. Nothing was posted; go back and send it again."},
	NoticeWrongHost: {http.StatusMisdirectedRequest, "Not here",
		"This address does not belong to %s. Check the address."},
	NoticeNotFound: {http.StatusNotFound, "Nothing here", "There is no such page in %s."},
}

var reasonText = map[string]string{
	"signed_out":            "This sign-in was ended by a sign-out, in this browser or from another device.",
	"idle":                  "This sign-in expired because it was not used for a while.",
	"absolute":              "This sign-in expired because it had reached its longest time.",
	"closed":                "The last page of this sign-in was closed on a shared computer, which ended it a minute later.",
	"replaced":              "Somebody signed in again in this browser.",
	"too_many_sessions":     "This account was signed in in too many places, so the oldest sign-in was ended.",
	"incomplete_credential": "This browser lost half of its sign-in, so it was ended.",
	"renewed":               "The sign-in was renewed, which signs every app out. Sign in again.",
	"refresh_reused":        "An old token of this sign-in was used again, so it was ended for safety.",
	"code_reused":           "The code of this sign-in was used a second time, so it was ended for safety.",
	"password_change":       "The password was changed, which ended this sign-in.",
	"factor_change":         "The second step of the account was changed, which ended this sign-in.",
	"address_undone":        "A change of the account's e-mail address was undone, which ended every sign-in.",
	"not_me":                "The account’s owner said of a sign-in that it was somebody else’s, which ended every one.",
	"administrator":         "An administrator ended this sign-in.",
	"account_disabled":      "The account was disabled.",
	"account_deleted":       "The account is about to be deleted, which ended every sign-in.",
	"review":                "It was ended while the sign-ins of this account were looked through.",
	"secured":               "The account was secured, which ended its sign-ins.",
	"revoked":               "Another system, which the administrator of the place where you sign in trusts, ended this sign-in.",
	"client_removed":        "This app was removed from the place where you sign in, which ended this sign-in.",
}

// ReasonText says in English why a session ended.
func ReasonText(reason string) string {
	if t, ok := reasonText[reason]; ok {
		return t
	}
	return "This browser's sign-in is no longer valid."
}

// notice fills in the texts and lets the app render them.
func (a *App) notice(w http.ResponseWriter, r *http.Request, n Notice) {
	t := notices[n.Kind]
	n.Status = t.status
	n.Title, n.Text = strings.ReplaceAll(t.title, "%s", a.Name), strings.ReplaceAll(t.text, "%s", a.Name)
	n.Posted = !client.SafeMethod(r.Method)
	switch n.Kind {
	case NoticeEnded:
		n.Text = ReasonText(n.Reason)
		fallthrough
	case NoticeSignIn:
		if n.Posted {
			n.Text += " Nothing was posted, and nothing will be after you sign in again."
		}
		n.SignIn = a.signInAddress(r)
	case NoticeSignedOut, NoticeFlow, NoticeCookies:
		n.SignIn = "/exeunt/sign-in"
	case NoticeUnavailable, NoticeNotConfirmed:
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Cache-Control", "no-store")
	a.Render(w, r, n)
}

// signInAddress returns to the requested page after the sign-in. A post returns to
// the front page, because it is never repeated.
func (a *App) signInAddress(r *http.Request) string {
	back := "/"
	if r.Method == http.MethodGet {
		back = localPath(r.URL.RequestURI())
	}
	return "/exeunt/sign-in?" + url.Values{"return": {back}}.Encode()
}

var plainPage = template.Must(template.New("notice").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{.Title}}</title>
<h1>{{.Title}}</h1><p>{{.Text}}</p>{{if not .At.IsZero}}{{with .At.UTC}}
<p>Ended <time datetime="{{.Format "2006-01-02T15:04:05Z07:00"}}">{{.Format "2 January 2006, 15:04 UTC"}}</time></p>
{{end}}{{end}}
{{if .SignIn}}<p><a href="{{.SignIn}}">Sign in</a></p>{{else}}<p><a href="/">Front page</a></p>{{end}}
`))

func renderPlain(w http.ResponseWriter, _ *http.Request, n Notice) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(n.Status)
	plainPage.Execute(w, n) // after a failed write there is nobody to tell
}
