package ui

import (
	"cmp"
	"slices"
	"strings"

	"github.com/exeunt/exeunt"
)

// rowPart is one session as a list shows it.
type rowPart struct {
	View    *Frame
	S       exeunt.Session
	Clients Clients
	This    bool
	Home    bool // on the front page, to which the form leads back
}

// lister is a view whose page lists sessions.
type lister interface {
	View
	clients() Clients
}

func (v *HomeView) clients() Clients          { return v.Clients }
func (v *SessionsView) clients() Clients      { return v.Clients }
func (v *EndedSessionsView) clients() Clients { return v.Clients }
func (v *SignOutView) clients() Clients       { return v.Clients }

func newRow(v lister, s exeunt.Session) rowPart {
	_, home := v.(*HomeView)
	return rowPart{View: v.frame(), S: s, Clients: v.clients(), This: s.ID == v.frame().Session, Home: home}
}

// State is the row's state for styles and scripts.
func (r rowPart) State() string {
	if r.S.End != nil {
		return "ended"
	}
	return "active"
}

// Icon is the symbol of the session's device.
func (r rowPart) Icon() string {
	label := strings.ToLower(r.S.Label)
	handheld := false
	for _, word := range []string{"android", "iphone", "ipad", "ios", "phone", "pixel", "mobile"} {
		handheld = handheld || strings.Contains(label, word)
	}
	switch {
	case r.S.Kind == exeunt.KindShared:
		return "public"
	case handheld:
		return "phone"
	case r.S.Kind == exeunt.KindApp:
		return "laptop"
	}
	return "browser"
}

// Agent is what a browser that we do not know calls itself, "" for others.
func (r rowPart) Agent() string {
	if !r.S.Kind.Browser() || strings.Contains(r.S.Label, " on ") {
		return ""
	}
	return r.S.UserAgent
}

// Old reports whether the sign-in is shown by its date rather than by its age.
func (r rowPart) Old() bool { return r.View.Now.Sub(r.S.Started) >= 7*day }

// Apps are the names of the apps signed in through the session, or, if it has ended, of
// the apps that ended with it.
func (r rowPart) Apps() []string { return appsOf(r.S, r.Clients) }

func appsOf(s exeunt.Session, clients Clients) []string {
	var names []string
	for _, app := range s.Apps {
		name := clients[app.Client].Name
		if name == "" {
			name = string(app.Client)
		}
		if app.End == nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Browsers are the other and just ended sessions of browsers.
func (v *SessionsView) Browsers() []exeunt.Session { return v.group(true) }

// Apps are the other and just ended sessions of apps.
func (v *SessionsView) Apps() []exeunt.Session { return v.group(false) }

func (v *SessionsView) group(browser bool) []exeunt.Session {
	var out []exeunt.Session
	for _, s := range slices.Concat(v.Others, v.Just) {
		if s.Kind.Browser() == browser {
			out = append(out, s)
		}
	}
	return byActivity(out)
}

// LiveCount includes this browser's session.
func (v *SessionsView) LiveCount() int { return len(v.Others) + 1 }

// LiveCount includes this browser's session.
func (v *HomeView) LiveCount() int { return len(v.Others) + 1 }

// homeRows is how many other sessions the front page shows.
const homeRows = 3

// Newest are the most recently used other sessions, with those just ended from here.
func (v *HomeView) Newest() []exeunt.Session {
	live := byActivity(v.Others)
	return byActivity(slices.Concat(live[:min(len(live), homeRows)], v.Just))
}

// All reports whether the page shows every other session.
func (v *HomeView) All() bool { return len(v.Others) <= homeRows }

// Newest are the ended sessions, the latest end first.
func (v *EndedSessionsView) Newest() []exeunt.Session {
	out := slices.Clone(v.Ended)
	slices.SortStableFunc(out, func(a, b exeunt.Session) int {
		if a.End == nil || b.End == nil {
			return 0
		}
		return b.End.At.Compare(a.End.At)
	})
	return out
}

// Apps are the apps that this browser's sign-out ends.
func (v *SignOutView) Apps() []string { return appsOf(v.This, v.Clients) }

// Stay is the most recently used other session, which the page names as staying.
func (v *SignOutView) Stay() exeunt.Session { return byActivity(v.Others)[0] }

// StayMore is how many more sessions stay.
func (v *SignOutView) StayMore() int { return len(v.Others) - 1 }

// byActivity sorts the most recently used first, and breaks ties the same way each time.
func byActivity(sessions []exeunt.Session) []exeunt.Session {
	out := slices.Clone(sessions)
	slices.SortFunc(out, func(a, b exeunt.Session) int {
		return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return out
}
