package ui

import (
	"net/netip"

	"github.com/exeunt/exeunt"
)

// Asking is what a page asks about sign-ins from browsers or places that the account was not used from.
//
// Its forms: POST /notices/{id}/me and POST /notices/{id}/not-me, both with session, key and return.
type Asking struct {
	Notices  []exeunt.Notice // that nobody has answered, latest first
	Answered bool            // the reader has just said that one was theirs
}

// maxAsked is how many notices a page asks about: any answer "not me" ends everything.
const maxAsked = 3

// Asked are the notices that a session is asked about: not its own, and none while it is asked about itself. Otherwise
// whoever has signed in could answer.
func (a *Asking) Asked(own exeunt.SessionID) []exeunt.Notice {
	if a.unfamiliar(own) {
		return nil
	}
	return a.Notices[:min(len(a.Notices), maxAsked)]
}

// More is how many there are besides.
func (a *Asking) More() int { return max(0, len(a.Notices)-maxAsked) }

func (a *Asking) unfamiliar(id exeunt.SessionID) bool {
	for i := range a.Notices {
		if a.Notices[i].Session == id {
			return true
		}
	}
	return false
}

// NotMeView is "/not-me/{token}": the page of a mail's link, which works without signing in. The forms post to its own
// address, so that the page never contains the link's secret.
//
// Its forms: answer (me, not_me or, once it was not me, reset).
type NotMeView struct {
	Frame
	Handle string
	Notice exeunt.Notice
	Spent  bool // the link was used
	Reset  bool // a new password can be set from here
	Err    error
}

// MayDisown reports whether the link still ends everything.
func (v *NotMeView) MayDisown() bool { return !v.Spent && v.Notice.State != exeunt.NoticeNotMe }

// MayRecognise reports whether it still takes "This was me".
func (v *NotMeView) MayRecognise() bool {
	return v.MayDisown() && v.Notice.State == exeunt.NoticeOpen && !v.Notice.At.IsZero()
}

// Gone reports that what the mail told is not stored any more.
func (v *NotMeView) Gone() bool { return v.Notice.At.IsZero() }

// Place says about where addresses are, "" when that is unknown.
type Place func(netip.Addr) string

// About is about where an address is, "" when that is unknown.
func (f *Frame) About(a netip.Addr) string {
	if f.Place == nil || !a.IsValid() {
		return ""
	}
	return f.Place(a)
}
