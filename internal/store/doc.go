// Package store keeps accounts, sessions, clients, the numbered event log and the
// audit entries in a database, and is the only room with SQL in it.
//
// It owns durability: a write is reported as done only after its commit is on
// stable storage. It decides nothing about people: each write is one whole
// transaction whose statements carry their own conditions, and the outcome
// says what they found. The SQL is one body; what differs between engines is
// in sqlite.go.
package store
