package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
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

// problem turns an error into a problem document. What people may not read is
// logged here, once.
func (a *API) problem(ctx context.Context, err error) problem {
	p := problemOf(web.StatusOf(err), err)
	if p.Status >= 500 {
		a.Log.Error("call failed", "request", web.RequestID(ctx), "status", p.Status, "err", err)
	}
	return p
}

func problemOf(status int, err error) problem {
	p := &client.Problem{Type: "about:blank", Status: status, Title: http.StatusText(status), Code: exeunt.CodeOf(err), Detail: detailOf(err)}
	if p.Code == "" {
		p.Code = "internal"
	}
	p.RetryAfter = web.RetryAfter(err)
	if status == http.StatusServiceUnavailable {
		p.RetryAfter = 1
	}
	return problem{p}
}

// detailOf returns what people may read of an error.
func detailOf(err error) string {
	var e *exeunt.Error
	var t *exeunt.ThrottledError
	switch {
	case errors.As(err, &t):
		return t.Error()
	case errors.As(err, &e):
		return e.Message
	}
	return "The server failed at this. Whether anything was changed is not certain; look before you repeat it."
}

// problems turns the errors that huma finds by itself, such as a body that is
// no JSON, into our problem documents. The values it quotes are left out: one
// of them may be a password.
func problems(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := &client.Problem{
		Type: "about:blank", Status: m.Status, Title: http.StatusText(m.Status), Code: exeunt.ErrBadRequest.Code,
		Detail: exeunt.ErrBadRequest.Message,
	}
	if m.Status >= 500 {
		p.Code, p.Detail = "internal", detailOf(nil)
	}
	for _, d := range m.Errors {
		if d != nil && d.Location != "" {
			_, field, _ := strings.Cut(d.Location, ".")
			p.Fields = append(p.Fields, client.FieldProblem{Field: field, Code: "invalid", Detail: d.Message})
		}
	}
	return problem{p}, nil
}

// nothingHere answers for addresses that are no call.
func nothingHere(w http.ResponseWriter, r *http.Request) {
	Fail(w, r, http.StatusNotFound, exeunt.ErrNotFound)
}

// Fail answers with a problem document, for what stands in front of the API.
func Fail(w http.ResponseWriter, _ *http.Request, status int, err error) {
	p := problemOf(status, err)
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{}`)
	}
	for name, v := range headersOf(p.Problem) {
		w.Header()[name] = v
	}
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
}
