package pages

import (
	"fmt"
	"mime"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/web"
)

// maxForm bounds a form's body. The largest honest one is under 2 kB.
const maxForm = 64 << 10

// readForm reads a post's form, in either of the encodings that browsers use.
// A form that is too long fails with http.MaxBytesError, a late one with
// exeunt.ErrLateBody, a malformed one with ErrBadRequest; nothing has been done by then.
func readForm(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadBody(w, r, maxForm); err != nil {
		return err
	}
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
	if err == nil {
		return nil
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

// formKind reads the choice of device, "" when there is none.
func formKind(r *http.Request) exeunt.SessionKind {
	switch kind := exeunt.SessionKind(r.PostFormValue("kind")); kind {
	case exeunt.KindKept, exeunt.KindShared:
		return kind
	}
	return ""
}

// entrance is what a form needs before it may sign somebody in. Nothing has been done when it returns an error that
// the form shows.
func (p *Pages) entrance(r *http.Request, v web.Visitor) error {
	switch {
	case v.Nobody() && p.Browser.Cookies.ReadDevice(r) == web.DeviceUnknown:
		// The form has set a cookie. A session that this browser could not hold would live on with nobody in it.
		return exeunt.ErrCookies
	case formKind(r) == "":
		return errNoDevice
	}
	return nil
}

var errNoDevice = &exeunt.FieldError{Field: "kind", Code: "needed",
	Err: &exeunt.Error{Code: "needed", Message: "Choose whose device this is."}}

// lastKind is the choice that the form begins with: the last one in this browser, and none in a browser that nobody
// has signed in with, where most people would leave what they find.
func (p *Pages) lastKind(r *http.Request) exeunt.SessionKind {
	if p.kiosk(r) != nil {
		return exeunt.KindShared
	}
	switch d := p.Browser.Cookies.ReadDevice(r); d {
	case web.DeviceKept, web.DeviceShared:
		return exeunt.SessionKind(d)
	}
	return ""
}

// keptBefore reports whether somebody was kept signed in in this browser before.
func (p *Pages) keptBefore(r *http.Request) bool {
	return p.Browser.Cookies.ReadDevice(r) == web.DeviceKept || !p.Browser.Cookies.ReadDeviceToken(r).IsZero()
}

// greet sets the cookie by which the form's post tells that this browser takes cookies.
func (p *Pages) greet(w http.ResponseWriter, r *http.Request) {
	if p.Browser.Cookies.ReadDevice(r) == web.DeviceUnknown {
		p.Browser.Cookies.SetDevice(w, web.DeviceNew)
	}
}
