package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/gate"
	"github.com/exeunt/exeunt/internal/stream"
	"github.com/exeunt/exeunt/internal/testnode"
)

// document is the API's description, as a program reads it.
type document map[string]any

// at follows keys into the document; nil when there is nothing.
func (d document) at(keys ...string) any {
	var v any = map[string]any(d)
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

func (s *site) description(t *testing.T) document {
	t.Helper()
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/openapi.json", nil))
	var d document
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %v", w.Code, err)
	}
	if strings.Contains(w.Body.String(), "unpkg") {
		t.Error("the description names another site")
	}
	return d
}

// call returns the description of the call that a request makes, nil if none
// is described.
func (d document) call(method, path string) map[string]any {
	for template := range d.at("paths").(map[string]any) {
		shape := regexp.MustCompile(`\\{[^}]*\\}`).ReplaceAllString(regexp.QuoteMeta(template), `[^/]+`)
		if regexp.MustCompile("^" + shape + "$").MatchString(path) {
			op, _ := d.at("paths", template, strings.ToLower(method)).(map[string]any)
			return op
		}
	}
	return nil
}

// conforms fails the test unless the description tells of such an answer.
func (d document) conforms(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	op := d.call(r.Method, r.URL.Path)
	if op == nil {
		return // it is no call: what answers is the same for all of them
	}
	said, ok := document(op).at("responses", strconv.Itoa(w.Code)).(map[string]any)
	if !ok {
		t.Errorf("%s %s: answers %d, which is not described", r.Method, r.URL.Path, w.Code)
		return
	}
	for name := range w.Header() {
		if name == "Www-Authenticate" || name == "Retry-After" {
			if document(said).at("headers", http.CanonicalHeaderKey(name)) == nil &&
				document(said).at("headers", "WWW-Authenticate") == nil {
				t.Errorf("%s %s: %d carries %s, which is not described", r.Method, r.URL.Path, w.Code, name)
			}
		}
	}
	content, _ := said["content"].(map[string]any)
	if len(content) == 0 {
		if w.Body.Len() > 0 {
			t.Errorf("%s %s: %d has a body, and none is described", r.Method, r.URL.Path, w.Code)
		}
		return
	}
	kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
	media, ok := content[kind].(map[string]any)
	if !ok {
		t.Errorf("%s %s: %d is %s, which is not described", r.Method, r.URL.Path, w.Code, kind)
		return
	}
	if kind == "text/event-stream" {
		return
	}
	var body any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if err := d.fits(body, media["schema"], "body"); err != nil {
		t.Errorf("%s %s: %d does not fit its schema: %v\n%s", r.Method, r.URL.Path, w.Code, err, w.Body)
	}
}

// fits checks a value against a schema, by the keywords that ours use.
func (d document) fits(v, schema any, where string) error {
	s := schema.(map[string]any)
	if ref, ok := s["$ref"].(string); ok {
		of := d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		if of == nil {
			return fmt.Errorf("%s: there is no %s", where, ref)
		}
		return d.fits(v, of, where)
	}
	for keyword := range s {
		if !slices.Contains(knownKeywords, keyword) {
			return fmt.Errorf("%s: this test does not know the keyword %s", where, keyword)
		}
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Errorf("%s is %v, none of %v", where, v, enum)
	}
	types, ok := s["type"].([]any)
	if !ok {
		types = []any{s["type"]}
	}
	if !slices.Contains(types, any(typeOf(v))) && (typeOf(v) != "number" || !slices.Contains(types, any("integer"))) {
		return fmt.Errorf("%s is a %s, none of %v", where, typeOf(v), types)
	}
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			if err := d.fits(item, s["items"], fmt.Sprintf("%s[%d]", where, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				return fmt.Errorf("%s has no %s", where, name)
			}
		}
		for name, member := range v {
			of, ok := properties[name]
			if !ok {
				return fmt.Errorf("%s has an undescribed %s", where, name)
			}
			if err := d.fits(member, of, where+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

var knownKeywords = []string{"type", "format", "description", "enum", "properties", "required", "additionalProperties",
	"items", "minimum", "minLength", "maxLength", "pattern"}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

func TestDescription(t *testing.T) {
	s := newSite(t)
	d := s.doc
	if v, _ := d.at("openapi").(string); !strings.HasPrefix(v, "3.1") {
		t.Errorf("version %s", v)
	}
	if servers, _ := d.at("servers").([]any); len(servers) != 1 ||
		servers[0].(map[string]any)["url"] != "https://id.example.com" {
		t.Errorf("servers %v", d.at("servers"))
	}
	for _, c := range [][2]string{
		{"/api/v1/signin", "post"}, {"/api/v1/session", "get"}, {"/api/v1/session", "delete"},
		{"/api/v1/sessions", "get"},
		{"/api/v1/sessions", "delete"}, {"/api/v1/sessions/{id}", "delete"},
		{"/api/v1/session/state", "get"}, {"/api/v1/session/stream", "get"}, {"/gate", "get"}, {"/gate/{client}", "get"},
	} {
		op, ok := d.at("paths", c[0], c[1]).(map[string]any)
		if !ok {
			t.Errorf("%s %s is not described", c[1], c[0])
			continue
		}
		for status, said := range op["responses"].(map[string]any) {
			if what, _ := said.(map[string]any)["description"].(string); what == "" {
				t.Errorf("%s %s: nothing is said of %s", c[1], c[0], status)
			}
			content, _ := said.(map[string]any)["content"].(map[string]any)
			for kind, media := range content {
				example, has := media.(map[string]any)["example"]
				if kind == "application/json" && has {
					if err := d.fits(example, media.(map[string]any)["schema"], "example"); err != nil {
						t.Errorf("%s %s: the example of %s: %v", c[1], c[0], status, err)
					}
				}
			}
		}
	}
	for _, name := range []string{"ErrorModel", "ErrorDetail"} {
		if d.at("components", "schemas", name) != nil {
			t.Errorf("%s is described, and never sent", name)
		}
	}
	if d.at("components", "schemas", "Problem", "properties", "retry_after") == nil {
		t.Error("problem documents are not described")
	}
}

// Every status that the description names for a call can be had; what it
// answers is compared with the description by call.
func TestEveryDescribedProblemIsAnswered(t *testing.T) {
	s := newSite(t)
	proof := s.NewAccount(t, "ada")
	s.NewAccount(t, "grace")
	token, _ := s.signed(t, "ada")
	_, browser := s.NewSession(t, proof, exeunt.KindKept)
	app, _ := s.NewAppSession(t, browser, testnode.Chirp)
	long := strings.Repeat("k", 300)
	s.problem(t, 401, "signed_out", "GET", "/api/v1/session", "", "")
	s.problem(t, 403, "forbidden", "GET", "/api/v1/sessions", app.Reveal(), "")
	s.problem(t, 404, "not_found", "DELETE", "/api/v1/sessions/ses_x", token, "")
	s.problem(t, 413, "bad_request", "POST", "/api/v1/signin", "", `{"password":"`+strings.Repeat("c", maxBody)+`"}`)
	s.problem(t, 422, "bad_request", "GET", "/api/v1/sessions?state=all", token, "")
	for _, c := range [][2]string{{"DELETE", "/api/v1/session"}, {"DELETE", "/api/v1/sessions?scope=others"},
		{"DELETE", "/api/v1/sessions/ses_x"}} {
		s.problem(t, 422, "bad_request", c[0], c[1], token, "", "Idempotency-Key", long)
		for _, key := range []string{"a b", "\xff", "ü"} {
			s.problem(t, 422, "bad_request", c[0], c[1], token, "", "Idempotency-Key", key)
		}
	}
	for _, path := range []string{"/api/v1/signin", "/api/v1/activity"} {
		if p := s.problem(t, 415, "bad_request", "POST", path, "", "a=b", "Content-Type",
			"application/x-www-form-urlencoded"); !strings.Contains(p.Detail, "application/json") {
			t.Errorf("415 says %q", p.Detail)
		}
		if p := s.problem(t, 400, "bad_request", "POST", path, "", "{"); !strings.Contains(p.Detail, "JSON") {
			t.Errorf("400 says %q", p.Detail)
		}
	}
	p := s.problem(t, 422, "bad_request", "POST", "/api/v1/signin", "",
		`{"identifier":"ada","label":"`+strings.Repeat("l", 500)+`"}`)
	if !strings.Contains(p.Detail, "password (required)") || !strings.Contains(p.Detail, "label (") ||
		len(p.Fields) != 2 {
		t.Errorf("422 says %q, %+v", p.Detail, p.Fields)
	}
	var last client.Problem
	for range 20 {
		s.call(t, http.MethodPost, "/api/v1/signin", "", signInBody("grace", "wrong"), &last)
	}
	if last.Status != 429 || !strings.Contains(last.Detail, fmt.Sprint(last.RetryAfter)) &&
		!strings.Contains(last.Detail, "minute") {
		t.Errorf("throttled: %+v", last)
	}
	for {
		var n client.EndedCount
		if s.call(t, http.MethodDelete, "/api/v1/sessions?scope=others", token, "", &n).Code != http.StatusOK {
			break
		}
		token = newToken(token, n)
	}
	s.problem(t, 429, "endings_throttled", http.MethodDelete, "/api/v1/sessions?scope=account", token, "")
	s.Clock.Pass(time.Second)
	s.Store.Close()
	for _, c := range [][2]string{{"GET", "/api/v1/sessions"}, {"DELETE", "/api/v1/session"},
		{"DELETE", "/api/v1/sessions?scope=account"}, {"DELETE", "/api/v1/sessions/" + browser.ID.String()}} {
		s.problem(t, 503, "unavailable", c[0], c[1], token, "")
	}
}

func TestNoToken(t *testing.T) {
	s := newSite(t)
	for _, c := range [][2]string{{"GET", "/api/v1/session"}, {"DELETE", "/api/v1/session"},
		{"GET", "/api/v1/sessions"}, {"DELETE", "/api/v1/sessions"}, {"DELETE", "/api/v1/sessions/x"}} {
		if p := s.problem(t, 401, "signed_out", c[0], c[1], "", ""); !strings.Contains(p.Detail, "needs a token") {
			t.Errorf("%v: %q", c, p.Detail)
		}
		if p := s.problem(t, 401, "signed_out", c[0], c[1], "mine", ""); !strings.Contains(p.Detail,
			"Invalid Authorization header") {
			t.Errorf("%v: %q", c, p.Detail)
		}
	}
}

func TestOtherMethods(t *testing.T) {
	s := newSite(t)
	for path, allow := range map[string]string{
		"/api/v1/signin": "POST", "/api/v1/activity": "POST", "/api/v1/session": "GET, HEAD, DELETE",
		"/api/v1/sessions":       "GET, HEAD, DELETE",
		"/api/v1/sessions/ses_x": "DELETE", "/api/v1/session/state": "GET, HEAD",
	} {
		if w := s.call(t, http.MethodPut, path, "", "", nil); w.Code != http.StatusMethodNotAllowed ||
			w.Header().Get("Allow") != allow {
			t.Errorf("%s: %d, Allow %q", path, w.Code, w.Header().Get("Allow"))
		}
		s.problem(t, 405, "method_not_allowed", http.MethodPut, path, "", "")
	}
}

// What other rooms answer at the addresses described here is as described.
func TestStatesAndGateAreAsDescribed(t *testing.T) {
	s := newSite(t)
	done := make(chan struct{})
	close(done) // streams end with their first event
	stream.New(stream.Deps{Authority: s.Authority, Clients: s.OAuth.Registry, Browser: s.Browser, Now: s.Now,
		Done: done}).MountBearer(s.mux)
	s.mux.Handle("/gate", gate.New(s.Authority, s.OAuth.Registry))
	s.NewAccount(t, "ada")
	token, _ := s.signed(t, "ada")
	dead, _ := s.signed(t, "ada")
	s.call(t, http.MethodDelete, "/api/v1/session", dead, "", nil)
	for _, path := range []string{"/api/v1/session/state", "/api/v1/session/stream", "/gate"} {
		for want, with := range map[int]string{200: token, 401: dead} {
			if w := s.call(t, http.MethodGet, path, with, "", nil); w.Code != want {
				t.Errorf("%s: %d, want %d", path, w.Code, want)
			}
		}
		s.call(t, http.MethodGet, path, "", "", nil)
	}
	var ended struct{ At time.Time }
	s.call(t, http.MethodGet, "/api/v1/session/state", dead, "", &ended)
	if ended.At.IsZero() {
		t.Error("the end has no time")
	}
	s.Forget()
	s.Store.Close()
	for _, path := range []string{"/api/v1/session/state", "/api/v1/session/stream", "/gate"} {
		if w := s.call(t, http.MethodGet, path, token, "", nil); w.Code != 503 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
