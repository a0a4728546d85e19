// Package web is what the surfaces share: handlers that return errors, the browser's
// cookies, who a request comes from, protection against forged requests, and the
// headers of every answer.
//
// It owns the rules of the browser's credential, a pair of cookies of which either
// half alone is worthless. It renders nothing: each surface writes its own errors.
package web
