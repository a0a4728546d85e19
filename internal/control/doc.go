// Package control is how an operator's command talks to the running node: HTTP
// with JSON over a Unix socket in the data folder, which only the folder's
// owner can open.
//
// It owns the socket, its calls and their client. It decides nothing: endings
// go through the authority as those of an operator.
package control
