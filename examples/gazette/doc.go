// Package gazette is a small newspaper whose articles are for readers who are signed in. It shows what any app in any
// language does to join: OpenID Connect by kept libraries, sessions of its own, and an address at which it is told of
// sign-outs. It owns its articles and its sessions, and has not a line of Exeunt's code.
package gazette
