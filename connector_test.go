package exeunt

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func goodConnector() Connector {
	return Connector{Client: "app", Headers: []string{"Authorization: Bearer {secret}"}, Steps: []Step{
		{URL: "https://app.example/users?name={handle}", Find: "/id"},
		{Method: "DELETE", URL: "https://app.example/users/{found}/sessions"},
	}}
}

// A connector that would do something else than it says is refused, with what would be right.
func TestConnectorsAreChecked(t *testing.T) {
	c := goodConnector()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	act, find := func(c *Connector) *Step { return &c.Steps[1] }, func(c *Connector) *Step { return &c.Steps[0] }
	for want, change := range map[string]func(c *Connector){
		`invalid client "App"`:                      func(c *Connector) { c.Client = "App" },
		"has 0 steps":                               func(c *Connector) { c.Steps = nil },
		"has 6 steps":                               func(c *Connector) { c.Steps = make([]Step, 6) },
		"finds something and does nothing":          func(c *Connector) { c.Steps = c.Steps[:1] },
		"unknown placeholder {name}: use {handle},": func(c *Connector) { find(c).URL = "https://app.example/{name}" },
		"unknown placeholder {user}":                func(c *Connector) { act(c).Body = `{"a":"{user}"}` },
		"unknown placeholder {token}":               func(c *Connector) { c.Headers = append(c.Headers, "X-Key: {token}") },
		"unknown placeholder {who}":                 func(c *Connector) { find(c).Where, find(c).Equals = "/a", "{who}" },
		"{found} is what an earlier step finds":     func(c *Connector) { find(c).URL = "https://app.example/{found}" },
		"others log addresses":                      func(c *Connector) { act(c).URL = "https://app.example/{found}?key={secret}" },
		"names nobody":                              func(c *Connector) { find(c).URL = "https://app.example/users" },
		"all steps must be at https://app.example,": func(c *Connector) { act(c).URL = "https://other.example/{found}" },
		"steps must be at https://app.example":      func(c *Connector) { act(c).URL = "http://app.example/{found}" },
		"in its path and query only":                func(c *Connector) { find(c).URL = "https://{handle}.example/" },
		"path and query only":                       func(c *Connector) { find(c).URL = "https://{handle}?a" },
		`invalid url "/users/{handle}"`:             func(c *Connector) { find(c).URL = "/users/{handle}" },
		`invalid url "ftp:`:                         func(c *Connector) { find(c).URL = "ftp://app.example/{handle}" },
		`invalid url "https://a:b@`:                 func(c *Connector) { find(c).URL = "https://a:b@app.example/{handle}" },
		`invalid url "https://app.example/{Handle}`: func(c *Connector) { find(c).URL = "https://app.example/{Handle}" },
		`invalid method "HEAD"`:                     func(c *Connector) { act(c).Method = "HEAD" },
		`invalid header "X-A"`:                      func(c *Connector) { c.Headers = []string{"X-A"} },
		`invalid header "X A"`:                      func(c *Connector) { c.Headers = []string{"X A: b"} },
		`invalid header "X-B"`:                      func(c *Connector) { act(c).Headers = []string{"X-B: a\r\nX-C: d"} },
		"header Host cannot be set":                 func(c *Connector) { c.Headers = []string{"Host: other.example"} },
		"header Authorization is stored as it is":   func(c *Connector) { c.Headers = []string{"Authorization: Bearer in-clear"} },
		"header cookie is stored as it is":          func(c *Connector) { act(c).Headers = []string{"cookie: a=b"} },
		"has more than 16 headers":                  func(c *Connector) { c.Headers = strings.Split(strings.Repeat("A: b,", 17), ",")[:17] },
		"a GET has no body":                         func(c *Connector) { find(c).Body = "{}" },
		"placeholders stand in strings":             func(c *Connector) { act(c).Body = `{"id": {found}}` },
		"whose placeholders stand in strings":       func(c *Connector) { act(c).Body = `{"id": "{found}"` },
		"bodies of application/json and":            func(c *Connector) { act(c).Body, act(c).Headers = "<a>{found}</a>", []string{"Content-Type: text/xml"} },
		"more than 4096 bytes":                      func(c *Connector) { act(c).Body = `"` + strings.Repeat("x", 4096) + `"` },
		"invalid success":                           func(c *Connector) { act(c).Success = []int{20} },
		`invalid JSON pointer "id"`:                 func(c *Connector) { find(c).Find = "id" },
		`invalid JSON pointer "users"`:              func(c *Connector) { find(c).List = "users" },
		"where and equals go together":              func(c *Connector) { find(c).Where = "/name" },
		"are for a step with find":                  func(c *Connector) { act(c).List = "/a" },
	} {
		c := goodConnector()
		change(&c)
		err := c.Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
		if err != nil && strings.Contains(err.Error(), "in-clear") {
			t.Errorf("%q: the error has a header's value", want)
		}
	}
	client := Client{ID: "app", Name: "App", Keys: []TokenHash{{1}}, RedirectURIs: []string{"https://app.example/callback"}, Connector: &c}
	if err := client.Validate(); err != nil {
		t.Error(err)
	}
	client.BackchannelURI = "https://app.example/out"
	if err := client.Validate(); err == nil || !strings.Contains(err.Error(), "connector and a backchannel_uri") {
		t.Error(err)
	}
	public := Client{ID: "app", Name: "App", Auth: ClientPublic, RedirectURIs: client.RedirectURIs, MayRevoke: true}
	if err := public.Validate(); err == nil || !strings.Contains(err.Error(), "may revoke") {
		t.Error(err)
	}
}

// A value cannot become more than a value where it stands.
func TestConnectorsEscape(t *testing.T) {
	c := Connector{Client: "app", Headers: []string{"X-Who: {email}"}, Steps: []Step{
		{Method: "POST", URL: "https://app.example/a/{handle}/b?q={email}&r=1", Body: `{"a": "{email}", "b": ["x{email}"]}`},
		{Method: "POST", URL: "https://app.example/{email}", Body: "token={secret}&b={email}",
			Headers: []string{"Content-Type: application/x-www-form-urlencoded; charset=utf-8"}},
	}}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	got, err := c.Fill(&c.Steps[0], Filling{"handle": "a b?c#d%2e", "email": `x"y\&z=1#ü`})
	want := Filled{URL: `https://app.example/a/a%20b%3Fc%23d%252e/b?q=x%22y%5C%26z%3D1%23%C3%BC&r=1`,
		Headers: [][2]string{{"X-Who", `x"y\&z=1#ü`}, {"Content-Type", "application/json"}},
		Body:    `{"a": "x\"y\\\u0026z=1#ü", "b": ["xx\"y\\\u0026z=1#ü"]}`}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v:\n%q, want\n%q", err, got.Body, want.Body)
		t.Errorf("%q, %q", got.URL, got.Headers)
	}
	got, err = c.Fill(&c.Steps[1], Filling{"email": "a&b@example.com", "secret": "s&t={handle}"})
	if err != nil || got.Body != "token=s%26t%3D%7Bhandle%7D&b=a%26b%40example.com" || got.URL != "https://app.example/a&b@example.com" ||
		len(got.Headers) != 2 {
		t.Errorf("%q %q %q, %v", got.Body, got.URL, got.Headers, err)
	}
	for _, f := range []Filling{{"handle": ""}, {"handle": "a"}, {"handle": "..", "email": "x"}, {"handle": ".", "email": "x"},
		{"handle": "a/b", "email": "x"}, {"handle": `a\b`, "email": "x"}, {"handle": "a\x00", "email": "x"}, {"handle": "a", "email": "x\r\nX-B: c"}} {
		if got, err := c.Fill(&c.Steps[0], f); err != ErrFilling {
			t.Errorf("%q: %q, %v", map[string]string(f), got.URL, err)
		}
	}
	basic := Connector{Client: "app", Headers: []string{"Authorization: Basic {secret_base64}"}, Steps: []Step{{URL: "https://app.example/{account}"}}}
	if got, err := basic.Fill(&basic.Steps[0], Filling{"account": "acc_1", "secret": "user:pass"}); err != nil ||
		got.Headers[0] != [2]string{"Authorization", "Basic dXNlcjpwYXNz"} || basic.Steps[0].Verb() != "POST" || !basic.UsesSecret() {
		t.Errorf("%q, %v", got.Headers, err)
	}
	// Whatever prints what is sent leaves it out.
	for _, v := range []any{Filling{"secret": "user:pass"}, got} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, "user:pass") || strings.Contains(text, "token=") {
				t.Errorf("%s: %s", format, text)
			}
		}
	}
}
