package password

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go"
	"github.com/ccojocar/zxcvbn-go/match"
	"github.com/ccojocar/zxcvbn-go/matching"
	"github.com/ccojocar/zxcvbn-go/scoring"
	"golang.org/x/text/unicode/norm"

	"github.com/exeunt/exeunt"
)

// Limits of a password, in characters (OWASP ASVS 5.0, 6.2.1 and 6.2.9). There
// are no rules of composition: they make passwords worse.
const (
	MinLen = 8
	MaxLen = 256
)

// minScore is the lowest zxcvbn score of a good password: 3 is "safely unguessable"
// with a slow hash.
const minScore = 3

// maxJudged is how many bytes of a password are judged. The time that zxcvbn takes
// grows with the square of the length, and more only makes a password stronger.
const maxJudged = 72

// normal returns the form in which a password is hashed, which is the same on all
// keyboards (NIST SP 800-63B-4, 3.1.1.2).
func normal(password string) string { return norm.NFKC.String(password) }

func passwordError(code, message string) error {
	return &exeunt.FieldError{Field: "password", Code: code, Err: &exeunt.Error{Code: code, Message: message}}
}

// Judge returns a FieldError that says why a new password is too weak, or nil. about
// is what others know of the person.
func Judge(password string, about ...string) error {
	if !utf8.ValidString(password) {
		return passwordError("too_short", "This password contains bytes that are not valid text.")
	}
	switch n := utf8.RuneCountInString(password); {
	case n < MinLen:
		return passwordError("too_short", "This password is shorter than 8 characters.")
	case n > MaxLen:
		return passwordError("too_long", "This password is longer than 256 characters.")
	}
	if Common(password) {
		return passwordError("common", "This password is on lists of common and leaked passwords, which are tried first. "+
			"Use several unrelated words.")
	}
	if dateShape.MatchString(head(password)) {
		return passwordError(weakDate())
	}
	personal := []string{"exeunt"}
	separator := func(r rune) bool { return strings.ContainsRune(" @.+-_", r) }
	for _, a := range about {
		personal = append(personal, strings.FieldsFunc(strings.ToLower(a), separator)...)
	}
	r := strength(head(password), personal)
	if r.Score >= minScore {
		return nil
	}
	code, why := weakness(r.MatchSequence)
	return passwordError(code, why)
}

// dateShape matches a password that is only a date. zxcvbn misses most of them: it
// finds words, keys and sequences in their digits.
var dateShape = regexp.MustCompile(`^(?:(?:19|20)\d\d[-/. _]?[01]?\d[-/. _]?[0-3]?\d` +
	`|[0-3]?\d[-/. _]?[0-3]?\d[-/. _]?(?:19|20)?\d\d)$`)

func weakDate() (code, message string) {
	return "weak_date", "This password is built around a date, and there are few of them. Use several unrelated words."
}

// disguises replace digits and signs with the letters that they stand for. Some stand
// for two letters, and are read both ways.
var disguises = []*strings.Replacer{
	strings.NewReplacer("4", "a", "@", "a", "8", "b", "(", "c", "3", "e", "6", "g", "9", "g",
		"1", "i", "!", "i", "|", "i", "0", "o", "5", "s", "$", "s", "7", "t", "+", "t"),
	strings.NewReplacer("4", "a", "@", "a", "8", "b", "(", "c", "3", "e", "6", "g", "9", "g",
		"1", "l", "!", "l", "|", "l", "0", "o", "5", "s", "$", "s", "7", "l", "+", "t"),
}

// strength returns the weakest reading of a password, as it is and with its disguised
// letters replaced. zxcvbn's own matcher for disguises is left out: it tries every
// combination, which takes seconds for a password made of such signs, and anybody may
// sign up.
func strength(head string, personal []string) scoring.MinEntropyMatch {
	worst := zxcvbn.PasswordStrength(head, personal, matching.FilterL33tMatcher)
	for _, d := range disguises {
		plain := d.Replace(head)
		if plain == head {
			continue
		}
		if r := zxcvbn.PasswordStrength(plain, personal, matching.FilterL33tMatcher); r.Entropy < worst.Entropy {
			worst = r
		}
	}
	return worst
}

// head returns the part that is judged, in Latin letters: zxcvbn counts bytes, and
// its words and keyboards are Latin. Accents are dropped, and other shapes of Latin
// letters become plain ones, as in hashing. Letters of other scripts become Latin
// ones so that repeats stay repeats and neighbours in the alphabet stay neighbours.
func head(password string) string {
	latin := strings.Map(func(r rune) rune {
		switch {
		case r >= ' ' && r <= '~':
			return r
		case unicode.Is(unicode.Mn, r):
			return -1
		}
		return 'a' + r%26
	}, norm.NFKD.String(password))
	return latin[:min(len(latin), maxJudged)]
}

// weakness says what makes the longest part of the password easy to guess.
func weakness(found []match.Match) (code, message string) {
	longest := match.Match{}
	for _, m := range found {
		if m.Pattern != "bruteforce" && len(m.Token) > len(longest.Token) {
			longest = m
		}
	}
	switch longest.Pattern {
	case "dictionary":
		if longest.DictionaryName == "user_inputs" {
			return "weak_personal", "This password is built around your own name, handle or e-mail address, " +
				"which is the first thing a guesser tries. Use several unrelated words."
		}
		return "weak_common", "This password is built around a word or password that is on every guesser's list. " +
			"Use several unrelated words."
	case "spatial":
		return "weak_keyboard", "This password follows keys that lie next to one another. Use several unrelated words."
	case "repeat":
		return "weak_repeat", "This password repeats the same characters. Use several unrelated words."
	case "sequence":
		return "weak_sequence", "This password follows a sequence like abcd or 1234. Use several unrelated words."
	case "date":
		return weakDate()
	}
	return "weak_short", "This password could be guessed too quickly. A few more unrelated words make it strong."
}
