// Package webhook checks the messages that the session authority sends to webhooks, which are signed by the
// specification Standard Webhooks (https://www.standardwebhooks.com), and has the shapes of what they say.
//
// It decides nothing, remembers no message and makes no requests. Whoever receives a message twice, as can happen,
// knows it by its ID. It imports only the standard library.
package webhook
