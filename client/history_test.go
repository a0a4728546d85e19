package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/exeunt/exeunt/client"
)

// Browsers keep no copy of a page for Back, and programs see the status that was written.
func TestPrivatePage(t *testing.T) {
	page := map[string]string{"Sec-Fetch-Dest": "document"}
	for name, c := range map[string]struct {
		method string
		header map[string]string
		write  func(http.ResponseWriter)
		want   int
	}{
		"a page":                {"GET", page, func(w http.ResponseWriter) { io.WriteString(w, "x") }, 203},
		"a page, said":          {"GET", page, func(w http.ResponseWriter) { w.WriteHeader(200) }, 203},
		"a page in parts":       {"GET", page, func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, 203},
		"an old browser's":      {"GET", map[string]string{"Accept": "text/html,*/*"}, func(w http.ResponseWriter) { io.WriteString(w, "x") }, 203},
		"its head":              {"HEAD", page, func(w http.ResponseWriter) { w.WriteHeader(200) }, 203},
		"early hints before it": {"GET", page, func(w http.ResponseWriter) { w.WriteHeader(103); io.WriteString(w, "x") }, 203},
		"a redirect":            {"GET", page, func(w http.ResponseWriter) { w.WriteHeader(303) }, 303},
		"an error's page":       {"GET", page, func(w http.ResponseWriter) { w.WriteHeader(404); io.WriteString(w, "x") }, 404},
		"a created thing":       {"GET", page, func(w http.ResponseWriter) { w.WriteHeader(201) }, 201},
		"a post":                {"POST", page, func(w http.ResponseWriter) { io.WriteString(w, "x") }, 200},
		"a script's request":    {"GET", map[string]string{"Sec-Fetch-Dest": "empty", "Accept": "text/html"}, func(w http.ResponseWriter) { io.WriteString(w, "x") }, 200},
		"a picture":             {"GET", map[string]string{"Sec-Fetch-Dest": "image"}, func(w http.ResponseWriter) { io.WriteString(w, "x") }, 200},
		"a program":             {"GET", map[string]string{"Accept": "*/*"}, func(w http.ResponseWriter) { io.WriteString(w, "x") }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.write(client.PrivatePage(w, r))
			}))
			defer server.Close()
			r, err := http.NewRequestWithContext(t.Context(), c.method, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			got, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			got.Body.Close()
			if got.StatusCode != c.want || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d, %q", got.StatusCode, got.Header.Get("Cache-Control"))
			}
		})
	}
}
