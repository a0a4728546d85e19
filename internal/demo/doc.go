// Package demo runs the authority and the sample app Chirp on loopback addresses, with
// seeded accounts, and plays a tour that verifies over HTTP what the product promises.
//
// It owns what only a demonstration needs: the hosts under .localhost, which browsers
// treat as secure without TLS, the seeded history, and the tour. Everything else is
// done by the packages that serve in production.
package demo
