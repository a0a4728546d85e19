// Package demo runs the authority with the sample app Chirp beside it on
// loopback addresses, with seeded accounts, and plays a tour that verifies
// over real HTTP what the product promises.
//
// It owns what is particular to a demonstration: the hosts under .localhost
// that browsers treat as secure without TLS, the seeded history, and the tour.
// Everything it shows is done by the same rooms that serve in production.
package demo
