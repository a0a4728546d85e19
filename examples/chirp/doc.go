// Package chirp is a small social app: a timeline, drafts on the server, and
// private messages. It is the integration guide: all it knows of signing in
// and out is package client, which stands in front of its handlers.
//
// It owns posts, drafts and messages in its own database. It keeps no session
// and no credential: the authority does, and what Chirp remembers of its answers
// (verifier.go) is the SDK's own affair.
package chirp
