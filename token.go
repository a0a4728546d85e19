package exeunt

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math/big"
	"strings"
	"time"
)

// A token is a prefix that names its use, 43 random base62 characters (256 bits), and a checksum of 6 base62
// characters over what precedes it. The fixed form lets secret scanners recognise a leaked token, and lets us refuse
// garbage without a look-up. The whole fits one block of SHA-256.
const (
	tokenPrefixLen = 4
	tokenRandomLen = 43
	tokenSumLen    = 6
	tokenLen       = tokenPrefixLen + tokenRandomLen + tokenSumLen
)

// TokenUse is what a token is for. It is the token's prefix, so one kind is never mistaken for another.
type TokenUse string

const (
	// UseSession: the credential of a session, in a browser's cookie or an app's keyring.
	UseSession TokenUse = "exs_"
	// UseApp: the credential of an app session, in the client's own cookie.
	UseApp TokenUse = "exa_"
	// UseTimed: the credential of an app session whose client can ask for another one. It has the time at which it
	// expires inside, in the first digits after the prefix.
	UseTimed TokenUse = "ext_"
	// UseCode: a single-use code that an app exchanges for an app session.
	UseCode TokenUse = "exc_"
	// UseInvite: a single-use link that creates an account, or sets its new password.
	UseInvite TokenUse = "exi_"
	// UseChallenge: what a browser or app holds between two steps of a sign-in. It is no session.
	UseChallenge TokenUse = "exh_"
	// UseLink: a single-use link of a mail, which confirms or undoes something of an account.
	UseLink TokenUse = "exl_"
	// UseDevice: by which a browser is recognised at the next sign-in. It proves nothing of who is using it.
	UseDevice TokenUse = "exd_"
	// UseClient: the secret key that authenticates a client's back end.
	UseClient TokenUse = "exk_"
)

// ErrMalformedToken says that a text is no token: its length, prefix, alphabet or checksum is wrong.
var ErrMalformedToken = errors.New("not a token")

// Token is a secret credential. It prints, logs and marshals masked; only Reveal returns its text.
type Token struct{ text string }

// TokenHash is the SHA-256 of a token's text. Only the hash is ever stored.
type TokenHash [sha256.Size]byte

// String is the hash in hex, as configuration files have it.
func (h TokenHash) String() string { return hex.EncodeToString(h[:]) }

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var base62Digit = func() (table [256]bool) {
	for i := range len(base62) {
		table[base62[i]] = true
	}
	return table
}()

// NewToken draws a new token from the system's random source (OWASP ASVS 5.0, 7.2.3 asks for 128 bits; this has
// 256).
func NewToken(use TokenUse) Token {
	out := make([]byte, 0, tokenLen)
	out = append(out, use...)
	var buf [64]byte
	for len(out) < tokenPrefixLen+tokenRandomLen {
		rand.Read(buf[:])
		for _, b := range buf {
			// Bytes of 248 and above would make some digits likelier than others.
			if b < 248 && len(out) < tokenPrefixLen+tokenRandomLen {
				out = append(out, base62[b%62])
			}
		}
	}
	sum := tokenSum(string(out))
	return Token{text: string(append(out, sum[:]...))}
}

// TokenFrom is the token of 32 bytes that nobody else can know, for one that must be made a second time.
func TokenFrom(use TokenUse, secret [32]byte) Token {
	digits := []byte(new(big.Int).SetBytes(secret[:]).Text(62))
	out := append(make([]byte, 0, tokenLen), use...)
	for range tokenRandomLen - len(digits) { // 62^43 is just above 2^256
		out = append(out, base62[0])
	}
	out = append(out, digits...)
	sum := tokenSum(string(out))
	return Token{text: string(append(out, sum[:]...))}
}

// expiryLen digits are enough for the seconds since 1970 until the year 3769. The random digits that are left have 220
// bits.
const expiryLen = 6

// Expiring returns a token of use UseTimed that expires at that second, and is otherwise the given one.
func (t Token) Expiring(at time.Time) Token {
	out := append(append(make([]byte, 0, tokenLen), UseTimed...), t.text[tokenPrefixLen:tokenPrefixLen+tokenRandomLen]...)
	n := at.Unix()
	for i := tokenPrefixLen + expiryLen - 1; i >= tokenPrefixLen; i-- {
		out[i] = base62[n%62]
		n /= 62
	}
	sum := tokenSum(string(out))
	return Token{text: string(append(out, sum[:]...))}
}

// Expires returns when a token of use UseTimed expires; ok is false for any other. Nobody can change it without
// changing the hash by which the token is known.
func (t Token) Expires() (at time.Time, ok bool) {
	if t.Use() != UseTimed {
		return at, false
	}
	var n int64
	for _, c := range []byte(t.text[tokenPrefixLen : tokenPrefixLen+expiryLen]) {
		n = n*62 + int64(strings.IndexByte(base62, c))
	}
	return time.Unix(n, 0), true
}

// tokenSum is the CRC-32 (IEEE) of the text in base62. The loop is written out because the package's own functions
// would copy the text to the heap.
func tokenSum(s string) (sum [tokenSumLen]byte) {
	n := ^uint32(0)
	for i := range len(s) {
		n = crc32.IEEETable[byte(n)^s[i]] ^ n>>8
	}
	n = ^n
	for i := tokenSumLen - 1; i >= 0; i-- {
		sum[i] = base62[n%62]
		n /= 62
	}
	return sum
}

// ParseToken reads a token's text. The only error is ErrMalformedToken. It allocates nothing.
func ParseToken(s string) (Token, error) {
	if len(s) != tokenLen {
		return Token{}, ErrMalformedToken
	}
	switch TokenUse(s[:tokenPrefixLen]) {
	case UseSession, UseApp, UseTimed, UseCode, UseInvite, UseChallenge, UseLink, UseDevice, UseClient:
	default:
		return Token{}, ErrMalformedToken
	}
	for i := tokenPrefixLen; i < tokenLen; i++ {
		if !base62Digit[s[i]] {
			return Token{}, ErrMalformedToken
		}
	}
	// The checksum stops accidents, not attackers, so it need not be compared in constant time: the caller can
	// compute it from the text.
	if sum := tokenSum(s[:tokenPrefixLen+tokenRandomLen]); string(sum[:]) != s[tokenLen-tokenSumLen:] {
		return Token{}, ErrMalformedToken
	}
	return Token{text: s}, nil
}

// IsZero reports whether there is no token.
func (t Token) IsZero() bool { return t.text == "" }

// Use returns what the token is for. It is "" for the zero Token.
func (t Token) Use() TokenUse {
	if t.text == "" {
		return ""
	}
	return TokenUse(t.text[:tokenPrefixLen])
}

// OfApp reports whether tokens of that use are credentials of app sessions.
func (u TokenUse) OfApp() bool { return u == UseApp || u == UseTimed }

// Hash is what the server stores and looks up. It allocates nothing.
func (t Token) Hash() TokenHash {
	var b [tokenLen]byte
	n := copy(b[:], t.text)
	return sha256.Sum256(b[:n])
}

// Reveal returns the secret text, for handing it to its holder once.
func (t Token) Reveal() string { return t.text }

// String returns the prefix and a mask.
func (t Token) String() string {
	if t.text == "" {
		return ""
	}
	return t.text[:tokenPrefixLen] + "…"
}

// GoString masks %#v too.
func (t Token) GoString() string { return "exeunt.Token(" + t.String() + ")" }

// MarshalText masks JSON, XML and slog.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
