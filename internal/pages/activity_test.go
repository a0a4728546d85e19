package pages

import (
	"encoding/csv"
	"encoding/json"
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
)

var nextPage = regexp.MustCompile(`href="([^"]*)" data-next`)

// The page tells what happened, in words, by kind and in pages; of nobody else, and without an operator's name.
func TestWhatHappened(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("grace")
	stranger := n.signedIn("grace")
	stranger.address = "198.51.100.9:1"
	b := n.signedIn("ada")
	n.Clock.Pass(time.Minute)
	b.allowChirp()
	_, phone := n.app("ada", "=HYPERLINK(\"evil\")")
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root on the server"}
	_, err := n.End(t.Context(), operator, exeunt.Revocation{Reason: exeunt.ReasonAdministrator, Target: exeunt.Target{
		Account: n.id("ada"), Scope: exeunt.ScopeSession, Session: phone}})
	n.must(err)
	n.must(n.Store.AddAudit(t.Context(), exeunt.AuditEntry{At: n.Now(), Account: n.id("ada"), Action: "from_a_newer_program",
		By: exeunt.System(), Detail: "<secret>"}))
	n.must(n.Store.AddAudit(t.Context(), exeunt.AuditEntry{At: n.Now(), Account: n.id("ada"), Action: exeunt.AuditSignInFailed,
		By: exeunt.Actor{Kind: exeunt.ActorPerson, Address: netip.MustParseAddr("203.0.113.5")}, Detail: "wrong password, and 7 more before"}))
	b.submit("/security", "/security/password", url.Values{"current": {password}, "password": {"seven harbours under a paper moon"}}).
		is(http.StatusSeeOther)

	page := b.get("/activity").is(http.StatusOK).says("Signed in", "Firefox on Linux", "192.0.2.7", "Chirp was allowed to know who you are",
		"Signed in to Chirp", "A session ended", "Ended by an administrator", "An administrator", "A sign-in failed, and 7 more before", "Somebody",
		"203.0.113.5", "The password was changed", "does not know").hides("root on the server", "198.51.100.9", "&lt;secret", "shared computer: a download")
	if strings.Count(page.body, "aria-current=\"page\"") < 2 {
		t.Error("neither the panel nor the filter says where one is")
	}
	for kind, has := range map[string][2]string{
		"sign_ins":  {"A sign-in failed", "A session ended"},
		"sign_outs": {"A session ended", "Signed in"},
		"changes":   {"The password was changed", "A session ended"},
		"apps":      {"Signed in to Chirp", "A sign-in failed"},
		"nonsense":  {"A sign-in failed", "no such text"},
	} {
		b.get("/activity?kind=" + kind).is(http.StatusOK).says(has[0]).hides("<h2><span>" + has[1])
	}
	b.get("/activity?after=x").is(http.StatusBadRequest)

	// More than a page, each entry once.
	for range 2 * pageLen {
		n.must(n.Store.AddAudit(t.Context(), exeunt.AuditEntry{At: n.Now(), Account: n.id("ada"), Action: exeunt.AuditStatus, By: operator}))
	}
	rows, pages := 0, 0
	for to := "/activity?kind=changes"; to != ""; pages++ {
		if pages > 10 {
			t.Fatal("the list has no end")
		}
		a := b.get(to).is(http.StatusOK)
		rows += strings.Count(a.body, "The account was enabled again")
		if next := nextPage.FindStringSubmatch(a.body); next != nil {
			to = html.UnescapeString(next[1])
		} else {
			to = ""
		}
	}
	if rows != 2*pageLen {
		t.Errorf("the pages have %d rows, want %d", rows, 2*pageLen)
	}

	file := b.get("/activity.csv").is(http.StatusOK)
	for name, want := range map[string]string{"Content-Disposition": `attachment; filename="activity.csv"`,
		"Content-Type": "text/csv; charset=utf-8", "Cache-Control": "no-store"} {
		if got := file.Header.Get(name); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	lines, err := csv.NewReader(strings.NewReader(file.body)).ReadAll()
	if err != nil || len(lines) < 2*pageLen || lines[0][0] != "time" {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	evil := false
	for _, l := range lines {
		for _, c := range l {
			if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
				t.Errorf("a spreadsheet takes %q for a formula", c)
			}
			evil = evil || strings.HasPrefix(c, `'=HYPERLINK("evil")`)
		}
	}
	if !evil || strings.Contains(file.body, "root on the server") || strings.Contains(file.body, "<bdi>") {
		t.Errorf("the file says\n%.2000s", file.body)
	}
	var out struct {
		Entries []ui.ActivityRecord
		Older   bool
	}
	if err := json.Unmarshal([]byte(b.get("/activity.json?kind=apps").is(http.StatusOK).body), &out); err != nil ||
		len(out.Entries) != 2 || out.Older || out.Entries[0].Kind != "apps" || out.Entries[0].What != "Signed in to Chirp" {
		t.Errorf("%+v, %v", out, err)
	}
	newBrowser(n).send(http.MethodGet, "/activity.csv", nil).is(http.StatusSeeOther)
}

// A download is bounded, and so is how often there is one. The page can be read on, and says what a download leaves on
// a shared computer.
func TestDownloadsAreBounded(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	b.signIn("ada", "shared")
	b.get("/activity").says("the file stays on it")
	for range authority.MaxDownload + 10 {
		n.must(n.Store.AddAudit(t.Context(), exeunt.AuditEntry{At: n.Now(), Account: n.id("ada"), Action: exeunt.AuditStatus, By: exeunt.System()}))
	}
	var out struct {
		Entries []ui.ActivityRecord
		Older   bool
	}
	if err := json.Unmarshal([]byte(b.get("/activity.json?stays=yes").is(http.StatusOK).body), &out); err != nil ||
		len(out.Entries) != authority.MaxDownload || !out.Older {
		t.Errorf("%d entries, older: %v, %v", len(out.Entries), out.Older, err)
	}
	for i := 0; b.send(http.MethodGet, "/activity.csv?stays=yes", nil).StatusCode == http.StatusOK; i++ {
		if i > 20 {
			t.Fatal("there is no limit")
		}
	}
	a := b.get("/activity.csv?stays=yes").is(http.StatusTooManyRequests).says("has been downloaded many times")
	if a.Header.Get("Retry-After") == "" || a.Header.Get("Content-Disposition") != "" {
		t.Errorf("it says %v", a.Header)
	}
	b.get("/activity").is(http.StatusOK)
}
