package client

import (
	"net/http"
	"strings"
)

// PrivatePage keeps the answer to a request out of every cache, and out of the copies
// that browsers keep of left pages to show them again on Back. The returned writer takes
// the place of w. Package webapp does this for every page of somebody who is signed in.
//
// Chromium keeps such copies of no-store pages too, and without a script nothing asks the
// server before a copy is shown. It keeps pages of status 200 only. So a page is answered
// with 203, another status of a whole page (RFC 9110 section 15.3.4). Only what a browser
// opens as a page is: scripts and other programs see the status that was written.
func PrivatePage(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	w.Header().Set("Cache-Control", "no-store")
	if !opensPage(r) {
		return w
	}
	return &pageWriter{ResponseWriter: w}
}

// opensPage reports whether a browser will show the answer as a page. Old browsers, and
// proxies that remove headers, do not say so; then whatever accepts HTML counts.
func opensPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false // no browser keeps the answer to a post
	}
	if dest := first(r.Header, "Sec-Fetch-Dest"); dest != "" {
		return dest == "document"
	}
	return strings.Contains(first(r.Header, "Accept"), "text/html")
}

// pageWriter writes 203 for 200.
type pageWriter struct {
	http.ResponseWriter
	wrote bool
}

func (w *pageWriter) WriteHeader(status int) {
	if status >= 200 {
		w.wrote = true
	}
	if status == http.StatusOK {
		status = http.StatusNonAuthoritativeInfo
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *pageWriter) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Flush sends what was written so far.
func (w *pageWriter) Flush() {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a writer that cannot flush sends it at the end
}

// Unwrap is for http.ResponseController.
func (w *pageWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
