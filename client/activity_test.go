package client

import (
	"net/http"
	"testing"
)

func TestIsActivity(t *testing.T) {
	for name, c := range map[string]struct {
		headers map[string]string
		want    bool
	}{
		"said so":                        {map[string]string{HeaderActivity: "yes", "Sec-Fetch-Mode": "cors"}, true},
		"said not":                       {map[string]string{HeaderActivity: "no", "Sec-Fetch-Mode": "navigate"}, false},
		"said something else":            {map[string]string{HeaderActivity: "maybe", "Sec-Fetch-Mode": "cors"}, false},
		"a navigation":                   {map[string]string{"Sec-Fetch-Mode": "navigate"}, true},
		"a form":                         {map[string]string{"Sec-Fetch-Mode": "navigate"}, true},
		"an old browser's navigation":    {map[string]string{"Accept": "text/html,*/*"}, true},
		"an old browser's form":          {map[string]string{"Accept": "text/html,*/*"}, true},
		"an old browser's script's post": {map[string]string{"Accept": "*/*"}, false},
		"an old browser's image":         {map[string]string{"Accept": "image/*"}, false},
		"an old browser's poll":          {nil, false},
		"a script's post":                {map[string]string{"Sec-Fetch-Mode": "cors"}, false},
		"a script's poll":                {map[string]string{"Sec-Fetch-Mode": "cors"}, false},
		"an event stream":                {map[string]string{"Sec-Fetch-Mode": "same-origin"}, false},
		"an image":                       {map[string]string{"Sec-Fetch-Mode": "no-cors"}, false},
		"an image with a token": {map[string]string{"Sec-Fetch-Mode": "no-cors",
			"Authorization": "Bearer x"}, false},
		"a program's call": {map[string]string{"Authorization": "Bearer x"}, true},
		"a look ahead":     {map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Purpose": "prefetch"}, false},
		"a look ahead that renders": {map[string]string{"Sec-Fetch-Mode": "navigate",
			"Sec-Purpose": "prefetch;prerender"}, false},
		"HEAD":                     {map[string]string{"Sec-Fetch-Mode": "cors"}, false},
		"a question of permission": {map[string]string{"Sec-Fetch-Mode": "cors"}, false},
	} {
		h := http.Header{}
		for k, v := range c.headers {
			h.Set(k, v)
		}
		if got := IsActivity(h); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if n := testing.AllocsPerRun(10, func() { IsActivity(h) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
