package ui

import (
	"html/template"
	"net/url"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
)

// SignInStepView is "/signin" after the password, for an account that has a factor.
//
// Its forms: POST /signin/code with challenge, code or passkey, and session as in SignInView; POST /signin/anew with return.
type SignInStepView struct {
	Frame
	Handle    string
	Methods   exeunt.Methods // any of which will do
	Challenge string         // names the challenge, which only the cookie has
	Ask       string         // what the script asks the browser's passkeys, as JSON; "" if they are of no use
	Return    string
	Client    *exeunt.Client // as in SignInView
	Err       error
}

// May reports whether a method will do.
func (v *SignInStepView) May(m exeunt.Method) bool { return slices.Contains(v.Methods, m) }

// RecoveredView is "/recovered": somebody has signed in with a recovery code.
//
// Its form: POST /sessions/end as on the sessions page.
type RecoveredView struct {
	Frame
	Codes  exeunt.RecoveryCodes
	Others int // other live sessions
	Return string
}

// RequiredView is "/required": somebody is signed in by less than the policy, or an app, requires.
type RequiredView struct {
	Frame
	Client   *exeunt.Client // the app that requires it; nil: the site
	Needs    exeunt.Requirement
	Factors  []exeunt.Factor
	Return   string
	Passkeys bool // the site can have them
}

// ByPasskey reports whether only a passkey will do.
func (v *RequiredView) ByPasskey() bool { return v.Needs == exeunt.OnlyPasskey }

// Has reports whether the account has a factor that will do: then signing in again is enough.
func (v *RequiredView) Has() bool {
	return slices.ContainsFunc(v.Factors, func(f exeunt.Factor) bool {
		return !v.ByPasskey() || f.Kind == exeunt.FactorPasskey
	})
}

// Proof is what a form asks for before a change that a stranger at the screen must not make. Its fields: passkey; or
// current, the password, and code.
type Proof struct {
	Handle     string
	Needed     bool
	NoPassword bool // the account has none
	Code       bool // the account has factors, and a code would do
	App        bool // of an authenticator app; otherwise only a recovery code would
	Passkey    bool // it has passkeys
	Optional   bool // the form may be sent without, for what needs no proof
	Err        error
	At, Until  time.Time // when the person has proved it last, and for how long that counts
}

// ConfirmView asks for a proof before what a form of another page asks for, which had no fields for it.
//
// Its form: POST To with session, Fields, and those of Proof.
type ConfirmView struct {
	Frame
	To     string
	Fields url.Values
	Proof  Proof
	Err    error
}

// AppView is "/security/app": an authenticator app is set up.
//
// Its form: POST /security/app with session, key, setup, name, app_code, others, and those of Proof.
type AppView struct {
	Frame
	Setup  string // sealed
	QR     template.HTML
	Secret string // for people who type it
	Name   string
	Others int // other sessions
	Keep   bool
	Proof  Proof
	Err    error
}

// PasskeyView is "/security/passkeys": a passkey is made.
//
// Its form: POST /security/passkeys with session, key, setup, made, name, others, and those of Proof.
type PasskeyView struct {
	Frame
	Setup  string // sealed
	Ask    string // what the script asks the browser to make, as JSON
	Made   string // what it has made already
	Label  string // what this browser is called
	Name   string
	Others int // other sessions
	Keep   bool
	Proof  Proof
	Err    error
}

// FactorNameView is "/security/factors/{id}/name".
//
// Its form: POST /security/factors/{id}/name with session, name.
type FactorNameView struct {
	Frame
	Factor exeunt.Factor
	Name   string
	Err    error
}

// CodesView is "/security/codes": recovery codes that were just made, or the question whether to make new ones.
//
// Its forms: POST /security/codes with session, key, setup, and those of Proof; POST /security/codes/text and
// POST /security/codes/saved with session.
type CodesView struct {
	Frame
	Codes []string // just made
	// NoFactor leads to adding one first: without, codes are of no use.
	NoFactor bool
	Setup    string // sealed
	Has      exeunt.RecoveryCodes
	Proof    Proof
	Err      error
}

// FactorView is "/security/factors/{id}": the question whether to remove it.
//
// Its form: POST /security/factors/{id} with session, key, others, and those of Proof.
type FactorView struct {
	Frame
	Factor exeunt.Factor
	Last   bool // the account has no other one
	Others int
	Keep   bool
	Proof  Proof
	Err    error
}
