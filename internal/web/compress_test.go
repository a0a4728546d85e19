package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCompress(t *testing.T) {
	const page = "<p>a page, a page, a page, a page, a page</p>"
	for name, c := range map[string]struct {
		method, target, accept, kind string
		status                       int
		want                         bool
	}{
		"a page":            {"GET", "/", "gzip, deflate, br", "text/html; charset=utf-8", 200, true},
		"an error page":     {"GET", "/", "gzip", "text/html", 404, false},
		"a method refused":  {"GET", "/", "gzip", "text/html", 405, false},
		"a style":           {"GET", "/assets/a.css", "br;q=1.0, gzip;q=0.8", "text/css", 200, true},
		"echoed":            {"GET", "/?return=/x", "gzip", "text/html", 200, false},
		"a form":            {"POST", "/", "gzip", "text/html", 422, false},
		"not accepted":      {"GET", "/", "br", "text/html", 200, false},
		"refused":           {"GET", "/", "gzip;q=0", "text/html", 200, false},
		"a picture":         {"GET", "/", "gzip", "image/png", 200, false},
		"a stream":          {"GET", "/", "gzip", "text/event-stream", 200, false},
		"nothing to say":    {"GET", "/", "gzip", "text/html", 204, false},
		"asked for no body": {"HEAD", "/", "gzip", "text/html", 200, false},
	} {
		h := Compress(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.Header().Set("Content-Length", "45")
			w.WriteHeader(c.status)
			if c.status != http.StatusNoContent {
				io.WriteString(w, page)
			}
		}))
		r := httptest.NewRequest(c.method, c.target, nil)
		r.Header.Set("Accept-Encoding", c.accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != c.want || w.Code != c.status {
			t.Errorf("%s: compressed %v, status %d", name, got, w.Code)
			continue
		}
		if !c.want {
			continue
		}
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := io.ReadAll(z)
		if err != nil || string(body) != page || w.Header().Get("Content-Length") != "" ||
			!strings.Contains(w.Header().Get("Vary"), "Accept-Encoding") {
			t.Errorf("%s: %q, %v, %v", name, body, w.Header(), err)
		}
	}
}
