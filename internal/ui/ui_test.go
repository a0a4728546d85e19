package ui

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"html"
	"html/template"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
)

var update = flag.Bool("update", false, "write the golden files anew")

func newUI(t *testing.T) *UI {
	t.Helper()
	u, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func rendered(t *testing.T, u *UI, v View) string {
	t.Helper()
	var b bytes.Buffer
	if err := u.Render(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A missing key fails the rendering itself, so rendering everything and
// counting what was said finds both kinds of mistake.
func TestEveryStateOfEveryPage(t *testing.T) {
	u := newUI(t)
	said := map[string]bool{}
	for _, lang := range u.languages {
		lang.words.used = func(key string) { said[key] = true }
	}
	drawn := map[string]bool{}
	for name, view := range states() {
		t.Run(name, func(t *testing.T) {
			page := rendered(t, u, view)
			drawn[view.page()] = true
			checkHTML(t, page)
			n := len(page)
			if help, ok := view.(*HelpView); ok && !help.Limited() {
				n = compressed(t, page) // as it is sent, without a query in its address
			}
			if n > 31_800 && name != "sessions-ended" && name != "sessions-part" || n > 120_000 {
				t.Errorf("the page weighs %d bytes; with its assets it must stay under 60,000", n)
			}
			if f := view.frame(); f.SignedIn() {
				f.OnShared = true
				onShared := rendered(t, u, view)
				checkHTML(t, onShared)
				checkSharedTitle(t, onShared)
				if !strings.Contains(onShared, "data-exeunt-strip") {
					t.Error("a page on a shared computer has no strip")
				}
			}
		})
	}
	for name, d := range mailExamples() {
		if _, err := u.Mail("", name, d); err != nil {
			t.Error(err)
		}
	}
	catalogue, err := localeFiles.ReadFile("locales/en.json")
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(catalogue, &keys); err != nil {
		t.Fatal(err)
	}
	for key, text := range keys {
		if !said[key] {
			t.Errorf("catalogue key %q is used by no page", key)
		}
		raw, _ := json.Marshal(text)
		if strings.ContainsAny(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(raw)),
			"<>&") {
			t.Errorf("catalogue key %q has markup: sentences are plain text", key)
		}
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(filepath.Base(file), ".html")
		if base != "layout" && !strings.HasPrefix(base, "part_") && !drawn[base] {
			t.Errorf("page %q is never drawn in tests", base)
		}
	}
}

// checkSharedTitle: titles stay in a browser's history. On a shared computer they are texts of the catalogue without
// anything filled in: no handle, no name, no address, no device, no app.
func checkSharedTitle(t *testing.T, page string) {
	t.Helper()
	_, title, _ := strings.Cut(page, "<title>")
	title, _, _ = strings.Cut(title, " · ")
	catalogue, err := localeFiles.ReadFile("locales/en.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]any
	if err := json.Unmarshal(catalogue, &texts); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if text == html.UnescapeString(title) {
			return
		}
	}
	t.Errorf("the title %q has something filled in", title)
}

// compressed is how long a page is as it is sent.
func compressed(t *testing.T, page string) int {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write([]byte(page))
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Len()
}

// Every word a reader sees comes from the catalogue.
func TestTemplatesHoldNoWords(t *testing.T) {
	files, _ := fs.Glob(templateFiles, "templates/*.html")
	action := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	tag := regexp.MustCompile(`(?s)<[^>]*>`)
	spoken := regexp.MustCompile(`(?:aria-label|title|alt|placeholder)="[^"]*[A-Za-z]`)
	for _, file := range files {
		raw, err := templateFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		markup := action.ReplaceAllString(string(raw), "")
		if found := spoken.FindString(markup); found != "" {
			t.Errorf("%s says %q by itself", file, found)
		}
		text := strings.TrimSpace(tag.ReplaceAllString(markup, ""))
		if found := regexp.MustCompile(`[A-Za-z]+`).FindString(text); found != "" {
			t.Errorf("%s says %q by itself", file, found)
		}
	}
}

func TestSpriteHoldsJustWhatIsUsed(t *testing.T) {
	u := newUI(t)
	used := map[string]bool{"arc": true, "check": true} // by the script
	symbol := regexp.MustCompile(`/assets/sprite\.[0-9a-f]+\.svg#([\w-]+)`)
	for _, view := range states() {
		for _, m := range symbol.FindAllStringSubmatch(rendered(t, u, view), -1) {
			used[m[1]] = true
		}
	}
	sprite, err := distFiles.ReadFile("dist/sprite.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`<symbol id="([\w-]+)"`).FindAllStringSubmatch(string(sprite), -1) {
		if !used[m[1]] {
			t.Errorf("symbol %q is drawn nowhere", m[1])
		}
		delete(used, m[1])
	}
	for name := range used {
		t.Errorf("symbol %q is drawn and does not exist", name)
	}
}

// Whoever holds a dead credential may be a thief: the reason and the time only.
func TestDeadCredentialNamesNothing(t *testing.T) {
	u := newUI(t)
	for _, reason := range []exeunt.Reason{exeunt.ReasonSignedOut, exeunt.ReasonPasswordChange,
		exeunt.ReasonIncomplete} {
		page := rendered(t, u, &EndedView{Frame: out(), Ended: &exeunt.Ended{
			At: testNow, Reason: reason, By: exeunt.ActorPerson, BySession: idFor(3), ByLabel: "Firefox on Linux",
		}})
		for _, private := range []string{"Firefox", "Linux", idFor(3).String(), "@"} {
			if strings.Contains(page, private) {
				t.Errorf("the page for %s names %q", reason, private)
			}
		}
	}
	for name, view := range states() {
		if page := rendered(t, u, view); (strings.HasPrefix(name, "signed-out") && !strings.HasSuffix(name, "-of") || name == "receipt") && strings.Contains(page, "ada") {
			t.Errorf("%s names the account", name)
		}
	}
}

// The seal "Exeunt." stands only where the server has recorded the end.
func TestSealOnlyAfterTheEnd(t *testing.T) {
	u := newUI(t)
	for name, view := range states() {
		v, ok := view.(*SignedOutView)
		want := ok && v.Done != nil
		if got := strings.Contains(rendered(t, u, view), `class="dir">Exeunt.`); got != want {
			t.Errorf("%s: seal is %v, want %v", name, got, want)
		}
	}
}

func TestForeignErrorsAreNotShown(t *testing.T) {
	page := rendered(t, newUI(t), &ErrorView{Frame: out(), Status: 500, Err: errors.New("dial tcp 10.0.0.1: secret")})
	if strings.Contains(page, "10.0.0.1") {
		t.Error("an error that is not for people was shown")
	}
}

// What fails half way must leave nothing behind.
func TestRenderIsAllOrNothing(t *testing.T) {
	u := newUI(t)
	page := template.Must(template.New("layout.html").Parse("<p>half{{.Missing}}"))
	for _, lang := range u.languages {
		lang.pages["home"] = page
	}
	var b bytes.Buffer
	if err := u.Render(&b, &HomeView{Frame: in(NavHome)}); err == nil || b.Len() > 0 {
		t.Errorf("error %v, wrote %q", err, b.String())
	}
}

func TestSignOutWithinThreePresses(t *testing.T) {
	u := newUI(t)
	for name, view := range states() {
		if !view.frame().SignedIn() {
			continue
		}
		page := rendered(t, u, view)
		// By the account menu, by More, and by the drawer: open, "Sign out", confirm.
		if n := strings.Count(page, `<a class="out" href="/signout"`); n < 3 {
			t.Errorf("%s has %d ways to sign out", name, n)
		}
	}
}

// An app that is allowed a scope keeps it, so the question names also what there is nothing to say about yet.
func TestTheQuestionNamesEveryScope(t *testing.T) {
	page := rendered(t, newUI(t), states()["authorize-later"])
	for _, words := range []string{"Your e-mail address, once it is confirmed", "Your groups here, once you are in one"} {
		if !strings.Contains(page, words) {
			t.Errorf("the question does not say %q", words)
		}
	}
}

func TestExpiredRequestsAreNotTriedAgain(t *testing.T) {
	page := rendered(t, newUI(t), &ErrorView{Frame: out(), Status: 400, Err: exeunt.ErrRequestExpired})
	if strings.Contains(page, "try again") || !strings.Contains(page, "Open the app again") {
		t.Error("an expired request asks people to reload its page")
	}
}

func TestGolden(t *testing.T) {
	u := newUI(t)
	hash := regexp.MustCompile(`(/assets/\w+)\.[0-9a-f]{12}`)
	key := regexp.MustCompile(`name="key" value="[A-Z2-7]{26}"`)
	all := states()
	for _, name := range []string{"sessions", "sign-in", "sign-out", "signed-out", "ended-idle", "error",
		"sign-out-apps", "signed-out-told", "end-session", "apps", "help-found", "apps-sites", "sign-out-sites", "signed-out-sites", "end-session-sites", "receipt", "check", "check-in-again"} {
		t.Run(name, func(t *testing.T) {
			page := rendered(t, u, all[name])
			page = key.ReplaceAllString(hash.ReplaceAllString(page, "$1.HASH"), `name="key" value="KEY"`)
			file := filepath.Join("testdata", name+".html")
			if *update {
				if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if page != string(want) {
				t.Errorf("the page differs from %s; look at it, then run with -update", file)
			}
		})
	}
}

var void = strings.Fields("area base br col embed hr img input link meta source track wbr")

var tagShape = regexp.MustCompile(`^<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z:-]+(?:="[^"]*")?)*)\s*(/?)>`)

// checkHTML fails on tags that do not match, on repeated IDs, on references to
// IDs that are not there, and on anything the strict Content-Security-Policy
// would block.
func checkHTML(t *testing.T, page string) {
	t.Helper()
	var open []string
	ids := map[string]bool{}
	attribute := regexp.MustCompile(`([a-zA-Z:-]+)="([^"]*)"`)
	for i := strings.IndexByte(page, '<'); i >= 0; {
		rest := page[i:]
		m := tagShape.FindStringSubmatch(rest)
		switch {
		case strings.HasPrefix(rest, "<!doctype html>"):
		case m == nil:
			t.Fatalf("not a tag: %.80q", rest)
		case m[1] == "/":
			if len(open) == 0 || open[len(open)-1] != m[2] {
				t.Fatalf("</%s> closes %v: %.80q", m[2], open, rest)
			}
			open = open[:len(open)-1]
		case !slices.Contains(void, m[2]) && m[4] == "":
			open = append(open, m[2])
		}
		if m != nil {
			for _, a := range attribute.FindAllStringSubmatch(m[3], -1) {
				if a[1] == "id" && ids[a[2]] {
					t.Errorf("id %q stands twice", a[2])
				}
				if a[1] == "id" {
					ids[a[2]] = true
				}
				if a[1] == "style" || strings.HasPrefix(a[1], "on") {
					t.Errorf("the policy blocks %s", a[0])
				}
			}
		}
		next := strings.IndexByte(page[i+1:], '<')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	if len(open) > 0 {
		t.Errorf("never closed: %v", open)
	}
	checkReferences(t, page, ids)
}

func checkReferences(t *testing.T, page string, ids map[string]bool) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?:for|aria-labelledby|aria-describedby)="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		for _, id := range strings.Fields(m[1]) {
			if !ids[id] && id != "ask-title" { // its dialog is filled by the script
				t.Errorf("%s refers to nothing", m[0])
			}
		}
	}
	if strings.Contains(page, "<script>") || strings.Contains(page, "<style") || strings.Contains(page, "javascript:") {
		t.Error("the policy blocks inline scripts and styles")
	}
}

// Everything that is wrong with a form stands beside its field, at once.
func TestAllProblemsOfAFormAreShown(t *testing.T) {
	page := rendered(t, newUI(t), states()["sign-up-all-wrong"])
	for _, want := range []string{"A handle has 2 to 63 letters", "Use at least 8 characters"} {
		if strings.Count(page, want) != 1 {
			t.Errorf("the page says %q %d times", want, strings.Count(page, want))
		}
	}
	if strings.Contains(page, `role="alert"`) {
		t.Error("they stand above the form, too")
	}
}
