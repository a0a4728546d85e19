package exeunt

// Method says how somebody proved who they are.
type Method string

// MethodPassword: by the account's password.
const MethodPassword Method = "password"

// Proof says that somebody proved to be the account's owner. It carries the
// account's generation and credential version as they were *before* the proof
// was looked at: a session is started from it only if both are unchanged, so
// a sign-in in flight cannot slip past "sign out everywhere".
type Proof struct {
	Account           AccountID
	Method            Method
	Generation        int64
	CredentialVersion int64
}
