// Package verify checks sessions in an app's own process.
//
// It owns the Verifier: it follows the authority's event log, keeps what the gate
// said of a session until an event or time makes that doubtful, and knows for how
// long it may answer from memory. When it cannot know, it asks the gate, and when
// that does not answer it refuses.
//
// It ends nothing and decides nothing that the authority has not said. What goes
// over the wire, and how it is read, is package client's. It imports nothing but
// the standard library and package client.
package verify
