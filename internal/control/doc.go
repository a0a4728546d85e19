// Package control lets an operator's commands talk to the running node: HTTP with
// JSON over a Unix socket in the data folder, which only the folder's owner can open.
//
// It owns the socket, its calls and their client. It holds no business rules: it
// decodes a call, has operate or account carry it out, and encodes the answer.
// Whoever can open the socket is an operator.
package control
