package ui

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// words holds the texts of one language.
type words struct {
	localizer *i18n.Localizer
	tag       language.Tag
	name      string           // of the language, in itself
	used      func(key string) // set by tests
}

// t returns the catalogue's text for a key. Pairs are the names and values of its
// placeholders; a value is escaped unless it is template.HTML. A missing key or value is
// an error, never a gap in a page.
func (w *words) t(key string, pairs ...any) (template.HTML, error) {
	return w.say(&i18n.LocalizeConfig{MessageID: key}, pairs)
}

// tn returns the text in the plural form for n, which is the placeholder Count.
func (w *words) tn(key string, n int, pairs ...any) (template.HTML, error) {
	return w.say(&i18n.LocalizeConfig{MessageID: key, PluralCount: n}, append(pairs, "Count", template.HTML(w.number(n))))
}

// number groups the digits of a large number.
func (w *words) number(n int) string { return message.NewPrinter(formats(w.tag)).Sprint(n) }

func (w *words) say(config *i18n.LocalizeConfig, pairs []any) (template.HTML, error) {
	if w.used != nil {
		w.used(config.MessageID)
	}
	values := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values[fmt.Sprint(pairs[i])] = escaped(w.apart(pairs[i+1]))
	}
	config.TemplateData = values
	text, err := w.localizer.Localize(config)
	if err != nil {
		return "", err
	}
	if strings.Contains(text, "<no value>") {
		return "", fmt.Errorf("catalogue key %q has a placeholder without a value: %s", config.MessageID, text)
	}
	return template.HTML(text), nil
}

func escaped(value any) string {
	if html, ok := value.(template.HTML); ok {
		return string(html)
	}
	return template.HTMLEscapeString(fmt.Sprint(value))
}

// has reports whether the catalogue has a key, for texts that depend on a code.
func (w *words) has(key string) bool {
	_, err := w.localizer.LocalizeMessage(&i18n.Message{ID: key})
	return err == nil
}

// duration writes a duration in its two largest units.
func (w *words) duration(d time.Duration) (template.HTML, error) {
	units := []struct {
		key  string
		size time.Duration
	}{
		{"duration.days", day}, {"duration.hours", time.Hour},
		{"duration.minutes", time.Minute}, {"duration.seconds", time.Second},
	}
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
