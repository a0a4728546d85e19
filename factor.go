package exeunt

import (
	"net/netip"
	"time"
)

// FactorKind is a kind of factor.
type FactorKind string

const (
	// FactorTOTP: an authenticator app, which shows a code every 30 seconds (RFC 6238).
	FactorTOTP FactorKind = "totp"
	// FactorPasskey: a key pair whose private half a device, a security key or a password manager keeps (WebAuthn).
	FactorPasskey FactorKind = "passkey"
)

// Factor is what somebody proves who they are with besides, or instead of, the password. Its secret is not part of it.
type Factor struct {
	ID          FactorID
	Account     AccountID
	Kind        FactorKind
	Name        string
	Created     time.Time
	Used        time.Time // zero: never
	UsedLabel   string    // the browser or app that it was last used in
	UsedAddress netip.Addr
	Credential  []byte // a passkey's ID, by which the browser knows it
	// Counter is the last time step whose code was taken, so that no code is taken twice; or a passkey's own count.
	Counter int64
}

// Method is the method of somebody who has used the factor.
func (f *Factor) Method() Method {
	if f.Kind == FactorPasskey {
		return MethodPasskey
	}
	return MethodTOTP
}

// RecoveryCodes says how many recovery codes an account has.
type RecoveryCodes struct {
	Made        time.Time // zero: none were made
	Left, Total int
}

// Limits of what an account has, and of what is remembered of somebody who is signing in.
const (
	// MaxFactors is how many factors an account may have.
	MaxFactors = 20
	// MaxFactorNameLen is the longest name of a factor, in characters.
	MaxFactorNameLen = 60
	// RecoveryCodeCount is how many recovery codes are made at a time.
	RecoveryCodeCount = 10
	// ChallengeLife is how long somebody has for the next step of a sign-in.
	ChallengeLife = 10 * time.Minute
	// MaxWrongAnswers is how many wrong answers end a challenge.
	MaxWrongAnswers = 5
)
