// Package exeunt defines the types of the session authority and the pure rules between them: which sessions a
// revocation covers, who may end what, when a session expires. It needs no database, clock or network; the packages
// under internal/ have those.
//
// Secrets are never fields of these structs. A secret exists only as a Token, which prints masked, and as its
// TokenHash.
package exeunt
