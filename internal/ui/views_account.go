package ui

import (
	"time"

	"github.com/exeunt/exeunt"
)

// ResetView is the page of a one-time link that sets a new password. The form
// posts to its own address, so that the page never contains the link's secret.
//
// Its form: password.
type ResetView struct {
	Frame
	Handle string
	Err    error
}

// ForgotView is "/forgot" and, with Sent, "/forgot/sent", which says the same whether or not there is such an account.
//
// Its form: POST /forgot with key, identifier.
type ForgotView struct {
	Frame
	Identifier string
	Sent       bool
	Life       time.Duration // for how long the link works
	Err        error
}

// AddressView is the page of a link that confirms an e-mail address. The form posts to its own address, so that
// the page never contains the link's secret.
type AddressView struct {
	Frame
	Handle, Address string
	Replaces        string // the address that it replaces, "" if none
	Done            bool
	Err             error
}

// UndoView is the page of a link that undoes a change of an e-mail address. Its form is as in AddressView; once it
// is Done, the same form leads to a new password.
type UndoView struct {
	Frame
	Handle, Address string // that the account gets back
	Replaced        string // the one that it has, "" if none
	Done            bool
	Err             error
}

// SecureView is "/secure": what is to be done when somebody else may have used the account.
//
// Its forms: POST /secure/begin with session and key; POST /secure/step with session and step; POST /secure/finish with
// session.
type SecureView struct {
	Frame
	Begin             bool // nothing is under way
	Others            int  // sessions that would end
	Started, Finished time.Time
	By                exeunt.ActorKind // who has started it
	Ended             int              // sessions
	Steps             []SecureStep     // nil when it is finished
	NewPassword       bool             // since it began
	Factors           []exeunt.Factor
	Email             string
	EmailConfirmed    bool
	Apps              []AppUsed
	More              bool          // there are more apps
	Changes           *ActivityView // of late
	Return            string        // where the reader was going; "" omits it
}

// SecureStep is one step, with its state.
type SecureStep struct {
	Name string // of SecureSteps
	Done bool
}

// Where is the page on which the step is taken.
func (s SecureStep) Where() string {
	return map[string]string{SecureEnd: "/sessions", SecurePassword: "/security#change", SecureFactors: "/security#second",
		SecureEmail: "/settings#profile", SecureApps: "/apps"}[s.Name]
}

// Done is how many steps are.
func (v *SecureView) Done() (n int) {
	for _, s := range v.Steps {
		if s.Done {
			n++
		}
	}
	return n
}

// All reports whether every step is done.
func (v *SecureView) All() bool { return v.Done() == len(v.Steps) }

// ReviewView is "/review": sessions and apps are looked through one by one.
//
// Its forms: POST /review/begin with session; POST /review/decide with session, key, at and decision (keep or end);
// POST /review/mail with session and mail.
type ReviewView struct {
	Frame
	Under     bool // one is under way
	At, Total int
	Item      *exeunt.Session // what is looked at: a session or an app, or neither when nothing is left
	App       *AppUsed
	Clients   Clients

	Done        bool // it is finished
	Kept, Ended int
	Last, Next  time.Time // the last one and when the next is due; zero: none
	CanMail     bool
	Mail        bool // the reader wants a mail when it is due
}

// Place is the number of what is looked at.
func (v *ReviewView) Place() int { return v.At + 1 }

// DeleteAccountView is "/account/delete": what follows if the account is deleted.
//
// Its form: POST /account/delete with session, key, and those of Proof.
type DeleteAccountView struct {
	Frame
	Live  int // sessions, this one included
	Days  int // for how long it can be kept
	Apps  []AppUsed
	More  bool          // there are more apps
	Audit time.Duration // for how long the history is stored
	Proof Proof
	Err   error
}

// DeletingView is "/account/deleting": until when the account can be kept.
//
// Its forms: POST /account/keep and POST /account/leave, both with challenge.
type DeletingView struct {
	Frame
	Until     time.Time
	Handle    string // of somebody who has proved that it is theirs; "" right after the deletion was asked for
	Challenge string
}
