package ui

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
)

// helped is help as somebody sees it who looks for something.
func helped(t *testing.T, u *UI, v HelpView) (page string, found []string) {
	t.Helper()
	v.Policy = exeunt.DefaultPolicy()
	page = rendered(t, u, &v)
	for _, a := range v.Answers() {
		found = append(found, a.ID)
	}
	for _, a := range v.More() {
		found = append(found, a.ID)
	}
	shown := strings.Count(page, `<section class="block" data-words`) + strings.Count(page, `<li><a href="/help#`)
	if len(found) != shown || v.Limited() && shown > 0 && !strings.Contains(page, fmt.Sprintf("<b data-count>%d</b>", shown)) {
		t.Errorf("%q: %d answers are found and %d shown, or the page says another number", v.Search, len(found), shown)
	}
	if v.Limited() && len(page) > 35_000 { // which is not compressed
		t.Errorf("%q: the page weighs %d bytes", v.Search, len(page))
	}
	return page, found
}

func TestHelpIsFoundByWhatPeopleCallIt(t *testing.T) {
	u := newUI(t)
	for search, want := range map[string]string{
		"How do I log off?":                    "sign-out",
		"logout":                               "sign-out",
		"closing tabs":                         "closing-a-tab",
		"CLOSE  a tab":                         "closing-a-tab",
		"quit the browser":                     "closing-a-tab",
		"delete cookies":                       "clearing-data",
		"incognito":                            "private-windows",
		"InPrivate":                            "private-windows",
		"at the library":                       "shared-computer",
		"internet café":                        "shared-computer",
		"stolen phones":                        "lost-phone",
		"I lost my mobile":                     "lost-phone",
		"my family uses this computer":         "several-people",
		"autofill":                             "saved-passwords",
		"the browser remembers my passwords":   "saved-passwords",
		"hacked":                               "somebody-else",
		"this wasn’t me":                       "somebody-else",
		"this wasn't me":                       "somebody-else",
		"why was I logged out":                 "why-signed-out",
		"why am I still logged in?":            "still-signed-in",
		"no network":                           "signing-out-fails",
		"offline":                              "signing-out-fails",
		"locked on this device":                "locked",
		"wrong clock":                          "signing-out-fails",
		"receipt":                              "proof",
		"429":                                  "too-many-attempts",
		"2fa codes":                            "second-step",
		"fingerprints":                         "passkey",
		"noscript":                             "javascript-off",
		"sso":                                  "app-or-browser",
		"sign out my other computer remotely":  "sign-out-elsewhere",
		"phishing mails":                       "mails",
		"authenticator on the phone I lost":    "lost-phone",
		"Safari private":                       "private-windows", // in the steps only
		"forgot to sign out at a friend’s":     "forgot-somewhere",
		"Ｌｏｇｏｆｆ":                               "sign-out", // as some keyboards write it
		"extension":                            "signing-out-fails",
		"sign out of everything on all device": "sign-out-elsewhere",
	} {
		page, found := helped(t, u, HelpView{Frame: out(), Mails: true, Search: search})
		if !slices.Contains(found, want) {
			t.Errorf("%q finds %v, and not %s", search, found, want)
		} else if at := slices.Index(found, want); at > 3 {
			t.Errorf("%q finds %s in the place %d: %v", search, want, at+1, found)
		}
		if len(found) == 26 {
			t.Errorf("%q finds everything", search)
		}
		checkHTML(t, page)
	}
}

// What the question is about comes before what only mentions it.
func TestHelpHasTheBestAnswerFirst(t *testing.T) {
	u := newUI(t)
	for search, want := range map[string]string{"lost phone": "lost-phone", "saved password": "saved-passwords",
		"private window": "private-windows", "shared computer": "shared-computer", "recovery codes": "second-step", "passkeys": "passkey"} {
		if _, found := helped(t, u, HelpView{Frame: out(), Search: search}); len(found) == 0 || found[0] != want {
			t.Errorf("%q finds %v, and not %s first", search, found, want)
		}
	}
}

func TestHelpSaysWhenNothingIsFound(t *testing.T) {
	u := newUI(t)
	page, found := helped(t, u, HelpView{Frame: out(), Search: "zebra crossing"})
	if len(found) > 0 {
		t.Errorf("found %v", found)
	}
	for _, want := range []string{`<span data-none>No answer has all of these words.</span>`, `<span data-counted hidden>`,
		`<a class="chip" href="/help?q=lost%20phone">lost phone</a>`, `<a class="btn quiet" href="/help" data-all>`, `value="zebra crossing"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, example := range strings.Split("lost phone, saved password, shared computer, private window", ", ") {
		if _, found := helped(t, u, HelpView{Frame: out(), Search: example}); len(found) == 0 {
			t.Errorf("the example %q finds nothing", example)
		}
	}
	whole, found := helped(t, u, HelpView{Frame: out(), Search: " ?! "})
	if len(found) != 25 || !strings.Contains(whole, "data-toc>") || !strings.Contains(whole, "<span data-none hidden>") {
		t.Errorf("a search without words hides something: %v", found)
	}
}

// A page of what is found stays small also when nearly everything is.
func TestHelpLinksToWhatItHasNoRoomFor(t *testing.T) {
	u := newUI(t)
	for _, search := range []string{"s", "sign", "the", "browser", "c"} {
		v := HelpView{Frame: in(NavHelp), Mails: true, Search: search, Policy: exeunt.DefaultPolicy()}
		page, found := helped(t, u, v)
		if len(found) < 10 || strings.Count(page, "<section") != 8 || !strings.Contains(page, ">More answers</h2>") {
			t.Errorf("%q finds %d, of which %d are shown in full", search, len(found), strings.Count(page, "<section"))
		}
	}
}

// A search is somebody else's text in a page, and work for the server.
func TestHelpBoundsAndEscapesASearch(t *testing.T) {
	u := newUI(t)
	for _, search := range []string{`"><script>alert(1)</script>`, "' onfocus=alert(1) x='", "{{.Policy}}", "<b>phone", "a\x00b\xff\xfe",
		strings.Repeat("phone ", 10_000), strings.Repeat("é", 5000), "\u202ephone", strings.Repeat("a b c d e f g h ", 10)} {
		v := HelpView{Frame: out(), Policy: exeunt.DefaultPolicy(), Search: search}
		page := rendered(t, u, &v)
		checkHTML(t, page)
		if strings.Contains(page, "<script>") || strings.Contains(page, "<b>phone") {
			t.Errorf("%.40q reached the page as markup", search)
		}
		if n := len([]rune(v.Search)); n > 100 {
			t.Errorf("%.20q is searched for with %d characters", search, n)
		}
		if n := len(searchStems(v.Search, "", nil)); n > 8 {
			t.Errorf("%.20q is searched for with %d words", search, n)
		}
	}
}

func TestHelpShowsTheReadersBrowserAndTheOthers(t *testing.T) {
	u := newUI(t)
	if _, found := helped(t, u, HelpView{Frame: out()}); len(found) != 25 {
		t.Errorf("without mails there are %d answers", len(found))
	}
	own := regexp.MustCompile(`<p class="own"><b>(.*?):</b>`)
	for browser, want := range map[string]string{"chrome_android": "Chrome on Android", "safari_ios": "Safari on an iPhone or iPad",
		"firefox_computer": "Firefox on a computer", "samsung": "Samsung Internet", "": "", "lynx": ""} {
		page, _ := helped(t, u, HelpView{Frame: out(), Browser: browser})
		var got []string
		for _, m := range own.FindAllStringSubmatch(page, -1) {
			got = append(got, m[1])
		}
		wanted := []string{want, want, want}
		if want == "" {
			wanted = nil
		}
		if !slices.Equal(got, wanted) {
			t.Errorf("%q: the steps are for %q, want %q", browser, got, wanted)
		}
		for _, other := range HelpBrowsers {
			n := strings.Count(page, "<dt>"+browserName(t, u, other)+"</dt>")
			if want := 3; other == browser && n != 0 || other != browser && n != want {
				t.Errorf("%q: %s is among the others %d times", browser, other, n)
			}
		}
	}
}

func browserName(t *testing.T, u *UI, browser string) string {
	t.Helper()
	text, err := u.language("").words.t("help.browser." + browser)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Whatever links to an answer finds it, and every answer ends in a way to follow it.
func TestLinksIntoHelpLeadSomewhere(t *testing.T) {
	u := newUI(t)
	all := HelpView{Frame: in(NavHelp), Policy: exeunt.DefaultPolicy(), Mails: true}
	rendered(t, u, &all)
	there := map[string]bool{}
	for _, a := range all.Answers() {
		there[a.ID] = true
		if len(a.Ways) == 0 {
			t.Errorf("%s ends in no link", a.ID)
		}
	}
	linked := map[string]bool{}
	link := regexp.MustCompile(`href="/help(?:#([^"]*))?"`)
	for name, view := range states() {
		page := rendered(t, u, view)
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			linked[m[1]] = true
			if m[1] != "" && !there[m[1]] {
				t.Errorf("%s links to #%s of help, which is not there", name, m[1])
			}
		}
		if view.page() != "help" {
			continue
		}
		for _, m := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if m[1] != "main" && !strings.Contains(page, `<h2
  id="`+m[1]+`">`) {
				t.Errorf("%s links to #%s of its own, which is not there", name, m[1])
			}
		}
	}
	for _, want := range []string{"", "cookies", "forgot-password", "second-step", "signing-out-fails", "too-many-attempts", "why-signed-out", "somebody-else"} {
		if !linked[want] {
			t.Errorf("no page links to #%s of help", want)
		}
	}
}

// The known limit of browsers without script must be told (docs are tested elsewhere).
func TestHelpTellsTheKnownLimit(t *testing.T) {
	page := rendered(t, newUI(t), &HelpView{Frame: out(), Policy: exeunt.DefaultPolicy()})
	for _, word := range []string{"JavaScript turned off", "Chromium", "Back button", "another device"} {
		if !strings.Contains(page, word) {
			t.Errorf("help does not mention %q", word)
		}
	}
}
