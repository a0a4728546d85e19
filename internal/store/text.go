package store

import (
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// plain replaces invalid text in the arguments of a statement. PostgreSQL refuses a NUL and bytes that are not
// UTF-8, which would fail the transaction that others share; SQLite accepts them. A look-up by such a text finds
// nothing.
func plain(args []any) []any {
	own := false
	for i, a := range args {
		if a == nil || reflect.TypeOf(a).Kind() != reflect.String {
			continue
		}
		s := reflect.ValueOf(a).String()
		p := plainText(s)
		if p == s {
			continue
		}
		if !own {
			args, own = slices.Clone(args), true
		}
		args[i] = p
	}
	return args
}

func plainText(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
