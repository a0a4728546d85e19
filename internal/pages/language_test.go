package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt/internal/mailbox"
)

// in is a browser that asks for a language.
func (n *node) in(language string) *browser {
	b := newBrowser(n)
	b.language = language
	return b
}

func TestThePersonsChoiceComesFirst(t *testing.T) {
	n := newNode(t)
	b := n.in("de-AT,de;q=0.9")
	a := b.get("/signin").is(http.StatusOK).says("Anmelden", "Sprache: Deutsch")
	if got := a.Header.Get("Content-Language"); got != "de" {
		t.Errorf("the content is in %q", got)
	}
	if got := strings.Join(a.Header.Values("Vary"), ","); !strings.Contains(got, "Accept-Language") {
		t.Errorf("it varies by %q", got)
	}
	b.submit("/language?return=/signin", "/language", url.Values{"language": {"en"}}).leadsTo("/signin")
	b.get("/signin").says("Language: English")
	b.submit("/language", "/language", url.Values{"language": {""}}).leadsTo("/")
	b.get("/signin").says("Sprache: Deutsch")
	for _, unknown := range []string{"tlh", "de-AT", "../en"} {
		b.submit("/language", "/language", url.Values{"language": {unknown}}).is(http.StatusBadRequest)
	}
	for from, to := range map[string]string{"https://evil.example/": "/", "//evil.example": "/", "/help?q=a": "/help?q=a"} {
		b.submit("/language", "/language", url.Values{"language": {"en"}, "return": {from}}).leadsTo(to)
	}
	b.cookies["__Host-exeunt-language"] = "tlh.abc" // of a newer program, or forged
	b.get("/signin").says("Sprache: Deutsch")
}

// An app says in which language it would like our pages (ui_locales), and whoever chooses another since then has the last
// word. What they chose before does not count for that.
func TestAnAppMaySayTheLanguage(t *testing.T) {
	n := newNode(t)
	b := n.in("en")
	b.submit("/language", "/language", url.Values{"language": {"en"}}).leadsTo("/")
	n.Clock.Pass(time.Second)
	q := appQuery("state")
	q.Set("ui_locales", "tlh de-CH")
	to := b.get("/authorize?" + q.Encode()).at
	b.get(to).is(http.StatusOK).says("Sprache: Deutsch")
	n.Clock.Pass(time.Second)
	b.submit("/language", "/language", url.Values{"language": {"en"}})
	b.get(to).is(http.StatusOK).says("Language: English")
	q.Set("ui_locales", strings.Repeat("x", 1500))
	b.get("/authorize?" + q.Encode()).is(http.StatusOK).says("Language: English")
}

// Mails are in the language of the last sign-in, or in the one that was chosen, wherever what they tell was done.
func TestMailsAreInTheLanguageOfTheAccount(t *testing.T) {
	n := mailNode(t)
	signIn := url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}}
	count := 0
	asked := func(want string) {
		t.Helper()
		n.Clock.Pass(time.Hour)
		count++
		n.in("").forgot("ada")
		var m mailbox.Message
		for i := count; ; i++ { // besides those about unfamiliar sign-ins
			if m = n.Mail(t, "ada@example.com", i); len(m.Links) > 0 && strings.Contains(m.Links[0], "/reset/") {
				count = i
				break
			}
		}
		if !strings.HasPrefix(m.Subject, want) {
			t.Errorf("the mail is %q, want %q", m.Subject, want)
		}
	}
	asked("Set a new password")
	b := n.in("de")
	b.submit("/signin", "/signin", signIn).leadsTo("/")
	asked("Neues Passwort")
	b.submit("/language?return=/settings", "/language", url.Values{"language": {"en"}}).leadsTo("/settings")
	other := n.in("de")
	other.submit("/signin", "/signin", signIn).leadsTo("/")
	other.get("/").says("Language: English") // it follows what was chosen
	asked("Set a new password")
	other.submit("/language", "/language", url.Values{"language": {""}}).leadsTo("/")
	asked("Neues Passwort")
}

// A computer that is not somebody's alone keeps no trace of their language.
func TestASharedComputerKeepsNoLanguage(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	own := n.in("en")
	own.submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}}).leadsTo("/")
	own.submit("/language", "/language", url.Values{"language": {"de"}}).leadsTo("/")
	if !own.lasting["__Host-exeunt-language"] {
		t.Error("their own browser forgets it when it closes")
	}
	shared := n.in("en")
	shared.submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"shared"}}).leadsTo("/")
	if got := shared.cookies["__Host-exeunt-language"]; got != "" {
		t.Errorf("the shared computer got %q", got)
	}
	shared.submit("/language", "/language", url.Values{"language": {"de"}}).leadsTo("/")
	shared.get("/").says("Sprache: Deutsch")
	if shared.lasting["__Host-exeunt-language"] {
		t.Error("the shared computer keeps it when the browser closes")
	}
}

// The worker keeps its page in the language of the browser that it is in, and fetches it without cookies.
func TestTheWorkerIsOfALanguage(t *testing.T) {
	n := newNode(t)
	german, english := n.in("de").get("/sw.js"), n.in("en").get("/sw.js")
	if german.body == english.body || !strings.Contains(german.body, `"/locked/de"`) || !strings.Contains(english.body, `"/locked/en"`) {
		t.Error("the worker is the same in both languages, or keeps another page")
	}
	n.in("en").get("/locked/de").is(http.StatusOK).says("nicht gesperrt")
	n.in("en").get("/locked/tlh").is(http.StatusNotFound)
}
