// Package names owns the one spelling of what identifies somebody: handles, e-mail addresses, and whatever is typed
// for one of them. Two texts that people take for the same have the same key.
//
// It decides nothing else: which handles and addresses are valid is for account to say. Passwords never come here.
package names

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Pasted returns a text without what people paste along with it: white space around it, and characters that nobody
// sees, such as zero widths, byte order marks and signs of direction.
func Pasted(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsControl(r) && Invisible(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

// Link returns the token of a link without what mail programs and people put into it: white space anywhere, and
// characters that nobody sees.
func Link(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || Invisible(r) {
			return -1
		}
		return r
	}, s)
}

// Key is the form in which identifiers are compared, stored for look-ups, and counted: NFKC in lower case, and the
// domain of an address in ASCII (IDNA, UTS 46). Domains are case-insensitive; local parts are in practice.
func Key(s string) string {
	s = fold(Pasted(s))
	at := strings.LastIndexByte(s, '@')
	if at <= 0 {
		return s
	}
	return s[:at+1] + domain(s[at+1:])
}

// ValidDomain reports whether the domain of an address is one that has a form in ASCII.
func ValidDomain(email string) bool {
	at := strings.LastIndexByte(email, '@')
	name, err := profile.ToASCII(fold(email[at+1:]))
	return err == nil && name != ""
}

// fold also has a second round, because a lower-case letter may be composed anew.
func fold(s string) string { return norm.NFKC.String(strings.ToLower(norm.NFKC.String(s))) }

// domain leaves a name alone that has no form in ASCII: no valid address has one.
func domain(name string) string {
	if ascii, err := profile.ToASCII(name); err == nil {
		return ascii
	}
	return name
}

var profile = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule())

// Invisible reports whether a character is not shown, or changes how others are shown: controls, directions, zero
// widths and fillers. White space other than the space counts too.
func Invisible(r rune) bool {
	return r == blankBraille || !unicode.IsPrint(r) && !unicode.IsSpace(r) || unicode.IsControl(r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

const blankBraille = '\u2800' // a pattern of no dots

// Display returns a name as it is shown: without characters that nobody sees, which would make two names of one, or
// change how the text around is read. Joiners stay where they are a part of the writing: between letters of scripts
// that need them, and between the pictures that make up one.
func Display(s string) string {
	in := []rune(strings.ToValidUTF8(s, ""))
	in = slices.DeleteFunc(in, func(r rune) bool { return !joiner(r) && !unicode.IsControl(r) && Invisible(r) })
	var out strings.Builder
	for i, r := range in {
		if joiner(r) && (i == 0 || i == len(in)-1 || !joins(in[i-1], r, in[i+1])) {
			continue
		}
		out.WriteRune(r)
	}
	return strings.TrimSpace(out.String())
}

func joiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

func joins(before, r, after rune) bool {
	return joinedLetter(before) && joinedLetter(after) || r == '\u200d' && picture(before) && picture(after)
}

// joinedLetter reports a letter of a script in which joiners may change what a word means or how it is written.
func joinedLetter(r rune) bool {
	return unicode.In(r, unicode.L, unicode.Mn, unicode.Mc) && !unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic,
		unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana, unicode.Common, unicode.Inherited)
}

func picture(r rune) bool { return unicode.In(r, unicode.So, unicode.Sk) }

// Shows reports whether a reader sees anything of the text.
func Shows(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsSpace(r) && !Invisible(r) && !unicode.In(r, unicode.Mn, unicode.Me)
	})
}
