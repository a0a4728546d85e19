package ui

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func english(t *testing.T) *words {
	t.Helper()
	return newUI(t).language("").words
}

func TestRelativeTimes(t *testing.T) {
	w := english(t)
	for _, c := range []struct {
		past time.Duration
		want string
	}{
		{-3 * time.Second, "just now"}, // a clock a little ahead
		{59 * time.Second, "just now"},
		{time.Minute, "1 minute ago"},
		{2*time.Minute + 59*time.Second, "2 minutes ago"},
		{time.Hour, "1 hour ago"},
		{23 * time.Hour, "23 hours ago"},
		{25 * time.Hour, "1 day ago"},
		{6 * day, "6 days ago"},
		{13 * day, "on 9 November"},
		{365 * day, "on 22 November 2025"},
	} {
		got, err := w.ago(testNow, testNow.Add(-c.past))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(got), ">"+c.want+"</time>") {
			t.Errorf("%v ago reads %s, want %q", c.past, got, c.want)
		}
	}
	got, err := w.ago(testNow, testNow.Add(-2*time.Minute).In(time.FixedZone("far", 9*3600)))
	if want := `<time datetime="2026-11-22T14:30:07Z" title="22 November 2026, 14:30:07 UTC">`; err != nil ||
		!strings.HasPrefix(string(got), want) {
		t.Errorf("got %s (%v), want it to begin %s", got, err, want)
	}
}

func TestDurations(t *testing.T) {
	w := english(t)
	for d, want := range map[time.Duration]string{
		0: "0 seconds", time.Second: "1 second", 90 * time.Second: "1 minute 30 seconds",
		15 * time.Minute: "15 minutes",
		90 * time.Minute: "1 hour 30 minutes", 30 * day: "30 days", 25 * time.Hour: "1 day 1 hour",
		time.Hour + time.Second: "1 hour",
	} {
		if got, err := w.duration(d); err != nil || string(got) != want {
			t.Errorf("%v reads %q (%v), want %q", d, got, err, want)
		}
	}
}

func TestWhySessionsEnded(t *testing.T) {
	w := english(t)
	want := []string{
		"You signed out from <bdi>Firefox on Linux</bdi>", "You signed out there",
		"Ended after 30 minutes without activity",
		"Ended after 180 days, the longest a session can last",
		"Ended because somebody signed in again in the same browser",
		"Ended because its last page on a shared computer was closed",
		"Ended because the account was signed in in too many places, and this was the oldest sign-in",
		"Ended because this browser’s sign-in cookies were incomplete", "Ended because the password changed",
		"Ended by an administrator",
		"Ended because the account was disabled", "You signed out", "Ended", "Ended by an administrator",
		"Ended because the second step was changed",
		"Ended because somebody said “This wasn’t me” of a sign-in", "Ended because a change of the e-mail address was undone",
	}
	for i, s := range endedSessions() {
		if got, err := w.why(s, s.End); err != nil || string(got) != want[i] {
			t.Errorf("%s reads %q (%v), want %q", s.End.Reason, got, err, want[i])
		}
	}
}

// What people wrote is text, wherever it lands.
func TestNamesAreEscaped(t *testing.T) {
	u := newUI(t)
	evil := `<img src=x onerror=alert(1)>"'`
	s := this()
	s.Label = evil
	f := in(NavSessions)
	f.Account = &AccountChip{Name: evil, Handle: "ada"}
	f.Path = `/"><script>`
	gone := ended(s, 0, exeunt.ReasonSignedOut, exeunt.ActorPerson, 9, evil)
	gone.ID = idFor(9)
	page := rendered(t, u, &SessionsView{Frame: f, This: s,
		Others: []exeunt.Session{session(3, exeunt.KindApp, evil, 0, 0)}, Just: []exeunt.Session{gone},
		Clients: Clients{"chirp": {ID: "chirp", Name: evil}}})
	if strings.Contains(page, "<img") || strings.Contains(page, "<script>") {
		t.Error("markup in a name reached the page")
	}
	checkHTML(t, page)
}

func TestMissingWordsAreAnError(t *testing.T) {
	w := english(t)
	if _, err := w.t("no.such.key"); err == nil {
		t.Error("a missing key was no error")
	}
	if _, err := w.t("why.idle"); err == nil {
		t.Error("a missing value was no error")
	}
}

func TestUnknownLanguagesReadEnglish(t *testing.T) {
	u := newUI(t)
	for _, accept := range []string{"", "tlh", "en-GB;q=0.5", "\x00;;", strings.Repeat("de,", 500)} {
		f := out()
		f.Lang = accept
		if page := rendered(t, u, &SignedOutView{Frame: f}); !strings.Contains(page, `<html lang="en" dir="ltr">`) {
			t.Errorf("%.20q does not read English", accept)
		}
	}
}

func TestAssetsAreKeptForGood(t *testing.T) {
	page := rendered(t, newUI(t), &SignedOutView{Frame: out()})
	handler := Assets()
	for _, address := range regexp.MustCompile(`/assets/[\w.-]+`).FindAllString(page, -1) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, address, nil))
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") ||
			w.Body.Len() < 100 {
			t.Errorf("%s: %d %v, %d bytes", address, w.Code, w.Header(), w.Body.Len())
		}
		if typ := w.Header().Get("Content-Type"); typ == "" || strings.HasPrefix(typ, "text/plain") {
			t.Errorf("%s is sent as %q", address, typ)
		}
	}
	for _, address := range []string{"/assets/", "/assets/app.css", "/assets/../ui.go",
		"/assets/app.000000000000.css"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = address
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("%s answers %d, want 404", address, w.Code)
		}
	}
}

func TestInitials(t *testing.T) {
	for name, want := range map[string]string{"Ada Quill": "AQ", "ada": "A", "Ada von Quill": "AQ", "日本 太郎": "日太",
		"  ": "H", "42": "H", "élan": "É", "<b>": "B"} {
		if got := initials(&AccountChip{Name: name, Handle: "handle"}); got != want {
			t.Errorf("%q has initials %q, want %q", name, got, want)
		}
	}
}

// Whoever waits as long as the page says has waited long enough.
func TestAWaitIsRoundedUp(t *testing.T) {
	u := newUI(t)
	for want, wait := range map[string]time.Duration{
		"Wait 1 second,": time.Millisecond, "Wait 31 seconds,": 30500 * time.Millisecond, "Wait 1 minute,": time.Minute,
		"Wait 2 minutes,": time.Minute + time.Millisecond, "Wait 5 minutes,": 5*time.Minute - time.Millisecond,
		"Wait 3 hours,": 2*time.Hour + time.Minute,
	} {
		page := rendered(t, u, &SignInView{Frame: out(), Policy: exeunt.DefaultPolicy(),
			Err: &exeunt.ThrottledError{RetryAfter: wait}})
		if !strings.Contains(page, want) {
			t.Errorf("%v: the page does not say %q", wait, want)
		}
	}
}
