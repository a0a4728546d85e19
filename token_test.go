package exeunt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strings"
	"testing"
)

func TestTokensAreDistinctAndReadBack(t *testing.T) {
	seen := map[string]bool{}
	for _, use := range []TokenUse{UseSession, UseApp, UseCode, UseInvite, UseClient} {
		for range 200 {
			tok := NewToken(use)
			text := tok.Reveal()
			if seen[text] {
				t.Fatalf("the same token twice: %s", text)
			}
			seen[text] = true
			back, err := ParseToken(text)
			if err != nil || back != tok || back.Use() != use || back.Hash() != tok.Hash() {
				t.Fatalf("ParseToken(%q) = %v, %v", text, back, err)
			}
		}
	}
}

// Every digit of the random part must be able to take every value; a modulo bias or a short alphabet would show
// here.
func TestTokensUseTheWholeAlphabetEvenly(t *testing.T) {
	const draws = 4000
	var count [256]int
	for range draws {
		for _, b := range []byte(NewToken(UseSession).Reveal()[tokenPrefixLen : tokenPrefixLen+tokenRandomLen]) {
			count[b]++
		}
	}
	expected := float64(draws*tokenRandomLen) / float64(len(base62))
	chi := 0.0
	for i := range len(base62) {
		d := float64(count[base62[i]]) - expected
		chi += d * d / expected
	}
	// 61 degrees of freedom: 150 is exceeded once in about 10^9 runs.
	if chi > 150 {
		t.Errorf("digits are unevenly spread: chi-squared is %.0f", chi)
	}
}

func TestParseTokenRefuses(t *testing.T) {
	good := NewToken(UseSession).Reveal()
	flip := func(i int) string {
		b := []byte(good)
		if b[i] = 'a'; good[i] == 'a' {
			b[i] = 'b'
		}
		return string(b)
	}
	bad := map[string]string{
		"empty": "", "prefix alone": "exs_", "cut": good[:len(good)-1], "longer": good + "0",
		"space before": " " + good, "newline after": good + "\n",
		"other prefix": "exz_" + good[4:], "upper prefix": "EXS_" + good[4:],
		"another use with this sum": "exa_" + good[4:],
		"one digit changed":         flip(20),
		"sum changed":               flip(tokenLen - 1), "alphabet": good[:10] + "-" + good[11:],
		"nul":                      good[:10] + "\x00" + good[11:],
		"junk of the right length": strings.Repeat("x", tokenLen), "4 kB": strings.Repeat("A", 4096),
	}
	for name, text := range bad {
		if tok, err := ParseToken(text); err != ErrMalformedToken || !tok.IsZero() {
			t.Errorf("%s: got %v, %v", name, tok, err)
		}
	}
}

func TestTokensPrintMasked(t *testing.T) {
	tok := NewToken(UseSession)
	secret := tok.Reveal()[tokenPrefixLen:]
	type holder struct {
		Token   Token
		Pointer *Token
	}
	h := holder{tok, &tok}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("a token", "token", tok, "pointer", &tok, "holder", h)
	}
	asJSON, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{log.String(), string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		printed = append(printed, fmt.Sprintf(verb, tok), fmt.Sprintf(verb, &tok), fmt.Sprintf(verb, h),
			fmt.Sprintf(verb, []Token{tok}), fmt.Sprintf(verb, map[string]Token{"t": tok}))
	}
	for _, p := range printed {
		if strings.Contains(p, secret) || strings.Contains(p, secret[:12]) ||
			strings.Contains(p, fmt.Sprintf("%x", secret)) {
			t.Errorf("the secret shows in %s", p)
		}
	}
	if got := tok.String(); got != "exs_…" {
		t.Errorf("String is %q", got)
	}
	if z := (Token{}); z.String() != "" || z.Use() != "" || !z.IsZero() {
		t.Errorf("the zero token is %#v", z)
	}
}

func TestTokensAllocateNothing(t *testing.T) {
	text := NewToken(UseApp).Reveal()
	tok, _ := ParseToken(text)
	if n := testing.AllocsPerRun(200, func() {
		if _, err := ParseToken(text); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("ParseToken allocates %v times", n)
	}
	var h TokenHash
	if n := testing.AllocsPerRun(200, func() { h = tok.Hash() }); n != 0 {
		t.Errorf("Hash allocates %v times", n)
	}
	_ = h
}

// Tokens outlive programs: their checksum must stay the CRC-32 it has always been.
func TestTokenSumIsCRC32(t *testing.T) {
	body := NewToken(UseSession).Reveal()[:tokenPrefixLen+tokenRandomLen]
	sum := tokenSum(body)
	n := uint32(0)
	for _, b := range sum {
		n = n*62 + uint32(strings.IndexByte(base62, b))
	}
	if want := crc32.ChecksumIEEE([]byte(body)); n != want {
		t.Errorf("the sum of %s is %d, not %d", body, n, want)
	}
}

func FuzzParseToken(f *testing.F) {
	good := NewToken(UseSession).Reveal()
	for _, s := range []string{"", "exs_", good, good[:52], strings.Repeat("x", 53), "exa_" + good[4:],
		strings.Repeat("\xff", 53)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := ParseToken(s)
		if err != nil {
			if err != ErrMalformedToken || !tok.IsZero() {
				t.Fatalf("%q: %v, %v", s, tok, err)
			}
			return
		}
		if tok.Reveal() != s || len(s) != tokenLen || TokenUse(s[:4]) != tok.Use() {
			t.Fatalf("%q became %q", s, tok.Reveal())
		}
		for i := range len(s) { // one spelling: a changed byte is another text, and no token
			b := []byte(s)
			b[i] ^= 1
			if _, err := ParseToken(string(b)); err == nil {
				t.Fatalf("%q and %q are both tokens", s, b)
			}
		}
	})
}
