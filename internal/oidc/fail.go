package oidc

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/web"
)

// failure is the body of an error (RFC 6749 section 5.2).
type failure struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// errInvalidToken answers a bearer token that is of no use (RFC 6750 section 3.1).
var errInvalidToken = &oauth.Refusal{Code: "invalid_token", Description: "this token has expired, has been replaced or " +
	"withdrawn, or was never one"}

// errNoToken answers a request without a token.
var errNoToken = &oauth.Refusal{Code: "invalid_token", Description: "send an access token: Authorization: Bearer"}

// Fail answers with an error. What an app can do nothing about, it is told to try again later: an app that hears
// invalid_grant signs people out.
func Fail(w http.ResponseWriter, _ *http.Request, status int, err error) {
	f := failure{Error: "server_error", Description: "the server had an internal error"}
	var refusal *oauth.Refusal
	var own *exeunt.Error
	var throttled *exeunt.ThrottledError
	if errors.As(err, &own) {
		f.Description = own.Message
	}
	switch {
	case errors.As(err, &refusal):
		f, status = failure{refusal.Code, refusal.Description}, http.StatusBadRequest
	case errors.As(err, &throttled):
		f = failure{"temporarily_unavailable", throttled.Error()}
	case status == http.StatusServiceUnavailable:
		f.Error = "temporarily_unavailable"
	case errors.Is(err, exeunt.ErrCodeSpent), errors.Is(err, exeunt.ErrNotAdmitted):
		f.Error, status = "invalid_grant", http.StatusBadRequest
	case errors.Is(err, exeunt.ErrClientKey):
		f.Error = "invalid_client"
	case errors.Is(err, exeunt.ErrForbidden):
		f.Error = "unauthorized_client"
	case status < http.StatusInternalServerError:
		f.Error = "invalid_request"
		if own == nil {
			f.Description = http.StatusText(status) + ", so nothing was changed"
		}
	}
	switch { // RFC 9110 section 15.5.2
	case err == error(errNoToken):
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer realm="exeunt"`)
	case f.Error == "invalid_token":
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer realm="exeunt", error="invalid_token", error_description="`+f.Description+`"`)
	case f.Error == "invalid_client":
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="exeunt"`)
	}
	body, err := json.Marshal(f)
	if err != nil {
		body = []byte(`{"error":"server_error"}`)
	}
	write(w, status, body)
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	web.NoStore(w)
	w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1
	w.WriteHeader(status)
	w.Write(body)
}

// refusal is what the library found wrong with a request.
func (h *heldBack) refusal(r *http.Request) error {
	var f failure
	if err := json.Unmarshal(h.body.Bytes(), &f); err != nil || f.Error == "" || f.Error == "server_error" {
		return errors.New("the OpenID library answered " + http.StatusText(h.status))
	}
	if r.URL.Path == UserInfo {
		return errNoToken // the only thing that the library finds there
	}
	return &oauth.Refusal{Code: f.Error, Description: f.Description}
}
