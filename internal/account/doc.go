// Package account keeps people: it makes their accounts, by sign-up, by invitation
// and for operators, and changes profiles, passwords and whether an account may
// sign in.
//
// It owns what a handle, a name and an address may look like, and the one-time
// links. It does not find out who somebody is (signin does); what a stranger must
// not change is changed by a Proof. It ends no session: where a change ends some,
// the authority makes both in one transaction.
package account
