package client

import (
	"net/http"
	"testing"
)

func TestIsActivity(t *testing.T) {
	for name, c := range map[string]struct {
		method  string
		headers map[string]string
		want    bool
	}{
		"said so": {"GET",
			map[string]string{HeaderActivity: "yes", "Sec-Fetch-Mode": "cors"}, true},
		"said not": {"POST",
			map[string]string{HeaderActivity: "no", "Sec-Fetch-Mode": "navigate"}, false},
		"said something else": {"GET",
			map[string]string{HeaderActivity: "maybe", "Sec-Fetch-Mode": "cors"}, false},
		"a navigation":                {"GET", map[string]string{"Sec-Fetch-Mode": "navigate"}, true},
		"a form":                      {"POST", map[string]string{"Sec-Fetch-Mode": "navigate"}, true},
		"an old browser's navigation": {"GET", map[string]string{"Accept": "text/html,*/*"}, true},
		"an old browser's form":       {"POST", nil, true},
		"an old browser's image":      {"GET", map[string]string{"Accept": "image/*"}, false},
		"an old browser's poll":       {"GET", nil, false},
		"a script's post":             {"POST", map[string]string{"Sec-Fetch-Mode": "cors"}, true},
		"a script's poll":             {"GET", map[string]string{"Sec-Fetch-Mode": "cors"}, false},
		"an event stream":             {"GET", map[string]string{"Sec-Fetch-Mode": "same-origin"}, false},
		"an image":                    {"GET", map[string]string{"Sec-Fetch-Mode": "no-cors"}, false},
		"an image with a token": {"GET", map[string]string{"Sec-Fetch-Mode": "no-cors",
			"Authorization": "Bearer x"}, false},
		"a program's call": {"GET", map[string]string{"Authorization": "Bearer x"}, true},
		"a look ahead":     {"GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Purpose": "prefetch"}, false},
		"a look ahead that renders": {"GET", map[string]string{"Sec-Fetch-Mode": "navigate",
			"Sec-Purpose": "prefetch;prerender"}, false},
		"HEAD":                     {"HEAD", map[string]string{"Sec-Fetch-Mode": "cors"}, false},
		"a question of permission": {"OPTIONS", map[string]string{"Sec-Fetch-Mode": "cors"}, false},
	} {
		h := http.Header{}
		for k, v := range c.headers {
			h.Set(k, v)
		}
		if got := IsActivity(c.method, h); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if n := testing.AllocsPerRun(10, func() { IsActivity(c.method, h) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
