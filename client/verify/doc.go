// Package verify checks sessions in an app's own process.
//
// It owns the Verifier, which follows the authority's event log, caches the gate's
// answers until an event or time may have changed them, and knows for how long it
// may answer from memory. Otherwise it asks the gate, and it refuses when the gate
// does not answer.
//
// It ends no sessions and only repeats the authority's decisions. Package client
// owns the wire format. This package imports only the standard library and client.
package verify
