// Package oauth holds the rules by which apps sign people in: which apps there are
// (the registry), what an app may ask for (requests), and the single-use codes that
// it exchanges for app sessions.
//
// It owns clients, requests, codes and the matching of redirect addresses. It
// speaks no HTTP (the surfaces do), and starts, checks and ends no app session
// itself (authority does).
package oauth
