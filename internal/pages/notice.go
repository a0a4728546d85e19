package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// What a notice can tell the page after a redirect. It names nobody, and it is
// signed, because nobody else may make a page say "signed out".
const (
	noticeSignedOut = "signed_out"
	noticeProfile   = "profile"
	noticePassword  = "password"
	noticeFactor    = "factor"
	noticeReset     = "reset"   // a new password, by a one-time link
	noticeForgot    = "forgot"  // a link was asked for
	noticeAddress   = "address" // a mail was sent, or an address discarded
	noticeEnded     = "ended"   // other sessions, from a list
	noticeApp       = "app"     // what the person has in an app
	noticeDeletion  = "deletion"
	noticeKept      = "kept" // an account that was about to be deleted
	// noticeRequired tells no page anything: it remembers where somebody goes on who must add a factor first.
	noticeRequired = "required"
	noticeMe       = "me" // a sign-in was their own
	noticePicture  = "picture"
)

func (p *Pages) leaveNotice(w http.ResponseWriter, what string, v url.Values) {
	v.Set("done", what)
	p.Browser.Cookies.LeaveNotice(w, v.Encode(), p.Now())
}

// notice returns what the notice of a kind says.
func (p *Pages) notice(r *http.Request, what string) (url.Values, bool) {
	v, err := url.ParseQuery(p.Browser.Cookies.ReadNotice(r, p.Now()))
	return v, err == nil && v.Get("done") == what
}

// tell leaves a notice for a page of the visitor's account: another account of this browser must not be told of it.
func (p *Pages) tell(w http.ResponseWriter, of web.Visitor, what string, v url.Values) {
	v.Set("of", p.noticeOf(of))
	p.leaveNotice(w, what, v)
}

func (p *Pages) noticeOf(v web.Visitor) string {
	return p.Browser.Cookies.Notices.Code("notice of " + v.Answer.Session.String())[:16] // names nobody, here or elsewhere
}

// takeNotice returns what the notice of a kind says to the visitor, and removes it.
func (p *Pages) takeNotice(w http.ResponseWriter, r *http.Request, to web.Visitor, what string) (url.Values, bool) {
	v, ok := p.notice(r, what)
	if ok = ok && p.isFor(v, to); ok {
		p.Browser.Cookies.ClearNotice(w)
	}
	return v, ok
}

// isFor reports whether a notice is for the visitor, or for anybody.
func (p *Pages) isFor(n url.Values, v web.Visitor) bool {
	return !n.Has("of") || n.Get("of") == p.noticeOf(v)
}

func signOutNotice(d ui.SignOutDone) url.Values {
	v := url.Values{
		"at": {strconv.FormatInt(d.At.UnixMilli(), 10)}, "scope": {string(d.Scope)},
		"ended": {strconv.Itoa(d.Ended)}, "apps": {strconv.Itoa(d.Apps)},
		"shared": {strconv.FormatBool(d.Shared)},
		"not_me": {strconv.FormatBool(d.NotMe)}, "clear": {strconv.FormatBool(d.Clear)},
	}
	if !d.Session.IsZero() {
		v.Set("session", d.Session.String())
	}
	if d.Event > 0 {
		v.Set("event", strconv.FormatInt(d.Event, 10))
	}
	for _, one := range d.More {
		v.Add("more", fmt.Sprint(one.Session, " ", one.At.UnixMilli(), " ", one.Event, " ", one.Apps))
	}
	return v
}

// readSignOut reads what signOutNotice wrote. The notice is signed, so it is valid.
func readSignOut(v url.Values) *ui.SignOutDone {
	at, _ := strconv.ParseInt(v.Get("at"), 10, 64)
	d := &ui.SignOutDone{At: time.UnixMilli(at).UTC(), Scope: exeunt.Scope(v.Get("scope")),
		Shared: v.Get("shared") == "true", NotMe: v.Get("not_me") == "true", Clear: v.Get("clear") == "true"}
	d.Ended, _ = strconv.Atoi(v.Get("ended"))
	d.Apps, _ = strconv.Atoi(v.Get("apps"))
	d.Session, _ = exeunt.ParseSessionID(v.Get("session"))
	d.Event, _ = strconv.ParseInt(v.Get("event"), 10, 64)
	for _, text := range v["more"] {
		var name string
		var ms int64
		var one ui.AccountLeft
		_, _ = fmt.Sscan(text, &name, &ms, &one.Event, &one.Apps)
		one.Session, _ = exeunt.ParseSessionID(name)
		one.At = time.UnixMilli(ms).UTC()
		d.More = append(d.More, one)
	}
	return d
}
