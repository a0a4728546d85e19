package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/web"
)

const problemType = "application/problem+json"

// problem is a problem document as an error that huma can write.
type problem struct{ *client.Problem }

func (p problem) GetStatus() int               { return p.Status }
func (problem) ContentType(string) string      { return problemType }
func (p problem) GetHeaders() http.Header      { return headersOf(p.Problem) }
func (p problem) MarshalJSON() ([]byte, error) { return json.Marshal(p.Problem) }

func headersOf(p *client.Problem) http.Header {
	h := http.Header{}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110 section 15.5.2
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	return h
}

// problem turns an error into a problem document, and logs it if it is the server's.
func (a *API) problem(ctx context.Context, err error) problem {
	p := problemOf(web.StatusOf(err), err)
	if p.Status >= 500 {
		a.Log.Log(ctx, web.LogLevel(ctx, p.Status, err), "call failed", "request", web.RequestID(ctx), "status", p.Status, "err",
			err)
	}
	return p
}

func problemOf(status int, err error) problem {
	p := &client.Problem{Type: "about:blank", Status: status, Title: http.StatusText(status), Code: exeunt.CodeOf(err),
		Detail: detailOf(err)}
	if p.Code == "" {
		p.Code = "internal"
	}
	p.RetryAfter = web.RetryAfter(err)
	if status == http.StatusServiceUnavailable {
		p.RetryAfter = 1
	}
	var more *exeunt.FactorRequiredError
	if errors.As(err, &more) {
		p.Challenge = &client.Challenge{Token: client.Sent(more.Challenge.Reveal()), Methods: more.Methods.Strings(),
			Expires: more.Expires.UTC()}
	}
	return problem{p}
}

// detailOf returns what people may read of an error.
func detailOf(err error) string {
	var e *exeunt.Error
	var t *exeunt.ThrottledError
	var more *exeunt.FactorRequiredError
	switch {
	case errors.As(err, &more):
		return more.Error()
	case errors.As(err, &t):
		return t.Error()
	case errors.As(err, &e):
		return e.Message
	}
	return "The server had an internal error. It is uncertain whether anything was changed; check before you try again."
}

// problems turns the errors that huma finds by itself, such as a body that is not JSON, into our
// problem documents. It leaves out the values that huma quotes: one of them may be a password.
func (a *API) problems(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	if m.Status >= 500 {
		err := error(m)
		for _, d := range m.Errors {
			err = fmt.Errorf("%w: %s", err, d.Message)
		}
		return a.problem(ctx.Context(), err), nil
	}
	p := bodyProblem(m.Status)
	if p.Detail == "" {
		p.Fields = fieldsOf(m.Errors)
		p.Detail = "The request is invalid, so nothing was changed."
		if len(p.Fields) > 0 {
			p.Detail = "Invalid request, so nothing was changed: " + namesOf(p.Fields) + "."
		}
	}
	return p, nil
}

// bodyProblem is what is wrong with a call's body, by the status. It has no detail for
// other statuses.
func bodyProblem(status int) problem {
	p := &client.Problem{Type: "about:blank", Status: status, Title: http.StatusText(status),
		Code: exeunt.ErrBadRequest.Code}
	switch status {
	case http.StatusUnsupportedMediaType:
		p.Detail = "Unsupported content type, so nothing was changed: send JSON with Content-Type: application/json."
	case http.StatusRequestEntityTooLarge:
		p.Detail = fmt.Sprintf("The body is too long, so nothing was changed: send at most %d bytes.", maxBody)
	case http.StatusRequestTimeout:
		p.Detail = "The body did not arrive in time. Nothing was changed; send it again."
	case http.StatusBadRequest:
		p.Detail = "The body is empty or not valid JSON, so nothing was changed: send a JSON object with " +
			"Content-Type: application/json."
	}
	return problem{p}
}

// fieldsOf lists what huma found wrong, by property or parameter. huma reports a missing
// property at the object that lacks it.
func fieldsOf(found []*huma.ErrorDetail) (out []client.FieldProblem) {
	for _, d := range found {
		if d == nil || d.Location == "" {
			continue
		}
		_, field, _ := strings.Cut(d.Location, ".")
		f := client.FieldProblem{Field: field, Code: "invalid", Detail: d.Message}
		if m := missing.FindStringSubmatch(d.Message); m != nil {
			f.Field, f.Code, f.Detail = strings.TrimPrefix(field+"."+m[1], "."), "missing", "required"
		} else if strings.HasPrefix(d.Message, "required ") {
			f.Code = "missing"
		}
		out = append(out, f)
	}
	return out
}

var missing = regexp.MustCompile(`^expected required property (\S+) to be present$`)

func namesOf(fields []client.FieldProblem) string {
	var out []string
	for _, f := range fields {
		name := f.Field
		if name == "" {
			name = "the body"
		}
		out = append(out, name+" ("+f.Detail+")")
	}
	return strings.Join(out, ", ")
}

// noToken is the 401 of a call without a well-formed token.
func noToken(r *http.Request) problem {
	p := problemOf(http.StatusUnauthorized, exeunt.ErrSignedOut)
	p.Detail = "This call needs a token: send the header Authorization: Bearer with a session's token."
	if r.Header.Get("Authorization") != "" {
		p.Detail = "Invalid Authorization header: send one, with Bearer, a space, and a token that begins with exs_ " +
			"or exa_."
	}
	return p
}

// nothingHere answers at addresses without a call.
func nothingHere(w http.ResponseWriter, r *http.Request) {
	Fail(w, r, http.StatusNotFound, exeunt.ErrNotFound)
}

// Fail answers with a problem document, for the handlers in front of the API.
func Fail(w http.ResponseWriter, _ *http.Request, status int, err error) {
	write(w, problemOf(status, err))
}

func write(w http.ResponseWriter, p problem) {
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{}`)
	}
	for name, v := range headersOf(p.Problem) {
		w.Header()[name] = v
	}
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	w.Write(body)
}
