// Package webapp is the middleware for a web app.
//
// It owns the app's side of a browser's session: it signs people in and out by the
// authority's code flow, sets the app's cookie, checks each request, explains why a
// session has ended, and informs open pages at once.
//
// It decides nothing about sessions: the authority does, and an App asks it through
// a client.Client, or a Verifier that repeats its answers (package verify). The
// browser module in js hides pages, and uses the addresses below /exeunt/. This
// package imports only the standard library and package client.
package webapp
