// Package exeunt holds the nouns of the session authority and the pure rules
// between them: which sessions a revocation covers, who may end what, when a
// session runs out. It decides nothing that needs a database, a clock or a
// network; those live in the rooms under internal/.
//
// Secrets are never fields of these structs. A token exists only as a Token,
// which prints masked, and as its TokenHash.
package exeunt
