package testnode

import (
	"context"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/exeunt/exeunt"
)

// AsBrowser returns the headers with which a browser presents a token: both cookies of
// the pair, as the node sets them.
func (n *Node) AsBrowser(token exeunt.Token) http.Header {
	w := httptest.NewRecorder()
	n.Browser.Cookies.SetPair(w, n.named(token), token, exeunt.KindKept, time.Hour)
	r := &http.Request{Header: http.Header{}}
	for _, c := range w.Result().Cookies() {
		r.AddCookie(c)
	}
	return r.Header
}

// named returns the session after which a browser's cookies of that token are named.
func (n *Node) named(token exeunt.Token) exeunt.SessionID {
	if ans := n.Check(context.Background(), token); !ans.Session.IsZero() {
		return ans.Session
	}
	return exeunt.NewSessionID()
}

// AsApp returns the headers with which a program presents a token.
func AsApp(token exeunt.Token) http.Header {
	return http.Header{"Authorization": {"Bearer " + token.Reveal()}}
}
