// Package testnode builds a real core for tests: a store in a temporary folder,
// the memory and the feed that follow it, keys, the authority, and signing in
// with cheap hashing, under a clock that a test can move on.
//
// It owns what the tests of several rooms need of that core and do alike. It
// replaces nothing by a fake, builds no surface, and is imported by tests only.
package testnode
