package password

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/exeunt/exeunt"
)

const (
	goodPassword  = "quietly polish the brass lantern"
	otherPassword = "seven harbours under a paper moon"
)

func TestStrengthIsExplained(t *testing.T) {
	for password, want := range map[string]string{
		"":                            "too_short",
		"1234567":                     "too_short",
		"пароль7":                     "too_short", // counted in characters
		"正確馬電池釘書":                     "too_short",
		strings.Repeat("k3#", 86):     "too_long",
		strings.Repeat("é", MaxLen+1): "too_long",
		"password":                    "common",
		"password123":                 "common",
		"Tr0ub4dour&3":                "weak_common",
		"ｐａｓｓｗｏｒｄ１２３":                 "common", // hashed like its plain form, so judged like it
		"pässwörd":                    "weak_common",
		"ada lovelace":                "weak_personal",
		"Lovelace1815":                "weak_personal",
		"countess99":                  "weak_personal",
		"zxcvbnm,./":                  "weak_keyboard",
		"aaaaaaaaaaaa":                "weak_repeat",
		"ааааааааааааа":               "weak_repeat", // Cyrillic
		"🦊🦊🦊🦊🦊🦊🦊🦊🦊🦊": "weak_repeat",
		"abcdefghijkl": "weak_sequence",
		"αβγδεζηθικλ":  "weak_sequence",
		"13.05.1987":   "weak_date", "13051987": "weak_date", "5/13/1987": "weak_date", "05 13 87": "weak_date", "19870513": "weak_date",
		"12345678":                     "common",
		"1987-05-13":                   "weak_date",
		"correct horse battery staple": "",
		goodPassword:                   "",
		otherPassword:                  "",
		"правильная лошадь батарейка скрепка": "",
		"ЙцфРгщзхъЖб":                                    "",
		"正確馬電池釘書針針":                                      "",
		"🦊🐼🐸🦁🐯🐨🐮🐷🐙":                                      "",
		"J7$kq!x9Zp":                                     "",
		strings.Repeat("quietly polish the lantern ", 9): "",
		strings.Repeat("é", 200) + goodPassword:          "weak_repeat", // only its head is judged
	} {
		err := Judge(password, "ada", "Ada Lovelace", "countess@example.com")
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", password, err)
			}
			continue
		}
		var f *exeunt.FieldError
		if !errors.As(err, &f) || f.Field != "password" || f.Code != want {
			t.Errorf("%q: %v (%s), want %s", password, err, exeunt.CodeOf(err), want)
		} else if !strings.HasSuffix(f.Error(), ".") || len(password) > 8 && strings.Contains(f.Error(), password) {
			t.Errorf("%q: it says %q", password, f.Error())
		}
	}
}

// The worst a stranger can send must not keep a processor busy: the library's
// own matcher for disguised letters takes ten seconds for this.
func TestJudgingIsQuick(t *testing.T) {
	start := time.Now()
	for _, signs := range []string{"4@8({[<369&#!1|0$5+7%2", "1|!7", "0123456789", "q1w2e3r4t5", "p@ssw0rd!1|$5"} {
		Judge(strings.Repeat(signs, 80)[:MaxLen], signs)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
}

func FuzzJudge(f *testing.F) {
	for _, p := range []string{"", "password", goodPassword, "ﷺﷺﷺﷺﷺﷺﷺﷺ", "\xff\xfe\xfd12345678", strings.Repeat("a", 300), "13.05.1987", "\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301", "𝓅𝒶𝓈𝓈𝓌ℴ𝓇𝒹"} {
		f.Add(p, "ada")
	}
	f.Fuzz(func(t *testing.T, password, about string) {
		err := Judge(password, about)
		var field *exeunt.FieldError
		if err != nil && (!errors.As(err, &field) || field.Field != "password" || field.Code == "" || field.Err.Message == "") {
			t.Fatalf("%q: %#v", password, err)
		}
		if n := utf8.RuneCountInString(password); err == nil && (n < MinLen || n > MaxLen || !utf8.ValidString(password)) {
			t.Fatalf("%q was accepted", password)
		}
		if h := head(password); len(h) > maxJudged || strings.Trim(h, printable) != "" {
			t.Fatalf("%q is judged as %q", password, h)
		}
		if a, b := normal(password), normal(normal(password)); a != b {
			t.Fatalf("%q has two normal forms", password)
		}
	})
}

var printable = func() (s string) {
	for r := ' '; r <= '~'; r++ {
		s += string(r)
	}
	return s
}()
