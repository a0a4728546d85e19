package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/exeunt/exeunt"
)

// bodyPatience is how long a request's body may take. Whoever sends it slowly holds a connection.
const bodyPatience = 5 * time.Second

// BoundBodies gives every body a time by which it must have arrived, also one that no handler reads: the server reads
// it before it answers.
func BoundBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			// Where it cannot be set, as in tests without a connection, the server's limit holds.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
		}
		next.ServeHTTP(w, r)
	})
}

// ReadBody reads a request's whole body, so that the handler finds it in memory. It fails with http.MaxBytesError,
// exeunt.ErrLateBody, or ErrBadRequest for a body that is broken or cut short.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLarge *http.MaxBytesError
	var late net.Error
	switch {
	case errors.As(err, &tooLarge):
		return err
	case errors.As(err, &late) && late.Timeout():
		return exeunt.ErrLateBody
	case err != nil: // its own text may repeat what was sent
		return fmt.Errorf("the body is broken or did not arrive whole: %w", exeunt.ErrBadRequest)
	}
	// Otherwise the server takes a handler that is still at work then for one whose client has gone.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
