// Package oauth holds the rules by which apps sign people in: the registry of
// clients, their requests, and the single-use codes that they exchange for app
// sessions.
//
// It owns clients, requests, codes and the matching of redirect addresses. It has no
// HTTP handlers (the surfaces do), and does not start, check or end app sessions
// (authority does).
package oauth
