// Package testnode builds a real core for tests: a store in a temporary folder, the
// memory and the feed that follow it, keys, the authority, and sign-in with cheap
// hashing, under a clock that a test can move forward.
//
// It owns what the tests of several packages do with that core. It has no fakes,
// builds no surface, and is imported by tests only.
package testnode
