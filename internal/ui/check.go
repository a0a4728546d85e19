package ui

import (
	"slices"
	"time"

	"github.com/exeunt/exeunt"
)

// CheckState is what a browser presented to the check.
type CheckState string

const (
	CheckNobody   CheckState = "nobody"   // nothing
	CheckLive     CheckState = "live"     // a sign-in
	CheckEnded    CheckState = "ended"    // one that has ended, or of which nothing is known any more
	CheckHalf     CheckState = "half"     // the hidden half of one that lives, alone
	CheckReadable CheckState = "readable" // the readable half alone
	CheckGarbage  CheckState = "garbage"  // cookies that are no sign-in
	CheckArriving CheckState = "arriving" // half of one that is being stored at this moment
)

// CheckWho is how whoever is signed in relates to the sign-out that a check is about.
type CheckWho string

const (
	CheckAgain   CheckWho = "again"   // the same account has signed in since
	CheckAnother CheckWho = "another" // it is another account
	CheckOther   CheckWho = "other"   // the same account, in a session that the sign-out was not about
)

// CheckView is "/check", and "/receipts/{handle}/check" about one sign-out: what is left of a sign-in, on the server and,
// by script, in this browser. It names nobody who is not signed in here.
//
// Its form: POST /check/clear, if what the browser presented can be removed.
type CheckView struct {
	Frame
	State  CheckState
	Ended  *exeunt.Ended    // of CheckEnded; nil if nothing is known of it
	This   exeunt.Session   // of CheckLive, with Others and Live as in SessionsView
	Others []exeunt.Session // a few
	Live   int
	// Out is the sign-out that the check is about; nil if none is known here.
	Out     *CheckOut
	Apps    []AppAfter // that were used with what Out ended
	More    int        // how many there are besides
	Some    bool       // there may be others, of which nothing is known any more
	Using   []AppReach // apps that are signed in by this session
	Browser string     // as in HelpView
}

// CheckOut is a sign-out, as whoever asks may know it.
type CheckOut struct {
	At    time.Time
	Scope exeunt.Scope
	App   bool     // only a sign-in of an app ended
	Who   CheckWho // "" if nobody is signed in
}

func (*CheckView) page() string { return "check" }

// OtherCount is as in SessionsView.
func (v *CheckView) OtherCount() int { return max(v.Live-1, len(v.Others)) }

// Waiting is as in SignedOutView.
func (v *CheckView) Waiting() bool { return (&SignedOutView{Apps: v.Apps}).Waiting() }

// Verdict is the part of the catalogue's key for the sentence at the top.
func (v *CheckView) Verdict() string {
	marked := func(mark string) bool {
		return slices.ContainsFunc(v.Apps, func(a AppAfter) bool { return a.Mark(v.Now) == mark })
	}
	switch {
	case v.State == CheckLive:
		return "in"
	case v.State == CheckArriving:
		return "arriving"
	case v.State != CheckNobody:
		return "left"
	case marked("odd"):
		return "apps"
	case marked("arc"):
		return "waiting"
	}
	return "out"
}

// Mark is the symbol of the verdict.
func (v *CheckView) Mark() string {
	switch v.Verdict() {
	case "out":
		return "check"
	case "in":
		return "dot"
	}
	return "odd"
}

// Dead reports whether the browser presented something that can be removed.
func (v *CheckView) Dead() bool {
	return v.State != CheckNobody && v.State != CheckLive && v.State != CheckArriving
}

// CheckLayer is a place in a browser where something of a sign-in can be left. Only a script can look there.
type CheckLayer struct {
	Name string // the part of the catalogue's keys
	Fix  bool   // a button removes what is found
	Use  bool   // what is there may belong to whoever is signed in
	// Steps is the key of what to do in the browser's menus, "" for none; at Help is more of it.
	Steps, Help string
}

// Layers are all of them, in the order in which they are shown.
func (*CheckView) Layers() []CheckLayer { return checkLayers }

// Layers are those that the page after a sign-out names.
func (*SignedOutView) Layers() []CheckLayer { return checkLayers }

var checkLayers = []CheckLayer{
	{Name: "cookies", Fix: true, Use: true, Steps: "help.data", Help: "clearing-data"},
	{Name: "storage", Fix: true, Steps: "help.data", Help: "clearing-data"},
	{Name: "databases", Fix: true, Steps: "help.data", Help: "clearing-data"},
	{Name: "caches", Fix: true, Steps: "help.data", Help: "clearing-data"},
	{Name: "http", Fix: true, Steps: "help.data", Help: "clearing-data"},
	{Name: "proxy"},
	{Name: "worker", Fix: true, Use: true, Steps: "help.data", Help: "clearing-data"},
	{Name: "ticket", Fix: true, Help: "locked"},
	{Name: "tabs", Fix: true, Use: true},
	{Name: "restored", Help: "closing-a-tab"},
	{Name: "password", Steps: "help.passwords", Help: "saved-passwords"},
	{Name: "clock"},
}
