package ui

import (
	"fmt"
	"hash/fnv"
	"html/template"
	"strings"
	"unicode"
)

const avatarPalettes = 6

// avatar shows an account as its picture; or draws it as its initials before a half circle, in a palette chosen by
// the handle. It is decoration: the name is beside it.
func avatar(chip *AccountChip) template.HTML {
	if chip.Picture != "" {
		return template.HTML(`<img class="avatar" src="` + template.HTMLEscapeString(chip.Picture) +
			`" alt="" width="36" height="36">`)
	}
	h := fnv.New32a()
	h.Write([]byte(chip.Handle))
	sum := h.Sum32()
	return template.HTML(fmt.Sprintf(`<svg class="avatar f%d" viewBox="0 0 36 36" aria-hidden="true">`+
		`<path class="back" d="M0 0h36v36H0z"/><circle class="hill" cx="%d" cy="36" r="%d"/>`+
		`<text x="18" y="23" text-anchor="middle">%s</text></svg>`,
		sum%avatarPalettes, 6+sum/7%25, 16+sum/11%7, template.HTMLEscapeString(initials(chip))))
}

// initials are the first letters of the first and last word of the name, or of the
// handle if the name has no letters.
func initials(chip *AccountChip) string {
	words := strings.FieldsFunc(chip.Name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) })
	if len(words) == 0 {
		words = []string{chip.Handle}
	}
	out := firstLetter(words[0])
	if len(words) > 1 {
		out += firstLetter(words[len(words)-1])
	}
	return out
}

func firstLetter(word string) string {
	for _, r := range word {
		return string(unicode.ToUpper(r))
	}
	return ""
}
