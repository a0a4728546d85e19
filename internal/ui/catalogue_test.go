package ui

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// text is a value of a catalogue: by plural form, or under "" if it has none.
type text map[string]string

func (t *text) UnmarshalJSON(raw []byte) error {
	var plain string
	if err := json.Unmarshal(raw, &plain); err == nil {
		*t = text{"": plain}
		return nil
	}
	return json.Unmarshal(raw, (*map[string]string)(t))
}

// catalogues are all files, by language.
func catalogues(t *testing.T) map[string]map[string]text {
	t.Helper()
	files, err := fs.Glob(localeFiles, "locales/*.json")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]text{}
	for _, file := range files {
		raw, err := localeFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]text{}
		if err := json.Unmarshal(raw, &keys); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		checkOnce(t, file, raw)
		out[strings.TrimSuffix(path.Base(file), ".json")] = keys
	}
	return out
}

// checkOnce: of a key that stands twice, the decoder silently drops one.
func checkOnce(t *testing.T, file string, raw []byte) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\s*"([a-z0-9_]+(?:\.[a-z0-9_]+)+)":`).FindAllStringSubmatch(string(raw), -1) {
		if seen[m[1]] {
			t.Errorf("%s: %q stands twice", file, m[1])
		}
		seen[m[1]] = true
	}
}

var placeholder = regexp.MustCompile(`\{\{\.(\w+)\}\}`)

// placeholders of a text, once each, sorted.
func placeholders(s string) (out []string) {
	for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Every catalogue has what the English one has: the same keys, and for each the same placeholders. How often and in which
// order is the language's affair, and so is whether a form for few things has their number.
func TestCataloguesAreComplete(t *testing.T) {
	all := catalogues(t)
	english := all["en"]
	for lang, keys := range all {
		for key, want := range english {
			got, ok := keys[key]
			if !ok {
				t.Errorf("%s: %q is missing", lang, key)
				continue
			}
			if _, plural := want["other"]; plural == (len(got[""]) > 0) {
				t.Errorf("%s: %q must %shave plural forms", lang, key, map[bool]string{false: "not "}[plural])
				continue
			}
			for form, s := range got {
				checkText(t, lang, key, form, s, want)
			}
		}
		for key := range keys {
			if _, ok := english[key]; !ok {
				t.Errorf("%s: %q is not in the English catalogue", lang, key)
			}
		}
	}
}

func checkText(t *testing.T, lang, key, form, s string, english text) {
	t.Helper()
	of := fmt.Sprintf("%s: %q", lang, key)
	if form != "" {
		of += " (" + form + ")"
	}
	if strings.ContainsAny(s, "<>&") {
		t.Errorf("%s has markup: sentences are plain text", of)
	}
	if bare := placeholder.ReplaceAllString(s, ""); strings.ContainsAny(bare, "{}") {
		t.Errorf("%s has a brace that is part of no placeholder", of)
	}
	if key != "list.comma" && s != strings.TrimSpace(s) || s == "" {
		t.Errorf("%s is empty, or begins or ends with a space", of)
	}
	like, ok := english[form]
	if !ok {
		like = english["other"]
	}
	got, want := placeholders(s), placeholders(like)
	if form == "zero" || form == "one" || form == "two" {
		isCount := func(p string) bool { return p == "Count" }
		got, want = slices.DeleteFunc(got, isCount), slices.DeleteFunc(want, isCount)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s has the placeholders %v, want %v", of, got, want)
	}
}

// Whatever the number, there is a text, and no form is never used.
func TestCataloguesHaveThePluralForms(t *testing.T) {
	u := newUI(t)
	numbers := []int{1_000_000, 2_000_000, 1_234_567}
	for n := range 213 {
		numbers = append(numbers, n)
	}
	for lang, keys := range catalogues(t) {
		w := u.language(lang).words
		for key, forms := range keys {
			if forms["other"] == "" {
				continue
			}
			var pairs []any
			for form := range forms {
				for _, name := range placeholders(forms[form]) {
					pairs = append(pairs, name, "x")
				}
			}
			used := map[string]bool{}
			for _, n := range numbers {
				got, err := w.tn(key, n, pairs...)
				if err != nil {
					t.Errorf("%s: %q for %d: %v", lang, key, n, err)
					break
				}
				used[string(got)] = true
			}
			if distinct := distinctTexts(forms); len(used) < distinct {
				t.Errorf("%s: %q has a plural form that the language does not: %v", lang, key, forms)
			}
		}
	}
}

func distinctTexts(forms text) int {
	var list []string
	for _, s := range forms {
		list = append(list, s)
	}
	slices.Sort(list)
	return len(slices.Compact(list))
}

// Texts that are lists, or that the page's script fills in.
func TestCataloguesSpecialTexts(t *testing.T) {
	u := newUI(t)
	for lang := range catalogues(t) {
		w := u.language(lang).words
		examples, err := w.examples()
		if err != nil || len(examples) < 3 {
			t.Errorf("%s: the examples of a search are %q (%v), separated by a comma and a space", lang, examples, err)
		}
		for _, example := range examples {
			f := out()
			f.Lang = lang
			if _, found := helped(t, u, HelpView{Frame: f, Search: example}); len(found) == 0 {
				t.Errorf("%s: the example %q finds nothing in help", lang, example)
			}
		}
		if got := w.tag.String(); got != lang {
			t.Errorf("the catalogue %s is of the language %s", lang, got)
		}
	}
}

// Every page and mail can be rendered in every language.
func TestCataloguesRenderEveryPage(t *testing.T) {
	u := newUI(t)
	code := regexp.MustCompile(`<code.*?</code>|value="[^"]*"`)
	for _, lang := range u.Tags()[1:] {
		for name, view := range states() {
			view.frame().Lang = lang
			page := rendered(t, u, view)
			if t.Failed() {
				t.Fatalf("%s in %s", name, lang)
			}
			checkHTML(t, page)
			for _, m := range code.FindAllString(page, -1) {
				if strings.Contains(m, isolate) {
					t.Errorf("%s in %s: whoever copies %s gets more than they see", name, lang, m)
				}
			}
			if !strings.Contains(page, fmt.Sprintf(`<html lang="%s" dir="%s"`, lang, u.language(lang).words.direction())) {
				t.Errorf("%s in %s does not say its language", name, lang)
			}
		}
		for name, d := range mailExamples() {
			if _, err := u.Mail(lang, name, d); err != nil {
				t.Errorf("%s in %s: %v", name, lang, err)
			}
		}
	}
}
