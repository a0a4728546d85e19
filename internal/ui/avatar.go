package ui

import (
	"fmt"
	"hash/fnv"
	"html/template"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// palettes are the colours of avatars: the ground, the half circle on it, and the letters, as in frame.css.
var palettes = [...][3]string{
	{"#c9dfd6", "#b3d1c5", "#14493b"}, {"#e3d5c3", "#d6c2a8", "#5a3820"}, {"#cfd9e6", "#b9c8dc", "#24405f"},
	{"#e0d0dc", "#d2bccc", "#57304b"}, {"#dfe0c2", "#cfd1a6", "#45481a"}, {"#d9d4e8", "#c7bfdd", "#3d3166"},
}

// handleSum is folded, because short handles that differ little have much the same low bits of FNV-1a.
func handleSum(chip *AccountChip) uint32 {
	h := fnv.New32a()
	h.Write([]byte(chip.Handle))
	sum := h.Sum32()
	return sum ^ sum>>16
}

// avatar shows an account as its picture; or draws it as its initials before a half circle, in a palette chosen by
// the handle. It is decoration: the name is beside it.
func avatar(chip *AccountChip) template.HTML {
	if chip.Picture != "" {
		return template.HTML(`<img class="avatar" src="` + template.HTMLEscapeString(chip.Picture) +
			`" alt="" width="36" height="36">`)
	}
	sum := handleSum(chip)
	return template.HTML(fmt.Sprintf(`<svg class="avatar f%d" viewBox="0 0 36 36" aria-hidden="true">`+
		`<path class="back" d="M0 0h36v36H0z"/><circle class="hill" cx="%d" cy="36" r="%d"/>`+
		`<text x="18" y="23" text-anchor="middle">%s</text></svg>`,
		sum%uint32(len(palettes)), 6+sum/7%25, 16+sum/11%7, template.HTMLEscapeString(initials(chip))))
}

// badgePath is where the icon is that marks a tab as one of this account.
func badgePath(chip *AccountChip) string {
	return fmt.Sprintf("/accounts/badge/%d%s.svg", handleSum(chip)%uint32(len(palettes)), url.PathEscape(initials(chip)))
}

// accent is the colour that browsers may give to the frame of a tab of this account.
func accent(chip *AccountChip) string { return palettes[handleSum(chip)%uint32(len(palettes))][1] }

// Badge draws the icon of a badgePath, without what is around the name in that. It returns false for a name that none has.
func Badge(name string) ([]byte, bool) {
	first, size := utf8.DecodeRuneInString(name)
	letters := []rune(name[size:])
	if first < '0' || int(first-'0') >= len(palettes) || len(letters) > 4 {
		return nil, false
	}
	for _, r := range letters {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '_' && r != '-' {
			return nil, false
		}
	}
	c := palettes[first-'0']
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 36"><rect width="36" height="36" rx="8" fill="%s"/>`+
		`<text x="18" y="25" text-anchor="middle" font-family="system-ui,sans-serif" font-weight="700" font-size="19" fill="%s">%s</text></svg>`,
		c[2], c[0], string(letters)), true
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
