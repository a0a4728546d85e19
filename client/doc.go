// Package client is the public Go SDK of the session authority, and the one
// place where the shapes of its wire contract are written down.
//
// It owns five things:
//   - the JSON structs of the API (wire.go) and its problem documents;
//   - Client, one method for each call, and SignOut for apps that keep a
//     bearer token on a device;
//   - App, what a web app puts in front of its handlers: it signs people in
//     and out, checks every request, and closes what is open when a session
//     ends;
//   - Verifier, which checks sessions in the app's own process: it follows the
//     authority's event log, and refuses when it cannot know;
//   - what pages are told while they are open (page.go), by App and by the
//     authority alike.
//
// It decides nothing about sessions: the authority does. App asks it on every
// request, or with a Verifier repeats what it said until an event or time makes
// that doubtful. It imports nothing but the standard library.
//
// Secrets are of type Secret, which prints, logs and marshals masked.
package client
