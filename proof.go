package exeunt

import (
	"strings"
	"time"
)

// Method is a way to prove one's identity.
type Method string

// MethodPassword: by the account's password.
const MethodPassword Method = "password"

// Methods are the methods that somebody has proved their identity by, in that order.
type Methods []Method

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
}
