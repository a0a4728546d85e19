package ui

import (
	"errors"
	"html/template"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// problem is an error's text for people: the catalogue's for its code, or the error's own English
// text if the catalogue does not have the code. It is empty for errors that are not for people.
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

// failure is a part of an error page: the catalogue's text for the error's code, or else
// for the status.
func (w *words) failure(v *ErrorView, part string) (template.HTML, error) {
	key := "error." + exeunt.CodeOf(v.Err) + "." + part
	if way := key + "_" + v.Way; v.Way != "" && w.has(way) {
		return w.t(way)
	}
	if w.has(key) {
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

// fieldErrors returns the errors about fields of a form, which may come joined.
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
// is shown above the form.
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
