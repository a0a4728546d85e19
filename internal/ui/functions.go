package ui

import (
	"crypto/rand"
	"fmt"
	"html/template"
	"net/url"
	"reflect"
	"time"

	"github.com/exeunt/exeunt"
)

// functions are what templates may call, bound to one language.
func functions(w *words, assets *assetSet) template.FuncMap {
	return template.FuncMap{
		"t": w.t, "tn": w.tn, "duration": w.duration, "number": w.number,
		"ago": w.ago, "by": w.by, "on": w.on, "exact": w.exact,
		"activity": w.activity, "activityKinds": func() []string { return ActivityKinds },
		"why": w.why, "whyBriefly": w.whyBriefly, "receiptWhat": w.receiptWhat, "receiptWhy": w.receiptWhy,
		"reach": w.reach, "after": w.after, "may": w.may, "places": w.places, "afterwards": w.afterwards,
		"old":      func(now, at time.Time) bool { return now.Sub(at) >= 7*day },
		"appAfter": func(a AppReach) AppAfter { return AppAfter{AppReach: a} },
		"problem":  w.problem, "problemIn": problemIn, "problemWhole": problemWhole,
		"reviewRow": newReviewRow,
		"row":       newRow, "field": newField, "choice": newChoice, "drawer": newDrawer,
		"link": w.link, "emailNote": (*SettingsView).emailNote, "sharedPage": sharedPage, "errorKey": errorKey,
		"failure": w.failure, "helpFor": helpFor, "steps": w.steps, "examples": w.examples, "counted": counted,
		"code": code, "bdi": bdi, "label": w.label, "at": at, "avatar": avatar, "badge": badgePath, "accent": accent,
		"icon": assets.icon, "asset": assets.path,
		"lang": func() string { return w.tag.String() },
		// languageOffered: the page has a link to the choice. The page of a locked browser, which no server is behind, has not.
		"languageOffered": func(v View) bool { p := v.page(); return p != "locked" && p != "language" },
		"dir":             w.direction,
		// key is a form's idempotency key, so that sending the form twice acts once.
		// Each form has its own: the same key with other content is refused.
		"key":  rand.Text,
		"view": func(v View) string { return v.page() },
	}
}

// code is an address, which is written from left to right in any language.
func code(v any) template.HTML {
	return template.HTML(`<bdi dir="ltr">` + template.HTMLEscapeString(fmt.Sprint(v)) + `</bdi>`)
}

// fieldPart is one labelled input.
type fieldPart struct {
	Name, Type, Value, Autocomplete string
	Label, Note                     string // catalogue keys; Note may be ""
	Err                             error
	Optional                        bool
	Fixed                           bool // shown, but read-only
}

// newField takes pairs of field name and value, because templates have no struct literals.
func newField(pairs ...any) (*fieldPart, error) {
	f := &fieldPart{Type: "text"}
	return f, fill(f, pairs)
}

// choicePart is the choice between the two kinds of device.
type choicePart struct {
	Kind   exeunt.SessionKind // "" chooses nothing
	Policy any
	Err    error
	Kiosk  bool // there is no choice
	// Propose: a shared computer is proposed, first in order and with the reason. Nothing is chosen for anybody.
	Propose bool
	Page    string // where the form for a shared computer is, for readers without script; "" has none
}

func newChoice(pairs ...any) (*choicePart, error) {
	c := &choicePart{}
	return c, fill(c, pairs)
}

// drawerPart is the menu, in its dialog or as a page.
type drawerPart struct {
	F    *Frame
	Back string
}

func newDrawer(v View, back string) drawerPart {
	if back == "" {
		back = "/"
	}
	return drawerPart{v.frame(), back}
}

// link is a link inside a sentence, with its text from the catalogue.
func (w *words) link(address, key string) (template.HTML, error) {
	text, err := w.t(key)
	if err != nil {
		return "", err
	}
	return template.HTML(`<a href="` + template.HTMLEscapeString(address) + `">` + string(text) + `</a>`), nil
}

// sharedPage is the address of the sign-in form that asks the browser to save nothing.
// With script the form changes in place instead.
func sharedPage(back string) string {
	q := url.Values{"shared": {"1"}}
	if back != "" {
		q.Set("return", back)
	}
	return "/signin?" + q.Encode()
}

// errorKey is the catalogue's key for a part of an error page. A status without texts
// of its own has those of its class.
func errorKey(status int, part string) string {
	switch status {
	case 400, 401, 403, 404, 409, 413, 429, 500, 503:
	case 405, 410:
		status = 404
	default:
		if status < 500 {
			status = 400
		} else {
			status = 500
		}
	}
	return fmt.Sprintf("error.%d.%s", status, part)
}

func fill(part any, pairs []any) error {
	v := reflect.ValueOf(part).Elem()
	for i := 0; i+1 < len(pairs); i += 2 {
		f := v.FieldByName(fmt.Sprint(pairs[i]))
		if !f.IsValid() {
			return fmt.Errorf("a %s has no %v", v.Type().Name(), pairs[i])
		}
		if pairs[i+1] != nil {
			f.Set(reflect.ValueOf(pairs[i+1]))
		}
	}
	return nil
}
