package pages

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
)

// heldBack is a body that comes only after something has happened: whoever
// reads it first lets it happen.
type heldBack struct {
	io.Reader
	first func()
}

func (h *heldBack) Read(b []byte) (int, error) {
	if h.first != nil {
		h.first()
		h.first = nil
	}
	return h.Reader.Read(b)
}

// A form whose headers came while the session was good, and whose body came
// after it had been ended, must do nothing.
func TestHeldBackBodiesDoNothing(t *testing.T) {
	for to, fill := range map[string]url.Values{
		"/settings/profile":  {"name": {"Mallory"}, "email": {"mallory@example.com"}},
		"/settings/display":  {"display": {"dark"}},
		"/signout":           {"scope": {"account"}, "key": {"held"}},
		"/sessions/end":      {"key": {"held"}},
		"/security/password": {"current": {"x"}, "password": {"y"}},
		"/session/activity":  {},
		"/session/stay":      {"return": {"/"}},
	} {
		t.Run(to, func(t *testing.T) {
			n := newNode(t)
			n.account("ada")
			thief := n.signedIn("ada")
			owner := n.signedIn("ada")
			body := thief.fields(fill)
			var before string
			r := httptest.NewRequest(http.MethodPost, "http://"+testHost+to,
				&heldBack{strings.NewReader(body.Encode()), func() {
					_, err := n.Authority.End(t.Context(), exeunt.System(),
						exeunt.Revocation{Target: exeunt.Target{Account: n.id("ada"), Scope: exeunt.ScopeSession,
							Session: thief.session()}, Reason: exeunt.ReasonAdministrator})
					n.must(err)
					before = n.recorded()
				}})
			r.ContentLength = int64(len(body.Encode()))
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if a := thief.do(r); a.StatusCode == http.StatusNoContent || a.StatusCode == http.StatusSeeOther {
				t.Errorf("carried out: %d", a.StatusCode)
			}
			if before == "" || n.recorded() != before {
				t.Error("a request of an ended session changed something")
			}
			owner.get("/sessions").is(http.StatusOK)
		})
	}
}
