// Package chirp is a small social app: a timeline, drafts on the server, and
// private messages. It is the integration guide: it signs people in and out with
// package webapp, the middleware in front of its handlers.
//
// It owns posts, drafts and messages in its own database. It stores no session and
// no credential; package verify may cache the authority's answers (verifier.go).
package chirp
