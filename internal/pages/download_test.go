package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A file stays on a shared computer when its reader has gone, so the page says so, and asks for one step more.
func TestDownloadsOnASharedComputer(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	isFile := func(a *answer) bool { return strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") }
	own := n.signedIn("ada")
	own.get("/activity").hides("the file stays on it after you sign out")
	if a := own.send(http.MethodGet, "/activity.csv", nil); !isFile(a) {
		t.Error("elsewhere it is none")
	}
	b := newBrowser(n)
	b.signIn("ada", "shared")
	b.get("/activity").says("the file stays on it after you sign out", "Save it here all the same")
	for _, path := range []string{"/activity.csv", "/activity.json"} {
		if a := b.send(http.MethodGet, path, nil); isFile(a) || a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s without the step is a file (%d)", path, a.StatusCode)
		}
		if a := b.send(http.MethodGet, path+"?stays=yes", nil); !isFile(a) {
			t.Errorf("%s with it is none (%d)", path, a.StatusCode)
		}
	}
	page := b.get("/security/app")
	form := page.form("/security/app")
	form.Set("app_code", n.appCode(page))
	b.post("/security/app", form).leadsTo("/security/codes")
	b.get("/security/codes").says("the file stays on it after you sign out")
	if a := b.submit("/security/codes", "/security/codes/text", nil); isFile(a) {
		t.Error("recovery codes are a file without the step")
	}
	if a := b.submit("/security/codes", "/security/codes/text", url.Values{"stays": {"yes"}}); !isFile(a) {
		t.Errorf("recovery codes are none with it (%d)", a.StatusCode)
	}
}
