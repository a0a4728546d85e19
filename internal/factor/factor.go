// Package factor knows the codes that people type: those of an authenticator app (TOTP, RFC 6238), and recovery codes.
//
// It owns their form, and for which moment a code is right. It stores nothing, and does not know which codes were used
// (store does) or how often somebody may guess (signin does).
package factor

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/exeunt/exeunt"
)

const (
	// period is how long a code is shown, and secretLen how long its secret is: as RFC 4226 section 4 recommends.
	period    = 30 * time.Second
	secretLen = 20
	digits    = otp.DigitsSix
	// skew is how many steps a phone's clock may be off (RFC 6238 section 5.2).
	skew = 1
	// farOff is how many steps off a code is recognised, to tell people that their phone's clock is wrong.
	farOff = 10
)

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewSecret draws the secret of an authenticator app.
func NewSecret() []byte {
	b := make([]byte, secretLen)
	rand.Read(b)
	return b
}

// Purpose is what the secret of an authenticator app is sealed for.
func Purpose(id exeunt.FactorID) string { return "totp " + id.String() }

// Step is the number of the 30 seconds in which a time lies.
func Step(now time.Time) int64 { return now.Unix() / int64(period/time.Second) }

// Match says for which step, of those around now, a code is right. drift is by how much the clock of the phone is off,
// when that is too much for the code to be taken; then ok is false.
func Match(secret []byte, code string, now time.Time) (step int64, drift time.Duration, ok bool) {
	code = Digits(code)
	found := false
	// Every step is looked at, so that the time does not tell which one was right.
	for off := int64(-farOff); off <= farOff; off++ {
		want, err := hotp.GenerateCodeCustom(base32Text.EncodeToString(secret), uint64(Step(now)+off),
			hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1})
		if err != nil || subtle.ConstantTimeCompare([]byte(want), []byte(code)) != 1 {
			continue
		}
		if near := -skew <= off && off <= skew; near || !found {
			step, drift, ok, found = Step(now)+off, time.Duration(off)*period, near, true
			if near {
				drift = 0
			}
		}
	}
	return step, drift, ok
}

// Code is the code of a step, for tests and the tour.
func Code(secret []byte, step int64) string {
	code, _ := hotp.GenerateCodeCustom(base32Text.EncodeToString(secret), uint64(step),
		hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1})
	return code
}

// Digits removes what people type between the digits of a code.
func Digits(code string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\u00a0' {
			return -1
		}
		return r
	}, strings.TrimSpace(code))
}

// URI is what an authenticator app reads from the QR code.
func URI(issuer, handle string, secret []byte) string {
	q := url.Values{"secret": {base32Text.EncodeToString(secret)}, "issuer": {issuer}, "algorithm": {"SHA1"},
		"digits": {"6"}, "period": {"30"}}
	// Apps read %20 and not + as a space.
	return "otpauth://totp/" + url.PathEscape(issuer+":"+handle) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}

// Text is the secret in groups of four letters, for people who type it.
func Text(secret []byte) string { return grouped(base32Text.EncodeToString(secret), 4, " ") }

func grouped(text string, n int, between string) string {
	var out []string
	for ; len(text) > n; text = text[n:] {
		out = append(out, text[:n])
	}
	return strings.Join(append(out, text), between)
}

// RecoveryCode is one of ten codes on paper. It prints masked.
type RecoveryCode struct {
	Number int    // 0 to 9, the first character
	secret string // twelve more
}

// The letters that are easily mistaken for another are not among them.
const recoveryLetters = "0123456789abcdefghjkmnpqrstvwxyz"

const recoveryLen = 12 // 60 random bits; so the hash is one for passwords (OWASP ASVS 5.0, 6.5.2)

// NewRecoveryCodes draws codes with the numbers 0 to n-1.
func NewRecoveryCodes(n int) []RecoveryCode {
	out := make([]RecoveryCode, n)
	for i := range out {
		var b [recoveryLen]byte
		rand.Read(b[:])
		for j := range b {
			b[j] = recoveryLetters[b[j]%32]
		}
		out[i] = RecoveryCode{Number: i, secret: string(b[:])}
	}
	return out
}

// ParseRecoveryCode reads what somebody has typed, however they spell it.
func ParseRecoveryCode(text string) (c RecoveryCode, ok bool) {
	text = strings.NewReplacer("o", "0", "i", "1", "l", "1", "u", "v").Replace(strings.ToLower(Digits(text)))
	if len(text) != 1+recoveryLen || text[0] < '0' || text[0] > '9' ||
		strings.Trim(text, recoveryLetters) != "" {
		return c, false
	}
	return RecoveryCode{Number: int(text[0] - '0'), secret: text[1:]}, true
}

// Reveal is the code as people keep it.
func (c RecoveryCode) Reveal() string {
	return fmt.Sprintf("%d-%s", c.Number, grouped(c.secret, 4, "-"))
}

// Secret is what is hashed.
func (c RecoveryCode) Secret() string { return c.secret }

// String leaves the secret out.
func (c RecoveryCode) String() string { return fmt.Sprintf("factor.RecoveryCode(%d)", c.Number) }

// GoString is String, for %#v.
func (c RecoveryCode) GoString() string { return c.String() }

// Secret reads what Text wrote, for tests and the tour; nil for any other text.
func Secret(text string) []byte {
	b, err := base32Text.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		return nil
	}
	return b
}
