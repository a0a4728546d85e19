// Package account creates people's accounts, by sign-up, by invitation and for
// operators. It changes profiles and passwords, and disables and enables accounts.
//
// It owns the rules for handles, names and addresses, and the one-time links. It
// does not authenticate anybody (signin does): a change that a stranger must not
// make needs a Proof. It ends no session: where a change ends some, the authority
// does both in one transaction.
package account
