package ui

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/language"
)

func TestLanguageIsTheFirstThatIsKnown(t *testing.T) {
	u := newUI(t)
	for _, c := range []struct {
		wanted []string
		want   string
	}{
		{nil, "en"},
		{[]string{""}, "en"},
		{[]string{"de"}, "de"},
		{[]string{"de-AT,de;q=0.9,en;q=0.8"}, "de"},
		{[]string{"en;q=0.5,de;q=0.9"}, "de"},
		{[]string{"tlh,de;q=0.1"}, "de"},
		{[]string{"zh-Hans-CN", "de"}, "de"}, // a header with nothing that is known says nothing
		{[]string{"en", "de"}, "en"},
		{[]string{"*", "de"}, "de"},
		{[]string{"de;q=zero", "de"}, "de"},
		{[]string{"zh-Hans-CN"}, "en"},
		{[]string{strings.Repeat("de,", 500)}, "en"},
		{[]string{"\x00"}, "en"},
	} {
		if got := u.Language(c.wanted...); got != c.want {
			t.Errorf("%.40q is read as %s, want %s", c.wanted, got, c.want)
		}
	}
	for tag, want := range map[string]bool{"en": true, "de": true, "": false, "de-AT": false, "tlh": false, "../de": false} {
		if got := u.Has(tag); got != want {
			t.Errorf("Has(%q) is %v", tag, got)
		}
	}
	for _, l := range u.Languages() {
		if l.Name == "" || l.Dir != "ltr" && l.Dir != "rtl" {
			t.Errorf("a language is %+v", l)
		}
	}
}

func TestGermanWordsForTimesAndNumbers(t *testing.T) {
	w := newUI(t).language("de").words
	for past, want := range map[time.Duration]string{0: "gerade eben", time.Minute: "vor 1 Minute", 2 * time.Hour: "vor 2 Stunden",
		day: "vor 1 Tag", 13 * day: "am 9. November", 365 * day: "am 22. November 2025"} {
		got, err := w.ago(testNow, testNow.Add(-past))
		if err != nil || !strings.HasSuffix(string(got), ">"+want+"</time>") {
			t.Errorf("%v ago reads %s (%v), want %q", past, got, err, want)
		}
	}
	if got, err := w.duration(25 * time.Hour); err != nil || got != "1 Tag 1 Stunde" {
		t.Errorf("25 hours read %q (%v)", got, err)
	}
	for n, want := range map[int]string{0: "0 Tage", 1: "1 Tag", 2: "2 Tage", 1234: "1.234 Tage"} {
		if got, err := w.tn("duration.days", n); err != nil || string(got) != want {
			t.Errorf("%d days read %q (%v), want %q", n, got, err, want)
		}
	}
}

func TestBrowsersAreCalledInTheLanguage(t *testing.T) {
	w := newUI(t).language("de").words
	for label, want := range map[string]string{"Firefox on Linux": "Firefox (Linux)", "Mobile Safari on iOS": "Mobile Safari (iOS)",
		"A browser on Windows": "Windows", "Notes on the studio laptop": "Notes on the studio laptop", "Pixel 8": "Pixel 8", "": ""} {
		if got := w.called(label); got != want {
			t.Errorf("%q is called %q, want %q", label, got, want)
		}
	}
	if got := english(t).called("Firefox on Linux"); got != "Firefox on Linux" {
		t.Errorf("in English it is called %q", got)
	}
}

// arabic are English words on pages that are written from right to left.
func arabic(t *testing.T) *words {
	w := *english(t)
	w.tag = language.Arabic
	return &w
}

// What people wrote is kept apart from a sentence of the other direction, also where no element can do that.
func TestNamesAreKeptApartFromRightToLeft(t *testing.T) {
	w := arabic(t)
	if got := w.direction(); got != "rtl" {
		t.Fatalf("the direction is %s", got)
	}
	for value, want := range map[any]string{"@ada": "\u2068@ada\u2069", "<b>": "\u2068&lt;b&gt;\u2069", bdi("@ada"): "<bdi>@ada</bdi>",
		"https://id.example.com/help": "https://id.example.com/help"} {
		got, err := w.t("nav.open", "Handle", value)
		if err != nil || string(got) != "Open the menu of "+want {
			t.Errorf("%v reads %q (%v), want %q", value, got, err, want)
		}
	}
	if got, err := english(t).t("nav.open", "Handle", "@ada"); err != nil || got != "Open the menu of @ada" {
		t.Errorf("from left to right it reads %q (%v)", got, err)
	}
	if got := w.number(1234); got != "1,234" {
		t.Errorf("1234 reads %q: digits are the same everywhere", got)
	}
	s, err := w.mail(MailUnfamiliarSignIn, MailData{Site: "https://id.example.com", Handle: "ada", Link: "https://id.example.com/not-me/x",
		Browser: "Firefox on Linux", At: testNow, Network: netip.MustParseAddr("2001:db8::7")})
	if err != nil {
		t.Fatal(err)
	}
	if s.Dir != "rtl" || !strings.Contains(string(s.Lead[0]), "\u2068@ada\u2069 on \u2068id.example.com\u2069") {
		t.Errorf("the mail is %+v", s)
	}
	if text := s.text(); !strings.Contains(text, "\u2068Firefox (Linux)\u2069") || !strings.Contains(text, "\n\nhttps://id.example.com/not-me/x\n") {
		t.Errorf("the mail's text is %q", text)
	}
}

// Pages in other languages, as they are: look at them. One language of each direction is enough.
func TestLanguageGolden(t *testing.T) {
	u := newUI(t)
	hash := regexp.MustCompile(`(/assets/\w+)\.[0-9a-f]{12}`)
	key := regexp.MustCompile(`name="key" value="[A-Z2-7]{26}"`)
	for _, lang := range []string{"de", "ar"} {
		if !u.Has(lang) {
			continue
		}
		all := states()
		files := map[string]string{}
		for _, name := range []string{"sessions", "sign-in", "sign-out-apps", "error"} {
			all[name].frame().Lang = lang
			files[name+".html"] = key.ReplaceAllString(hash.ReplaceAllString(rendered(t, u, all[name]), "$1.HASH"), `name="key" value="KEY"`)
		}
		m, err := u.Mail(lang, MailUnfamiliarSignIn, mailExamples()[MailUnfamiliarSignIn])
		if err != nil {
			t.Fatal(err)
		}
		files["unfamiliar_sign_in.txt"] = "Subject: " + m.Subject + "\n\n" + m.Text
		files["unfamiliar_sign_in.html"] = m.HTML
		folder := filepath.Join("testdata", lang)
		if *update {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
		} else if _, err := os.Stat(folder); err != nil {
			t.Errorf("there are no golden files in %s: run with -update, and look at them", lang)
			continue
		}
		for name, got := range files {
			file := filepath.Join(folder, name)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(file); err != nil || got != string(want) {
				t.Errorf("%s differs (%v); look at it, then run with -update", file, err)
			}
		}
	}
}

// Help finds in each language what its readers look for, also where words are not separated.
func TestHelpFindsInsideWordsWithoutSpaces(t *testing.T) {
	said := searchWords("パスワードを忘れた場合 الجلسات كلمة unfold")
	for stem, want := range map[string]bool{"パスワード": true, "忘れた": true, "جلس": true, "كلم": true, "unf": true, "fold": false} {
		stems := searchStems(stem, "", nil)
		if got := hasStems(said, stems); got != want {
			t.Errorf("%q is found: %v", stem, got)
		}
	}
}
