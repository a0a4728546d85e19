package ui

import (
	"errors"
	"html/template"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// problem says what went wrong, if the error is one for people: in the
// catalogue's words for its code, or in its own English ones when the code is
// newer than the catalogue. Of any other error it says nothing.
func (w *words) problem(err error) (template.HTML, error) {
	if err == nil {
		return "", nil
	}
	code := exeunt.CodeOf(err)
	if code == "" {
		return "", nil
	}
	var throttled *exeunt.ThrottledError
	if errors.As(err, &throttled) {
		wait, err := w.duration(atLeast(max(throttled.RetryAfter, time.Second)))
		if err != nil {
			return "", err
		}
		return w.t("problem.throttled", "Wait", wait)
	}
	var field *exeunt.FieldError
	if errors.As(err, &field) {
		if key := "problem." + field.Field + "." + field.Code; w.has(key) {
			return w.t(key)
		}
	}
	if key := "problem." + code; w.has(key) {
		return w.t(key)
	}
	return template.HTML(template.HTMLEscapeString(wordsOf(err))), nil
}

func wordsOf(err error) string {
	var own *exeunt.Error
	if errors.As(err, &own) {
		return own.Message
	}
	var field *exeunt.FieldError
	if errors.As(err, &field) {
		return field.Err.Message
	}
	return ""
}

// problemIn reports whether the error concerns that field of the form.
func problemIn(err error, name string) bool {
	var field *exeunt.FieldError
	return errors.As(err, &field) && field.Field == name
}

// problemWhole reports whether the error concerns no field among names, and so
// stands above the form.
func problemWhole(err error, names string) bool {
	var field *exeunt.FieldError
	if err == nil {
		return false
	}
	if !errors.As(err, &field) {
		return true
	}
	for _, name := range strings.Fields(names) {
		if field.Field == name {
			return false
		}
	}
	return true
}
