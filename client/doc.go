// Package client is the public Go SDK of the session authority, and the one
// place where the shapes of its wire contract are written down.
//
// It owns:
//   - the JSON structs of the API (wire.go) and its problem documents;
//   - Client, one method for each call, and SignOut for apps that keep a
//     bearer token on a device;
//   - event streams, read and written: a session's state, and the event log.
//
// It decides nothing about sessions: the authority does. It is not what a web app
// puts in front of its handlers, which is package webapp, nor does it check
// sessions in the app's own process, as package verify does; both are made of it.
// It imports nothing but the standard library.
//
// Secrets are of type Secret, which prints, logs and marshals masked.
package client
