package client

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Problem is an error of the API: a problem document (RFC 9457), or what the token
// endpoint says in its place. Code is stable; Detail is English for people and says what happened and what to do.
type Problem struct {
	Type       string         `json:"type" doc:"about:blank, or where the kind of problem is explained"`
	Title      string         `json:"title"`
	Status     int            `json:"status"`
	Detail     string         `json:"detail"`
	Code       string         `json:"code" doc:"Stable name of the problem"`
	Ended      *Ended         `json:"ended,omitempty" doc:"When and why the presented session ended"`
	RetryAfter int            `json:"retry_after,omitempty" doc:"Seconds to wait"`
	Fields     []FieldProblem `json:"fields,omitempty"`
	Challenge  *Challenge     `json:"challenge,omitempty" doc:"With factor_required: what to answer"`
}

// Challenge is what a sign-in goes on with when the password alone is not enough. It is no session.
type Challenge struct {
	Token   Sent      `json:"token" doc:"Send it with the answer; only the app that signs in may have it"`
	Methods []string  `json:"methods" doc:"Any of these will do: totp, recovery_code"`
	Expires time.Time `json:"expires"`
}

// FieldProblem says what is wrong with one field of a request.
type FieldProblem struct {
	Field  string `json:"field"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Error returns what happened, for people.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return fmt.Sprintf("the authority answered %d %s", p.Status, p.Title)
}

// Is makes errors.Is find ErrSignedOut and ErrUnavailable in the problems that
// mean the same.
func (p *Problem) Is(target error) bool {
	switch target {
	case ErrSignedOut:
		return p.Status == http.StatusUnauthorized && p.Code == "signed_out"
	case ErrUnavailable:
		return p.Status >= 500
	}
	return false
}

var (
	// ErrSignedOut: the session has ended, or there never was one.
	ErrSignedOut = errors.New("signed out")
	// ErrUnavailable: the authority cannot be reached or cannot tell. That does
	// not mean signed out. A request that ends or starts something may or may not
	// have been carried out; repeating an ending is harmless.
	ErrUnavailable = errors.New("the session authority cannot be reached or cannot tell right now")
)

// CodeOf returns the code of the problem in err, or "".
func CodeOf(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// EndedError says that a checked credential is not usable any more. It is an
// ErrSignedOut.
type EndedError struct{ Ended }

func (e *EndedError) Error() string { return "signed out: " + e.Reason }

// Is makes errors.Is(err, ErrSignedOut) true.
func (e *EndedError) Is(target error) bool { return target == ErrSignedOut }
