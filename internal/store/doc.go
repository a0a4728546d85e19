// Package store stores accounts, sessions, clients, the numbered event log and the audit entries in a database. It
// is the only package with SQL in it.
//
// It owns durability: a write is reported as done only after its commit is on stable storage. It does not decide who
// may do what: each write is one transaction whose statements have their own conditions, and the outcome says what
// they found. Both engines run the same statements; engine.go lists what differs.
package store
