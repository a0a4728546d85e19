package oauth

import (
	"net/url"
	"strings"

	"github.com/exeunt/exeunt"
)

// SignOutParameters are read when an app asks for a sign-out (OpenID Connect RP-Initiated Logout 1.0 section 2). Of the
// others, logout_hint and ui_locales need not be used, since the page shows whom it is about, in the browser's language.
var SignOutParameters = []string{
	"id_token_hint", "client_id", "post_logout_redirect_uri", "state", "logout_hint", "ui_locales",
}

// maxState is how long a state may be that is returned.
const maxState = 2048

// SignOutRequest is an app's request for a sign-out. Nothing in it decides whether somebody is signed out: a person does.
type SignOutRequest struct {
	App   exeunt.Client // the app that asks; zero if that is not known
	Hint  Hint          // zero without one that is ours
	URI   string        // where the app wants the browser to be sent afterwards; "" unless that is registered for it
	State string        // for URI
	// Hinted: an ID token was sent.
	Hinted bool
	// Wrong: something in the request is not in order, so that the browser is sent nowhere.
	Wrong bool
}

// ParseSignOut reads and checks a request.
func (s *Service) ParseSignOut(v url.Values) (q SignOutRequest) {
	for _, name := range SignOutParameters {
		q.Wrong = q.Wrong || len(v[name]) > 1
	}
	id := exeunt.ClientID(v.Get("client_id"))
	if text := v.Get("id_token_hint"); text != "" {
		var ok bool
		q.Hinted = true
		if q.Hint, ok = s.ReadHint(text); !ok || id != "" && id != q.Hint.Client {
			q.Hint, q.Wrong = Hint{}, true
		} else {
			id = q.Hint.Client
		}
	}
	if id != "" {
		var err error
		if q.App, err = s.Client(id); err != nil {
			q.App, q.Wrong = exeunt.Client{}, true
			if len(id) <= maxState {
				s.reportSignOut(id, v.Get("post_logout_redirect_uri"), nil)
			}
		}
	}
	uri := v.Get("post_logout_redirect_uri")
	if uri == "" {
		return q
	}
	if !q.Wrong && (!q.App.MayLeadTo(uri) || len(v.Get("state")) > maxState) {
		q.Wrong = true
		if q.App.ID != "" {
			s.reportSignOut(q.App.ID, uri, q.App.PostLogoutURIs)
		}
	}
	if !q.Wrong {
		q.URI, q.State = uri, v.Get("state")
	}
	return q
}

// Fields are the parameters with which the person's answer finds the same way back. They are checked again then.
func (q *SignOutRequest) Fields() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"client_id": string(q.App.ID), "post_logout_redirect_uri": q.URI, "state": q.State,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// Back is where the browser is sent after the sign-out: to the registered address exactly, with the state added if there
// is one, and with nothing else (section 3). "" if it is sent nowhere.
func (q *SignOutRequest) Back() string {
	if q.URI == "" || q.State == "" {
		return q.URI
	}
	glue := "?"
	switch _, query, has := strings.Cut(q.URI, "?"); {
	case has && query == "", strings.HasSuffix(query, "&"):
		glue = ""
	case has:
		glue = "&"
	}
	return q.URI + glue + "state=" + strings.ReplaceAll(url.QueryEscape(q.State), "+", "%20")
}

// Origin is that of Back, for a content security policy.
func (q *SignOutRequest) Origin() string {
	u, err := url.Parse(q.URI)
	if err != nil {
		return ""
	}
	return originOf(u)
}
