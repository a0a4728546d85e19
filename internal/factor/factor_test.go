package factor

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"
)

// The vectors of RFC 6238, appendix B, in six digits.
func TestCodesOfTheStandard(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471",
		1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		now := time.Unix(at, 0)
		if got := Code(secret, Step(now)); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
		if step, drift, ok := Match(secret, want[:3]+" "+want[3:], now); !ok || drift != 0 || step != Step(now) {
			t.Errorf("at %d: %d %v %v", at, step, drift, ok)
		}
	}
}

func TestOneStepIsTakenAndMoreAreExplained(t *testing.T) {
	// Of a random secret two codes are now and then the same.
	secret, now := []byte("12345678901234567890"), time.Unix(1_800_000_000, 0)
	for off, want := range map[int64]bool{-11: false, -10: false, -2: false, -1: true, 0: true, 1: true, 2: false, 11: false} {
		step, drift, ok := Match(secret, Code(secret, Step(now)+off), now)
		known := off >= -10 && off <= 10
		if ok != want || ok && step != Step(now)+off || !ok && (drift != 0) != known {
			t.Errorf("%d steps off: %d %v %v", off, step-Step(now), drift, ok)
		}
	}
}

func TestURI(t *testing.T) {
	const want = "otpauth://totp/Example%20Ltd:ada?algorithm=SHA1&digits=6&issuer=Example%20Ltd&period=30&" +
		"secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	if got := URI("Example Ltd", "ada", []byte("12345678901234567890")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRecoveryCodesAreReadHoweverTheyAreTyped(t *testing.T) {
	for _, c := range NewRecoveryCodes(10) {
		text := c.Reveal()
		for _, typed := range []string{text, strings.ToUpper(text), strings.ReplaceAll(text, "-", ""), " " + text + " ",
			strings.NewReplacer("0", "O", "1", "l", "v", "u").Replace(text[2:])} {
			if len(typed) == len(text)-2 {
				typed = text[:2] + typed
			}
			if got, ok := ParseRecoveryCode(typed); !ok || got != c {
				t.Errorf("%q is read as %q %v", typed, got.Reveal(), ok)
			}
		}
	}
	if s := NewRecoveryCodes(1)[0]; strings.Contains(s.String(), s.secret) {
		t.Error("a code prints")
	}
}

func FuzzParseRecoveryCode(f *testing.F) {
	f.Add("0-abcd-efgh-jkmn")
	f.Fuzz(func(t *testing.T, text string) {
		if c, ok := ParseRecoveryCode(text); ok {
			if again, ok := ParseRecoveryCode(c.Reveal()); !ok || again != c {
				t.Errorf("%q", text)
			}
		}
	})
}

func TestQRIsAnImage(t *testing.T) {
	svg, err := QR(URI("Example", "ada", NewSecret()), `Code for "ada" & co`)
	if err != nil || xml.Unmarshal([]byte(svg), new(struct{})) != nil || len(svg) > 40_000 {
		t.Errorf("%d bytes, %v", len(svg), err)
	}
}
