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

// BodyPatience is how long a request's body may take. Whoever sends it slowly holds a connection.
const BodyPatience = 5 * time.Second

// BoundBodies gives every body a time by which it must have arrived, also one that no handler reads: the server reads
// it before it answers.
func BoundBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			// Where it cannot be set, as in tests without a connection, the server's limit holds.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(BodyPatience))
		}
		next.ServeHTTP(w, r)
	})
}

// ReadBody reads a request's whole body, so that the handler finds it in memory. It fails with http.MaxBytesError,
// exeunt.ErrLateBody, or ErrBadRequest for a body that is broken or cut short.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err := bodyRead(w, err); err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// ReadUpload returns the first bytes of a request's body, which may take longer than others, and whether those are all of
// it. Of a longer one it reads up to rest bytes more, which it drops. It fails as ReadBody does.
func ReadUpload(w http.ResponseWriter, r *http.Request, most, rest int64, patience time.Duration) (
	body []byte, whole bool, err error,
) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience))
	all := http.MaxBytesReader(w, r.Body, most+rest)
	if body, err = io.ReadAll(io.LimitReader(all, most)); err != nil {
		return nil, false, bodyRead(w, err)
	}
	dropped, err := io.Copy(io.Discard, all)
	return body, dropped == 0, bodyRead(w, err)
}

// bodyRead turns what came of reading a body into an error for people.
func bodyRead(w http.ResponseWriter, err error) error {
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
	return nil
}
