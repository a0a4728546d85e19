package pages

import (
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/web"
)

// maxForm bounds a form's body. The largest honest one is under 2 kB.
const maxForm = 64 << 10

// readForm reads a post's form, in either of the encodings that browsers use.
// A form that is too long fails with http.MaxBytesError, a malformed one with
// ErrBadRequest; nothing has been done by then.
func readForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	switch kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case err == nil && kind == "application/x-www-form-urlencoded":
		return nil
	case err == nil && kind == "multipart/form-data":
		return formError(r.ParseMultipartForm(maxForm))
	case r.ContentLength == 0:
		return nil
	}
	return fmt.Errorf("a form's content type: %w", exeunt.ErrBadRequest)
}

// afterForm reads the whole form before it is checked who sent it. Otherwise somebody
// could hold a body back and have it carried out after their session has ended.
func afterForm(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := readForm(w, r); err != nil {
			return err
		}
		return h(w, r)
	}
}

func formError(err error) error {
	var tooLarge *http.MaxBytesError
	if err == nil || errors.As(err, &tooLarge) {
		return err
	}
	return fmt.Errorf("form: %w", exeunt.ErrBadRequest) // its own text may repeat what was typed
}

const maxKey = 64

// formKey returns the key that makes repeating an ending harmless, "" when the form carries none.
func formKey(r *http.Request) (string, error) {
	key := r.PostFormValue("key")
	if len(key) > maxKey {
		return "", fmt.Errorf("idempotency key: %w", exeunt.ErrBadRequest)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return "", fmt.Errorf("idempotency key: %w", exeunt.ErrBadRequest)
		}
	}
	return key, nil
}

// formKind reads the choice of device. Anything but "kept" is shared: at worst somebody
// has to sign in again.
func formKind(r *http.Request) exeunt.SessionKind {
	if exeunt.SessionKind(r.PostFormValue("kind")) == exeunt.KindKept {
		return exeunt.KindKept
	}
	return exeunt.KindShared
}
