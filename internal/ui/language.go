package ui

import (
	"fmt"
	"html/template"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// Languages. A language is one file, locales/TAG.json: there is no other list. It is offered by the name that its key
// "language.name" has, and pages and mails exist in it at once. English is the fallback. To add one:
//
//  1. Copy locales/en.json to locales/TAG.json, where TAG is a BCP 47 tag without region, as "nl".
//  2. Translate the values. Keys and placeholders, as {{.Handle}}, stay as they are. A text that depends on a number is an
//     object with the plural forms of the language (CLDR): Dutch has "one" and "other", Japanese only "other", Arabic
//     "zero", "one", "two", "few", "many" and "other".
//  3. Run go test ./internal/ui -run Catalogue. It names keys that are missing or superfluous, placeholders that differ,
//     plural forms that are missing, and markup, which no text has.
//
// A language that is written from right to left is also added to direction, below.

// Language is one that pages and mails exist in.
type Language struct {
	Tag  string // as "de"
	Name string // in the language itself
	Dir  string // "ltr" or "rtl"
}

// Languages are all of them, English first.
func (u *UI) Languages() []Language {
	list := make([]Language, len(u.tags))
	for i, tag := range u.tags {
		w := u.languages[tag].words
		list[i] = Language{Tag: tag.String(), Name: w.name, Dir: w.direction()}
	}
	return list
}

// Tags are the tags of all languages.
func (u *UI) Tags() []string {
	list := make([]string, len(u.tags))
	for i, tag := range u.tags {
		list[i] = tag.String()
	}
	return list
}

// Has reports whether tag is the tag of a language, exactly.
func (u *UI) Has(tag string) bool {
	return slices.Contains(u.Tags(), tag)
}

// Language returns the tag of the language for somebody who wants these, as Accept-Language headers, the most important
// first. A header that asks for none that is known is passed over; in the end it is English.
func (u *UI) Language(wanted ...string) string { return u.language(wanted...).words.tag.String() }

func (u *UI) language(wanted ...string) *languagePages {
	for _, header := range wanted {
		if len(header) > maxWanted {
			continue
		}
		list, _, err := language.ParseAcceptLanguage(header)
		if err != nil || len(list) == 0 {
			continue
		}
		if _, i, sure := u.matcher.Match(list...); sure > language.No {
			return u.languages[u.tags[i]]
		}
	}
	return u.languages[u.tags[0]]
}

// LanguageOf is the tag of the language that a view is rendered in.
func (u *UI) LanguageOf(v View) string { return u.Language(v.frame().Lang) }

// maxWanted bounds a header: browsers send less than 100 bytes.
const maxWanted = 1000

// direction is how the language is written.
func (w *words) direction() string {
	switch base, _ := w.tag.Base(); base.String() {
	case "ar", "he", "fa", "ur":
		return "rtl"
	}
	return "ltr"
}

// formats is the language by whose rules numbers are written. Digits are the same everywhere, because they stand beside
// codes, addresses and times, whose digits are.
func formats(tag language.Tag) language.Tag {
	with, err := tag.SetTypeForKey("nu", "latn")
	if err != nil {
		return tag
	}
	return with
}

// list writes names one after the other.
func (w *words) list(names []template.HTML) (template.HTML, error) {
	comma, err := w.t("list.comma")
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return template.HTML(strings.Join(texts, string(comma))), err
}

// Isolates keep text of its own direction apart from what is around it (Unicode Standard Annex 9 section 2.4.2), where
// there can be no element for that: in attributes, titles and mails.
const (
	isolate    = "\u2068"
	isolateEnd = "\u2069"
)

// apart isolates text that people or computers wrote in a sentence that is written from right to left. Without that
// "@ada" is read as "ada@" there.
func (w *words) apart(value any) any {
	text, plain := value.(string)
	if !plain || text == "" || w.direction() == "ltr" || strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://") {
		return value
	}
	return isolate + text + isolateEnd
}

// onSystem is a label that we have given to a browser. What apps call themselves looks so by chance at most.
var onSystem = regexp.MustCompile(`^(.+) on (Android|Chrome ?OS|FreeBSD|iOS|iPadOS|Linux|macOS|OpenBSD|Windows)$`)

// called is what a browser is called. Labels are stored in English, as "Firefox on Linux".
func (w *words) called(label string) string {
	m := onSystem.FindStringSubmatch(label)
	switch {
	case m == nil || w.tag == language.English:
		return label
	case m[1] == "A browser":
		return m[2]
	}
	return m[1] + " (" + m[2] + ")"
}

// label is called, in its element.
func (w *words) label(label string) template.HTML { return bdi(w.called(label)) }

// named reads the language's own name.
func (w *words) named() (err error) {
	name, err := w.t("language.name")
	if err != nil {
		return fmt.Errorf("catalogue %s: %w", w.tag, err)
	}
	w.name = string(name)
	return nil
}
