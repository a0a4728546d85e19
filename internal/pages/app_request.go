package pages

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/web"
)

// requestParameter carries an app's sealed request through our pages, in addresses and forms.
const requestParameter = "request"

// appRequest returns the request of an app: as it came from there, or sealed as our pages carry it. Its errors are those of
// oauth.ParseRequest and oauth.OpenRequest.
func (p *Pages) appRequest(r *http.Request, v url.Values) (oauth.Request, error) {
	if sealed := v.Get(requestParameter); sealed != "" && !v.Has("client_id") {
		return p.OAuth.OpenRequest(sealed, p.Browser.Cookies.ReadRequester(r))
	}
	return p.OAuth.ParseRequest(v)
}

// carried is where the request goes on in this browser. Everything in between may take a while, and must not be of use to
// another browser.
func (p *Pages) carried(w http.ResponseWriter, r *http.Request, q oauth.Request) (string, error) {
	sealed, err := p.OAuth.Seal(q, p.Browser.Cookies.Requester(w, r))
	if err != nil {
		return "", err
	}
	return "/authorize?" + url.Values{requestParameter: {sealed}}.Encode(), nil
}

// appRequestIn reads the request that a return address carries. The error is ErrNotFound when it leads elsewhere.
func (p *Pages) appRequestIn(r *http.Request, back string) (oauth.Request, error) {
	u, err := url.Parse(back)
	if err != nil || u.Path != "/authorize" {
		return oauth.Request{}, exeunt.ErrNotFound
	}
	return p.appRequest(r, u.Query())
}

// allow lets the page's form be answered with a redirect to the app.
func allow(w http.ResponseWriter, q oauth.Request) {
	w.Header().Set("Content-Security-Policy", web.FormPolicy(q.Origin()))
}

// FromApps are the paths that other sites post to.
var FromApps = []string{"/authorize", endSessionPath}

// fromAppsPost answers a post to an address that apps use, which comes from another site and so without our cookies
// (RFC 6749 section 3.1, OpenID Connect RP-Initiated Logout section 2): the browser comes back with a GET, which has
// them. Nothing else is done.
func fromAppsPost(to string, parameters ...string) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		q := url.Values{}
		for _, name := range parameters {
			if r.PostForm.Has(name) {
				q[name] = r.PostForm[name]
			}
		}
		return redirect(w, to+"?"+q.Encode())
	}
}

// refuse tells the app, if the error is for it.
func (p *Pages) refuse(w http.ResponseWriter, q oauth.Request, err error) error {
	var refused *oauth.Refusal
	if !errors.As(err, &refused) {
		return err
	}
	return redirect(w, q.Refuse(refused, p.Issuer))
}
