// Package client is the public Go SDK of the session authority, and the one
// place where the shapes of its wire contract are written down.
//
// It owns:
//   - the JSON structs of the API (wire.go) and its problem documents;
//   - Client, one method for each call, and SignOut for apps that keep a
//     bearer token on a device;
//   - event streams, read and written: a session's state, and the event log.
//
// It decides nothing about sessions: the authority does. Package webapp is the
// middleware for a web app, and package verify checks sessions in the app's own
// process; both use this package. It imports only the standard library.
//
// Credentials are of type Secret, which prints, logs and marshals masked.
package client
