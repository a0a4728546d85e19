package exeunt

import (
	"slices"
	"strings"
	"time"
)

// Method is a way to prove one's identity.
type Method string

const (
	// MethodPassword: by the account's password.
	MethodPassword Method = "password"
	// MethodTOTP: by a code of an authenticator app.
	MethodTOTP Method = "totp"
	// MethodPasskey: by a passkey, which has asked its holder for a PIN or the like.
	MethodPasskey Method = "passkey"
	// MethodRecovery: by a recovery code.
	MethodRecovery Method = "recovery_code"
)

// Methods are the methods that somebody has proved their identity by, in that order.
type Methods []Method

// Several reports whether they are more than one factor. A passkey is: a key that somebody has, and the PIN or the like
// that they know or are, for which it asks.
func (m Methods) Several() bool { return len(m) > 1 || slices.Contains(m, MethodPasskey) }

// String joins them with spaces; ParseMethods reads it.
func (m Methods) String() string { return strings.Join(m.Strings(), " ") }

// Strings are the names of the methods.
func (m Methods) Strings() []string {
	out := make([]string, len(m))
	for i := range m {
		out[i] = string(m[i])
	}
	return out
}

// ParseMethods reads what String wrote.
func ParseMethods(s string) (m Methods) {
	for _, name := range strings.Fields(s) {
		m = append(m, Method(name))
	}
	return m
}

// Proof says that somebody has proved to be the account's owner, how, and when. It carries the account's generation
// and credential version from *before* the proof was checked: a session starts from it only if both are unchanged,
// so a sign-in in flight cannot survive "sign out everywhere".
type Proof struct {
	Account           AccountID
	Methods           Methods
	At                time.Time // when the last of them was proved
	Generation        int64
	CredentialVersion int64
	// Repeated: the same answer has proved it before. It leads only to the session that it has started.
	Repeated bool
}
