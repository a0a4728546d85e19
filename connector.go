package exeunt

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Connector says how what somebody has in an app is ended by the app's own API for administrators. It is for apps that
// take no logout tokens. Such an API knows people, and not our sessions, so it ends everything of somebody.
type Connector struct {
	Client ClientID
	// OnSession: it acts on the end of any session in which the app was used, and so ends more than that session.
	// Otherwise it acts when every session of the account ends.
	OnSession bool
	Headers   []string // of every request, as "Name: value"
	Steps     []Step   // requests, in order
	Sealed    []byte   // its secret, sealed by the master key; nil: it has none
}

// Step is a request of a connector. Its texts may have placeholders: see Filling.
type Step struct {
	Method  string // "": GET if it finds something, otherwise POST
	URL     string
	Headers []string // besides those of the connector
	Body    string
	Success []int // none: every 2xx
	// Find is a JSON pointer (RFC 6901) to what the following steps have as {found}; "": it finds nothing. What List
	// points to, "" being the whole answer, may be a list: then each of its items is looked at, and the following step is
	// done for each value that is found.
	Find, List string
	// Where points to a value in an item, which must be Equals for the item to count, whatever the case of its letters.
	// "": every item counts.
	Where, Equals string
}

// Filling is what placeholders stand for, by their names: handle, email, account, found, secret.
type Filling map[string]string

// String leaves the secret out, and with it all the others.
func (Filling) String() string { return "exeunt.Filling(…)" }

// GoString is String, for %#v.
func (f Filling) GoString() string { return f.String() }

// The placeholders. {secret_base64} is for HTTP's basic authentication, with a secret USER:PASSWORD.
const (
	placeFound        = "found"
	placeSecret       = "secret"
	placeSecretBase64 = "secret_base64"
)

var (
	placesOfPeople = []string{"handle", "email", "account"}
	allPlaces      = slices.Concat(placesOfPeople, []string{placeFound, placeSecret, placeSecretBase64})
)

// placeholder has no other characters than names of placeholders: JSON has braces, too.
var placeholder = regexp.MustCompile(`\{[a-z0-9_]+\}`)

// ErrFilling says that a placeholder has no value, or one that would be more than a value where it stands.
var ErrFilling = errors.New("a placeholder has no value, or one that cannot stand there")

const (
	maxSteps       = 5
	maxHeaders     = 16
	maxHeaderText  = 2048
	maxStepBody    = 4096
	maxSuccesses   = 16
	maxPointerText = 256
)

const (
	bodyJSON = "application/json"
	bodyForm = "application/x-www-form-urlencoded"
)

// Validate returns an error for the first invalid setting. No error has a header's value, in which there might be a
// secret.
func (c *Connector) Validate() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("connector of %s: %s", c.Client, fmt.Sprintf(format, args...))
	}
	switch {
	case !clientShape.MatchString(string(c.Client)):
		return fmt.Errorf("connector: invalid client %q: name the id of a client or site", c.Client)
	case len(c.Steps) == 0 || len(c.Steps) > maxSteps:
		return fail("has %d steps: use 1 to %d", len(c.Steps), maxSteps)
	case c.Steps[len(c.Steps)-1].Find != "":
		return fail("its last step finds something and does nothing with it: add the one that ends sessions")
	}
	origin, finds, named := "", false, false
	for i := range c.Steps {
		s := &c.Steps[i]
		if err := s.validate(slices.Concat(c.Headers, s.Headers), finds); err != nil {
			return fail("step %d: %v", i+1, err)
		}
		u, _ := url.Parse(placeholder.ReplaceAllString(s.URL, "x")) // validated
		at := u.Scheme + "://" + u.Host
		if origin != "" && at != origin {
			return fail("step %d: all steps must be at %s, where alone the secret is sent", i+1, origin)
		}
		origin, finds = at, finds || s.Find != ""
		for _, text := range append([]string{s.URL, s.Body, s.Equals}, s.Headers...) {
			named = named || slices.ContainsFunc(placesIn(text), isOfPeople)
		}
	}
	if !named {
		return fail("names nobody: use {handle}, {email} or {account} in a step")
	}
	return nil
}

// UsesSecret reports whether a placeholder stands for the secret.
func (c *Connector) UsesSecret() bool {
	uses := func(text string) bool { return slices.ContainsFunc(placesIn(text), isSecret) }
	if slices.ContainsFunc(c.Headers, uses) {
		return true
	}
	return slices.ContainsFunc(c.Steps, func(s Step) bool { return uses(s.Body) || slices.ContainsFunc(s.Headers, uses) })
}

// placesIn returns the names of the placeholders in a text.
func placesIn(text string) (names []string) {
	for _, p := range placeholder.FindAllString(text, -1) {
		names = append(names, p[1:len(p)-1])
	}
	return names
}

func isOfPeople(place string) bool { return slices.Contains(placesOfPeople, place) }

func isSecret(place string) bool { return place == placeSecret || place == placeSecretBase64 }

// mayStand returns an error for a placeholder that is not known, or has no value in this step.
func mayStand(text string, found, secret bool) error {
	for _, p := range placesIn(text) {
		switch {
		case !slices.Contains(allPlaces, p):
			return fmt.Errorf("unknown placeholder {%s}: use {%s}", p, strings.Join(allPlaces, "}, {"))
		case p == placeFound && !found:
			return errors.New("{found} is what an earlier step finds, and none does: give that one find")
		case !secret && isSecret(p):
			return fmt.Errorf("{%s} may stand in headers and the body only: others log addresses", p)
		}
	}
	return nil
}

var (
	headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")
	methods    = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}
	// connectionHeaders belong to the connection, and not to what is asked.
	connectionHeaders = []string{"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
	secretHeaders     = []string{"authorization", "proxy-authorization", "cookie"}
)

func (s *Step) validate(headers []string, found bool) error {
	if !slices.Contains(methods, s.Verb()) {
		return fmt.Errorf("invalid method %q: use %s", s.Method, strings.Join(methods, ", "))
	}
	if err := s.validateURL(found); err != nil {
		return err
	}
	if len(headers) > maxHeaders {
		return fmt.Errorf("has more than %d headers", maxHeaders)
	}
	for _, h := range headers {
		if err := validateHeader(h, found); err != nil {
			return err
		}
	}
	if err := s.validateBody(headers, found); err != nil {
		return err
	}
	if len(s.Success) > maxSuccesses || slices.ContainsFunc(s.Success, func(n int) bool { return n < 200 || n > 599 }) {
		return fmt.Errorf("invalid success: use up to %d status codes from 200 to 599", maxSuccesses)
	}
	return s.validateFind(found)
}

func (s *Step) validateURL(found bool) error {
	if err := mayStand(s.URL, found, false); err != nil {
		return err
	}
	u, err := url.Parse(placeholder.ReplaceAllString(s.URL, "x"))
	if err != nil || !webAddress(u, s.URL) || strings.ContainsAny(placeholder.ReplaceAllString(s.URL, ""), "{}") {
		return fmt.Errorf("invalid url %q: use http or https, without user and fragment", s.URL)
	}
	if _, rest, _ := strings.Cut(s.URL, "://"); placeholder.MatchString(rest[:strings.IndexAny(rest+"/", "/?")]) {
		return fmt.Errorf("invalid url %q: placeholders may stand in its path and query only", s.URL)
	}
	return nil
}

func validateHeader(h string, found bool) error {
	name, value, ok := strings.Cut(h, ":")
	switch {
	case !ok || !headerName.MatchString(name) || len(h) > maxHeaderText || hasControl(value):
		return fmt.Errorf("invalid header %q: use \"Name: value\" on one line", clipped(name))
	case slices.Contains(connectionHeaders, strings.ToLower(name)):
		return fmt.Errorf("header %s cannot be set", name)
	case slices.Contains(secretHeaders, strings.ToLower(name)) && !slices.ContainsFunc(placesIn(value), isSecret):
		return fmt.Errorf("header %s is stored as it is: put what is secret of it into secret_file, and {secret} in its place",
			name)
	}
	return mayStand(value, found, true)
}

func (s *Step) validateBody(headers []string, found bool) error {
	if s.Body == "" {
		return nil
	}
	if err := mayStand(s.Body, found, true); err != nil {
		return err
	}
	switch kind, _ := bodyKind(headers); {
	case len(s.Body) > maxStepBody:
		return fmt.Errorf("its body has more than %d bytes", maxStepBody)
	case s.Verb() == "GET":
		return errors.New("a GET has no body: set method")
	case kind == bodyForm:
	case kind != bodyJSON && len(placesIn(s.Body)) > 0:
		return fmt.Errorf("placeholders may stand in bodies of %s and %s only", bodyJSON, bodyForm)
	// A word outside quotation marks is not JSON, so each placeholder stands in a string.
	case kind == bodyJSON && !json.Valid([]byte(placeholder.ReplaceAllString(s.Body, "x"))):
		return errors.New("its body is not JSON whose placeholders stand in strings: say what it is in a header " +
			"Content-Type, or mend it")
	}
	return nil
}

func (s *Step) validateFind(found bool) error {
	if s.Find == "" {
		if s.List != "" || s.Where != "" || s.Equals != "" {
			return errors.New("list, where and equals are for a step with find")
		}
		return nil
	}
	for _, p := range []string{s.Find, s.List, s.Where} {
		if p != "" && (p[0] != '/' || len(p) > maxPointerText) {
			return fmt.Errorf("invalid JSON pointer %q: use one like /id or /Items/0/Id", p)
		}
	}
	if (s.Where == "") != (s.Equals == "") {
		return errors.New("where and equals go together: a JSON pointer, and what it must point to")
	}
	return mayStand(s.Equals, found, false)
}

func clipped(text string) string { return text[:min(len(text), 64)] }

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// bodyKind is the media type of a body, and whether the headers say so; JSON, if they do not.
func bodyKind(headers []string) (kind string, said bool) {
	kind = bodyJSON
	for _, h := range headers {
		if name, value, _ := strings.Cut(h, ":"); strings.EqualFold(name, "Content-Type") {
			kind, _, _ = strings.Cut(strings.ToLower(value), ";")
			kind, said = strings.TrimSpace(kind), true
		}
	}
	return kind, said
}

// Verb is the method of the request.
func (s *Step) Verb() string {
	switch {
	case s.Method != "":
		return s.Method
	case s.Find != "":
		return "GET"
	}
	return "POST"
}

// Succeeded reports whether a status is one that says that the step is done.
func (s *Step) Succeeded(status int) bool {
	if len(s.Success) == 0 {
		return status >= 200 && status < 300
	}
	return slices.Contains(s.Success, status)
}

// Filled is a request whose placeholders have been filled in.
type Filled struct {
	URL     string
	Headers [][2]string // name and value
	Body    string
}

// String leaves out what may be secret.
func (Filled) String() string { return "exeunt.Filled(…)" }

// GoString is String, for %#v.
func (f Filled) GoString() string { return f.String() }

// Fill returns a step's request. Each value is escaped for the place where it stands, so it cannot become more than a
// value; ErrFilling, if that cannot be.
func (c *Connector) Fill(s *Step, f Filling) (out Filled, err error) {
	path, query, has := strings.Cut(s.URL, "?")
	if out.URL, err = f.fill(path, inPath); err == nil && has {
		query, err = f.fill(query, inQuery)
		out.URL += "?" + query
	}
	if err != nil {
		return out, err
	}
	headers := slices.Concat(c.Headers, s.Headers)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		if value, err = f.fill(strings.TrimSpace(value), inHeader); err != nil {
			return out, err
		}
		out.Headers = append(out.Headers, [2]string{name, value})
	}
	if s.Body == "" {
		return out, nil
	}
	kind, said := bodyKind(headers)
	escape := inJSON
	if kind == bodyForm {
		escape = inQuery
	}
	if !said {
		out.Headers = append(out.Headers, [2]string{"Content-Type", kind})
	}
	out.Body, err = f.fill(s.Body, escape)
	return out, err
}

// EqualsTo returns what an item's value must be.
func (s *Step) EqualsTo(f Filling) (string, error) {
	return f.fill(s.Equals, func(v string) (string, bool) { return v, true })
}

// fill replaces placeholders by their escaped values.
func (f Filling) fill(text string, escape func(string) (string, bool)) (string, error) {
	good := true
	out := placeholder.ReplaceAllStringFunc(text, func(p string) string {
		name := p[1 : len(p)-1]
		v := f[name]
		if name == placeSecretBase64 {
			v = base64.StdEncoding.EncodeToString([]byte(f[placeSecret]))
		}
		escaped, ok := escape(v)
		good = good && ok && v != "" // nothing in its place would be another address
		return escaped
	})
	if !good {
		return "", ErrFilling
	}
	return out, nil
}

// inPath refuses what servers and proxies take for more than one segment, even when it is escaped.
func inPath(v string) (string, bool) {
	return url.PathEscape(v), !strings.ContainsAny(v, `/\`) && v != "." && v != ".." && !hasControl(v)
}

func inQuery(v string) (string, bool) { return url.QueryEscape(v), true }

func inHeader(v string) (string, bool) { return v, !hasControl(v) }

func inJSON(v string) (string, bool) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", false
	}
	return string(b[1 : len(b)-1]), true
}
