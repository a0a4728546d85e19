package testnode

import (
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/web"
)

// AsBrowser returns the headers with which a browser presents a token: both cookies of
// the pair, as the node sets them.
func (n *Node) AsBrowser(token exeunt.Token) http.Header {
	w := httptest.NewRecorder()
	n.Browser.Cookies.SetPair(w, web.FirstSlot, token, exeunt.KindKept, time.Hour)
	r := &http.Request{Header: http.Header{}}
	for _, c := range w.Result().Cookies() {
		r.AddCookie(c)
	}
	return r.Header
}

// AsApp returns the headers with which a program presents a token.
func AsApp(token exeunt.Token) http.Header {
	return http.Header{"Authorization": {"Bearer " + token.Reveal()}}
}
