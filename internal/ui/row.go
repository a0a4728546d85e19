package ui

import (
	"bytes"
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// rowPart is one session as a list shows it.
type rowPart struct {
	View    *Frame
	S       exeunt.Session
	Clients Clients
	This    bool
	// Unfamiliar: nobody has said yet that the sign-in was theirs.
	Unfamiliar bool
	Return     string // where its form leads back; "" is the list's beginning
	Proof      string // where the receipt of its end is; "" if nothing leads there
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
	r := rowPart{View: v.frame(), S: s, Clients: v.clients(), This: s.ID == v.frame().Session}
	switch v := v.(type) {
	case *HomeView:
		r.Return, r.Unfamiliar = "/", v.unfamiliar(s.ID)
	case *EndedSessionsView:
		if v.Proof != nil && s.End != nil {
			r.Proof = v.Proof(s.End)
		}
	case *SessionsView:
		r.Unfamiliar = v.unfamiliar(s.ID)
		if v.IsPart() {
			r.Return = v.Path
		}
	}
	return r
}

func newReviewRow(v *ReviewView, s *exeunt.Session) rowPart {
	return rowPart{View: v.frame(), S: *s, Clients: v.Clients}
}

// IsPart reports whether the page does not show the whole list.
func (p Part) IsPart() bool { return p.Search != "" || p.After != "" || p.Next != "" }

// First is the address of the list's first part.
func (p Part) First() string { return p.at("") }

// Following is the address of the next part.
func (p Part) Following() string { return p.at(p.Next) }

func (p Part) at(after string) string {
	q := url.Values{}
	for name, value := range map[string]string{"q": p.Search, "kind": p.Kind, "after": after} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return p.List
	}
	return p.List + "?" + q.Encode()
}

// Began is when the session started, in milliseconds, by which scripts compare rows.
func (r rowPart) Began() int64 { return r.S.Started.UnixMilli() }

// Moved is the session's.
func (r rowPart) Moved() bool { return r.S.Moved() }

// Two reports whether the row tells first and last address apart.
func (r rowPart) Two() bool { return r.S.LastAddress.IsValid() && r.S.LastAddress != r.S.Address }

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

// shownApps is how many apps a row or the confirmation names.
const shownApps = 5

// Apps are the names of apps signed in through the session, or, if it has ended, of apps that ended with it.
func (r rowPart) Apps() []string {
	names, _ := appsOf(r.S, r.Clients)
	return names
}

// MoreApps is how many there are besides.
func (r rowPart) MoreApps() int {
	_, more := appsOf(r.S, r.Clients)
	return more
}

// appsOf names a session's first apps. It counts the other ones, or, if there are too many to look at all, the sign-ins
// of other apps.
func appsOf(s exeunt.Session, clients Clients) (names []string, more int) {
	list, more := ReachOf([]exeunt.Session{s}, clients, time.Time{}, false)
	list, more = FirstReached(list, more, shownApps)
	for _, a := range list {
		names = append(names, a.Client.Name)
	}
	return names, more
}

// FirstReached are the first of what ReachOf returned. It counts the other apps, or, if there are too many to look at
// all, the sign-ins of other apps.
func FirstReached(list []AppReach, more, first int) ([]AppReach, int) {
	shown := min(len(list), first)
	if more == 0 {
		return list[:shown], len(list) - shown
	}
	for _, a := range list[shown:] {
		more += a.signIns
	}
	return list[:shown], more
}

// ReachOf returns the apps of sessions by name, each with how far a sign-out reaches it: that of these sessions, or of
// all of the account's. more is how many sign-ins of other apps there are, if there are too many to look at all.
func ReachOf(sessions []exeunt.Session, clients Clients, now time.Time, all bool) (list []AppReach, more int) {
	at := map[exeunt.ClientID]int{}
	for _, s := range sessions {
		looked := int64(0)
		for _, app := range s.Apps {
			if app.End != nil {
				continue
			}
			looked++
			i, known := at[app.Client]
			if !known {
				c, registered := clients[app.Client]
				if !registered {
					c = exeunt.Client{ID: app.Client, Name: string(app.Client)}
				}
				i = len(list)
				at[app.Client], list = i, append(list, AppReach{Client: c})
			}
			c := list[i].Client
			reach := c.Reach(app, now)
			if all {
				reach = c.ReachOfAll(app, now)
			}
			list[i].Reach = list[i].Reach.Further(reach)
			list[i].signIns++
		}
		more += max(0, int(s.AppCount-looked))
	}
	slices.SortFunc(list, func(a, b AppReach) int {
		return cmp.Or(cmp.Compare(a.Client.Name, b.Client.Name), cmp.Compare(a.Client.ID, b.Client.ID))
	})
	return list, more
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
	if v.IsPart() {
		slices.SortFunc(out, func(a, b exeunt.Session) int { // as the list is sorted
			return cmp.Or(b.Started.Compare(a.Started), bytes.Compare(b.ID.Bytes(), a.ID.Bytes()))
		})
		return out
	}
	return byActivity(out)
}

// LiveCount includes this browser's session.
func (v *SessionsView) LiveCount() int { return max(v.Live, len(v.Others)+1) }

// OtherCount is LiveCount without this browser's session.
func (v *SessionsView) OtherCount() int { return v.LiveCount() - 1 }

// LiveCount includes this browser's session.
func (v *HomeView) LiveCount() int { return max(v.Live, len(v.Others)+1) }

// OtherCount is LiveCount without this browser's session.
func (v *HomeView) OtherCount() int { return v.LiveCount() - 1 }

// Whole reports whether Others are all others.
func (v *HomeView) Whole() bool { return v.OtherCount() == len(v.Others) }

// OtherCount is how many live sessions there are besides this browser's.
func (v *SignOutView) OtherCount() int { return max(v.Live-1, len(v.Others)) }

// namedOthers is how many sessions the confirmation names: its button must be in view on a phone.
const namedOthers = 5

// Named are the first of the other sessions.
func (v *SignOutView) Named() []exeunt.Session { return v.Others[:min(len(v.Others), namedOthers)] }

// Unnamed is how many there are besides.
func (v *SignOutView) Unnamed() int { return v.OtherCount() - len(v.Named()) }

// EndedCount is how many sessions have ended.
func (v *EndedSessionsView) EndedCount() int { return max(v.Count, len(v.Ended)) }

// homeRows is how many other sessions the front page shows.
const homeRows = 3

// Newest are the most recently used other sessions, with those just ended from here.
func (v *HomeView) Newest() []exeunt.Session {
	live := byActivity(v.Others)
	return byActivity(slices.Concat(live[:min(len(live), homeRows)], v.Just))
}

// All reports whether the page shows every other session.
func (v *HomeView) All() bool { return v.OtherCount() <= homeRows }

// Reached are apps that this browser's sign-out concerns, and how far it reaches them.
func (v *SignOutView) Reached() []AppReach {
	list, more := v.reached()
	list, _ = FirstReached(list, more, shownApps)
	return list
}

// MoreReached is how many apps there are besides, or, if there are too many to look at all, sign-ins of apps.
func (v *SignOutView) MoreReached() int {
	list, more := v.reached()
	_, more = FirstReached(list, more, shownApps)
	return more
}

func (v *SignOutView) reached() ([]AppReach, int) {
	return ReachOf([]exeunt.Session{v.This}, v.Clients, v.Now, v.Scope == exeunt.ScopeAccount)
}

// AppCount is how many apps a sign-out of this browser concerns; 0 if there are none or too many to look at all.
func (v *EndSessionView) AppCount() int {
	list, more := v.reached()
	if more > 0 {
		return 0
	}
	return len(list)
}

// Stay is the most recently used other session, which the page names as staying.
func (v *SignOutView) Stay() exeunt.Session { return byActivity(v.Others)[0] }

// StaysLike reports that it is called what this one is called, so that its name alone would read as this one.
func (v *SignOutView) StaysLike() bool { return v.Stay().Label == v.This.Label }

// StayMore is how many more sessions stay.
func (v *SignOutView) StayMore() int { return v.OtherCount() - 1 }

// byActivity sorts the most recently used first, and breaks ties the same way each time.
func byActivity(sessions []exeunt.Session) []exeunt.Session {
	out := slices.Clone(sessions)
	slices.SortFunc(out, func(a, b exeunt.Session) int {
		return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return out
}
