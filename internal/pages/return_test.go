package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/exeunt/exeunt/internal/web"
)

func TestReturnAddresses(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	live := n.signedIn("ada")
	for in, want := range map[string]string{
		"":                                       "/",
		"/":                                      "/",
		"/sessions":                              "/sessions",
		"/sessions/ended?x=a%20b&y=//z":          "/sessions/ended?x=a%20b&y=//z",
		"/settings#display":                      "/settings",
		"/a/":                                    "/a/",
		"sessions":                               "/",
		"//evil.example":                         "/",
		"///evil.example":                        "/",
		"/\\evil.example":                        "/",
		"\\\\evil.example":                       "/",
		"/%5cevil.example":                       "/",
		"/%2fevil.example":                       "/",
		"/a//b":                                  "/",
		"/./a":                                   "/",
		"/../a":                                  "/",
		"/.//evil.example":                       "/",
		"/a/%2e%2e//evil.example":                "/",
		"https://evil.example/":                  "/",
		"https:/evil.example":                    "/",
		"javascript:alert(1)":                    "/",
		"/a\r\nSet-Cookie: x=y":                  "/",
		"/a%0d%0aSet-Cookie:x=y":                 "/",
		"/a\tb":                                  "/",
		"/\t/evil.example":                       "/",
		"/a b":                                   "/",
		"/ä":                                     "/",
		"/%zz":                                   "/",
		"/a?b=%zz":                               "/a?b=%zz",
		"/@evil.example":                         "/@evil.example",
		"/" + strings.Repeat("a", web.MaxReturn): "/",
		"/signin":                                "/",
		"/signin?return=/x":                      "/",
		"/signout":                               "/",
		"/signed-out":                            "/",
		"/ended?return=/x":                       "/",
		"/setup/secret":                          "/",
		"/reset/secret":                          "/",
		"/session/state":                         "/",
		"/assets/app.css":                        "/",
		"/authorize?client_id=x":                 "/authorize?client_id=x",
	} {
		if got := returnPath(in); got != want {
			t.Errorf("returnPath(%.60q) = %.60q, want %.60q", in, got, want)
		}
		live.send(http.MethodGet, "/ended?"+url.Values{"return": {in}}.Encode(), nil).leadsTo(want)
	}
}

func FuzzReturn(f *testing.F) {
	for _, s := range []string{"/", "//evil.example", "/\\evil.example", "/a?b#c", "/%2f/evil", "/.//evil.example",
		"http://evil.example", "/a/../b/",
		"/" + strings.Repeat("{", web.MaxReturn/2)} {
		f.Add(s)
	}
	base, err := url.Parse(testOrigin + "/some/page")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := web.LocalPath(s)
		if web.LocalPath(got) != got {
			t.Errorf("web.LocalPath(%q) = %q, which it does not accept itself", s, got)
		}
		u, err := base.Parse(got)
		if err != nil || u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil {
			t.Fatalf("web.LocalPath(%q) = %q leads to %v", s, got, u)
		}
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t #") {
			t.Errorf("web.LocalPath(%q) = %q", s, got)
		}
	})
}
