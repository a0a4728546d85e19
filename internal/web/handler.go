package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/exeunt/exeunt"
)

// Handler is an http.Handler that returns errors instead of writing them. It must not
// have written anything when it returns an error.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Surface turns handlers into http.Handlers that answer errors in one way: pages with
// a page, the API with a problem document.
type Surface struct {
	// Fail writes the answer to an error, with the given status.
	Fail func(w http.ResponseWriter, r *http.Request, status int, err error)
	Log  *slog.Logger
}

// Handle wraps a handler.
func (s Surface) Handle(h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.Answer(w, r, err)
		}
	})
}

// Answer answers with an error. An error that people may not read is logged here,
// once, and people get only the request id.
func (s Surface) Answer(w http.ResponseWriter, r *http.Request, err error) {
	status := StatusOf(err)
	if status >= 500 {
		s.Log.Log(r.Context(), LogLevel(r.Context(), status, err), "request failed", "request", RequestID(r.Context()),
			"method", r.Method, "route", r.Pattern, "status", status, "err", err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	if wait := RetryAfter(err); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(wait))
	}
	s.Fail(w, r, status, err)
}

// LogLevel is the level of a failed request's log line. An unreachable store is an
// error where it is noticed, and only a warning for each request that it affects. A
// request that the browser gave up has not failed, unless something else went wrong.
func LogLevel(ctx context.Context, status int, err error) slog.Level {
	switch {
	case errors.Is(ctx.Err(), context.Canceled) &&
		(status == http.StatusServiceUnavailable || errors.Is(err, context.Canceled)):
		return slog.LevelDebug
	case status == http.StatusServiceUnavailable:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// RetryAfter returns how many seconds to wait before trying again, and 0 for other
// errors. It rounds up, so that a retry on the second succeeds.
func RetryAfter(err error) int {
	var throttled *exeunt.ThrottledError
	if errors.Is(err, exeunt.ErrBusyLists) {
		return 1
	}
	if !errors.As(err, &throttled) {
		return 0
	}
	return int((throttled.RetryAfter + time.Second - 1) / time.Second)
}

// ErrMethod says that an address does not support a method.
var ErrMethod = errors.New("method not allowed")

// statuses maps the errors that people may read to HTTP. Any other error, except a
// FieldError or ThrottledError, is our fault: 500.
var statuses = []struct {
	err    error
	status int
}{
	{exeunt.ErrNotConfirmed, http.StatusServiceUnavailable},
	{exeunt.ErrUnavailable, http.StatusServiceUnavailable},
	{exeunt.ErrBusy, http.StatusServiceUnavailable},
	{exeunt.ErrBusyLists, http.StatusTooManyRequests},
	{exeunt.ErrNotFound, http.StatusNotFound},
	{exeunt.ErrForbidden, http.StatusForbidden},
	{exeunt.ErrForged, http.StatusForbidden},
	{exeunt.ErrNotAsked, http.StatusForbidden},
	{exeunt.ErrManyNotices, http.StatusForbidden},
	{exeunt.ErrAnswered, http.StatusConflict},
	{exeunt.ErrDisabled, http.StatusForbidden},
	{exeunt.ErrDeleting, http.StatusForbidden},
	{exeunt.ErrSignUpClosed, http.StatusForbidden},
	{exeunt.ErrSignedOut, http.StatusUnauthorized},
	{exeunt.ErrClientKey, http.StatusUnauthorized},
	{exeunt.ErrWrongCredentials, http.StatusUnauthorized},
	{exeunt.ErrChallengeOver, http.StatusUnauthorized},
	{exeunt.ErrCodeUsed, http.StatusUnprocessableEntity},
	{exeunt.ErrManyFactors, http.StatusConflict},
	{exeunt.ErrPasskeyTaken, http.StatusConflict},
	{exeunt.ErrRenewed, http.StatusConflict},
	{exeunt.ErrSignInAgain, http.StatusConflict},
	{exeunt.ErrOtherAccount, http.StatusConflict},
	{exeunt.ErrTooManyAccounts, http.StatusConflict},
	{exeunt.ErrHandleTaken, http.StatusConflict},
	{exeunt.ErrEmailTaken, http.StatusConflict},
	{exeunt.ErrManyGroups, http.StatusConflict},
	{exeunt.ErrGroupName, http.StatusBadRequest},
	{exeunt.ErrOtherEmail, http.StatusConflict},
	{exeunt.ErrClientTaken, http.StatusConflict},
	{exeunt.ErrClientOfFile, http.StatusConflict},
	{exeunt.ErrNoOldSecret, http.StatusConflict},
	{exeunt.ErrNoSecret, http.StatusConflict},
	{exeunt.ErrClientSettings, http.StatusUnprocessableEntity},
	{exeunt.ErrInviteSpent, http.StatusGone},
	{exeunt.ErrNotMeLink, http.StatusGone},
	{exeunt.ErrLinkSpent, http.StatusGone},
	{exeunt.ErrReceiptGone, http.StatusGone},
	{exeunt.ErrCodeSpent, http.StatusBadRequest},
	{exeunt.ErrUnknownClient, http.StatusBadRequest},
	{exeunt.ErrRedirectURI, http.StatusBadRequest},
	{exeunt.ErrUserCode, http.StatusNotFound},
	{exeunt.ErrRequestExpired, http.StatusBadRequest},
	{exeunt.ErrNotAdmitted, http.StatusForbidden},
	{exeunt.ErrFactorNeeded, http.StatusForbidden},
	{exeunt.ErrCookies, http.StatusBadRequest},
	{exeunt.ErrBadRequest, http.StatusBadRequest},
	{exeunt.ErrLateBody, http.StatusRequestTimeout},
	{exeunt.ErrHeaders, http.StatusRequestHeaderFieldsTooLarge},
	{exeunt.ErrPlainHTTP, http.StatusForbidden},
	{exeunt.ErrKeyReused, http.StatusUnprocessableEntity},
	{ErrMethod, http.StatusMethodNotAllowed},
}

// StatusOf returns the HTTP status of an error.
func StatusOf(err error) int {
	var field *exeunt.FieldError
	var throttled *exeunt.ThrottledError
	var tooLarge *http.MaxBytesError
	var more *exeunt.FactorRequiredError
	switch {
	case errors.As(err, &more):
		return http.StatusUnauthorized
	case errors.As(err, &field):
		return http.StatusUnprocessableEntity
	case errors.As(err, &throttled):
		return http.StatusTooManyRequests
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return http.StatusInternalServerError
}
