package ui

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

// words says things in one language.
type words struct {
	localizer *i18n.Localizer
	tag       language.Tag
	used      func(key string) // set by tests
}

// t gives the catalogue's sentence for a key. Pairs are the names and values
// of its holes; a value is escaped unless it is already template.HTML. A
// missing key or hole is an error, never an empty place in a page.
func (w *words) t(key string, pairs ...any) (template.HTML, error) {
	return w.say(&i18n.LocalizeConfig{MessageID: key}, pairs)
}

// tn gives the sentence in the plural form for n, which fills the hole Count.
func (w *words) tn(key string, n int, pairs ...any) (template.HTML, error) {
	return w.say(&i18n.LocalizeConfig{MessageID: key, PluralCount: n}, append(pairs, "Count", n))
}

func (w *words) say(config *i18n.LocalizeConfig, pairs []any) (template.HTML, error) {
	if w.used != nil {
		w.used(config.MessageID)
	}
	holes := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		holes[fmt.Sprint(pairs[i])] = escaped(pairs[i+1])
	}
	config.TemplateData = holes
	text, err := w.localizer.Localize(config)
	if err != nil {
		return "", err
	}
	if strings.Contains(text, "<no value>") {
		return "", fmt.Errorf("catalogue key %q has a hole that nothing fills: %s", config.MessageID, text)
	}
	return template.HTML(text), nil
}

func escaped(value any) string {
	if html, ok := value.(template.HTML); ok {
		return string(html)
	}
	return template.HTMLEscapeString(fmt.Sprint(value))
}

// has reports whether the catalogue has a key, for sentences chosen by a code.
func (w *words) has(key string) bool {
	_, err := w.localizer.LocalizeMessage(&i18n.Message{ID: key})
	return err == nil
}

// duration says how long something is in its two largest units.
func (w *words) duration(d time.Duration) (template.HTML, error) {
	units := []struct {
		key  string
		size time.Duration
	}{{"duration.days", 24 * time.Hour}, {"duration.hours", time.Hour}, {"duration.minutes", time.Minute}, {"duration.seconds", time.Second}}
	for i, unit := range units {
		n := int(d / unit.size)
		if n == 0 && i < len(units)-1 {
			continue
		}
		first, err := w.tn(unit.key, n)
		if err != nil || i == len(units)-1 {
			return first, err
		}
		next := units[i+1]
		m := int(d % unit.size / next.size)
		if m == 0 {
			return first, nil
		}
		second, err := w.tn(next.key, m)
		if err != nil {
			return "", err
		}
		return w.t("duration.both", "First", first, "Second", second)
	}
	return "", nil
}
