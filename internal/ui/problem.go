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
		return w.t("problem."+code, "Wait", wait)
	}
	if field := fieldError(err); field != nil {
		if key := "problem." + field.Field + "." + field.Code; w.has(key) {
			return w.t(key)
		}
	}
	if key := "problem." + code; w.has(key) {
		return w.t(key)
	}
	return template.HTML(template.HTMLEscapeString(wordsOf(err))), nil
}

// failure gives a part of an error page: in words for the very error where the
// catalogue has some, otherwise in those for its status.
func (w *words) failure(v *ErrorView, part string) (template.HTML, error) {
	if key := "error." + exeunt.CodeOf(v.Err) + "." + part; w.has(key) {
		return w.t(key)
	}
	return w.t(errorKey(v.Status, part))
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

// fieldErrors returns what is wrong with the fields of a form; several come
// joined.
func fieldErrors(err error) (out []*exeunt.FieldError) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			out = append(out, fieldErrors(one)...)
		}
		return out
	}
	if field := fieldError(err); field != nil {
		out = append(out, field)
	}
	return out
}

func fieldError(err error) *exeunt.FieldError {
	var field *exeunt.FieldError
	if errors.As(err, &field) {
		return field
	}
	return nil
}

// problemIn returns the error that concerns that field of the form, or nil.
func problemIn(err error, name string) error {
	for _, field := range fieldErrors(err) {
		if field.Field == name {
			return field
		}
	}
	return nil
}

// problemWhole reports whether the error concerns no field among names, and so
// stands above the form.
func problemWhole(err error, names string) bool {
	if err == nil {
		return false
	}
	for _, name := range strings.Fields(names) {
		if problemIn(err, name) != nil {
			return false
		}
	}
	return true
}
