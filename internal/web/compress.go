package web

import (
	"compress/gzip"
	"net/http"
	"strings"
	"sync"
)

// Compress compresses texts for browsers that accept it, if the answer cannot echo
// anything that the request brought: it is a GET without a query, of something that is
// there. Otherwise somebody who
// sees the answers' lengths could make a browser ask again and again, and learn from the
// lengths what else is on the page (the attack called BREACH).
func Compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.RawQuery != "" || !acceptsGzip(r.Header) {
			next.ServeHTTP(w, r)
			return
		}
		z := &compressed{ResponseWriter: w}
		defer z.close()
		next.ServeHTTP(z, r)
	})
}

// acceptsGzip reads Accept-Encoding (RFC 9110 section 12.5.3) as browsers send it.
func acceptsGzip(h http.Header) bool {
	for _, part := range strings.Split(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, weight, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q := strings.ReplaceAll(weight, " ", "")
			return q != "q=0" && !strings.HasPrefix(q, "q=0.0")
		}
	}
	return false
}

var gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

type compressed struct {
	http.ResponseWriter
	gz    *gzip.Writer // nil if the answer is passed on as it is
	begun bool
}

// WriteHeader decides by the type of the answer.
func (z *compressed) WriteHeader(status int) {
	if z.begun {
		return
	}
	z.begun = true
	h := z.Header()
	if compressible(h.Get("Content-Type")) && h.Get("Content-Encoding") == "" && status < 300 &&
		status != http.StatusNoContent { // an error's page has the address in its links
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		h.Del("Content-Length")
		z.gz = gzipWriters.Get().(*gzip.Writer)
		z.gz.Reset(z.ResponseWriter)
	}
	z.ResponseWriter.WriteHeader(status)
}

// Write compresses what is compressible.
func (z *compressed) Write(b []byte) (int, error) {
	z.WriteHeader(http.StatusOK)
	if z.gz == nil {
		return z.ResponseWriter.Write(b)
	}
	return z.gz.Write(b)
}

// Unwrap is for http.ResponseController.
func (z *compressed) Unwrap() http.ResponseWriter { return z.ResponseWriter }

func (z *compressed) close() {
	if z.gz == nil {
		return
	}
	_ = z.gz.Close() // the browser may have gone away
	gzipWriters.Put(z.gz)
}

func compressible(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.HasPrefix(kind, "text/") && kind != "text/event-stream" || kind == "image/svg+xml"
}
