package pages

import (
	"net/http"
	"net/url"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// appRequestIn reads the request that a return address carries. The error is
// ErrNotFound when it leads elsewhere.
func (p *Pages) appRequestIn(back string) (oauth.Request, error) {
	u, err := url.Parse(back)
	if err != nil || u.Path != "/authorize" {
		return oauth.Request{}, exeunt.ErrNotFound
	}
	return p.OAuth.ParseRequest(u.Query())
}

// allow lets the page's form be answered with a redirect to the app.
func allow(w http.ResponseWriter, q oauth.Request) {
	w.Header().Set("Content-Security-Policy", web.FormPolicy(q.Origin()))
}

func hiddenFields(q oauth.Request) (out []ui.Hidden) {
	for name, value := range q.Parameters() {
		out = append(out, ui.Hidden{Name: name, Value: value})
	}
	return out
}
