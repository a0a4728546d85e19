// Package webapp is what a web app puts in front of its handlers.
//
// It owns the app's side of a browser's session: it signs people in and out by
// the authority's code flow, keeps the app's cookie, checks each request, says
// what happened when a session has ended, and tells open pages so at once.
//
// It decides nothing about sessions: the authority does, and an App asks it by a
// client.Client, or a Verifier that repeats its answers (package verify). Pages
// are blanked by the browser module in js, which speaks to the addresses below
// /exeunt/. It imports nothing but the standard library and package client.
package webapp
