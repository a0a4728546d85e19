package password

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"sort"
	"strings"
)

// common has the digests of common and leaked passwords, sorted; internal/password/build writes it and names its
// source. zxcvbn has a list too, of words: it rates as strong what only a leak shows to be common.
//
//go:embed common.bin
var common string

// Digest is what the list keeps of a password. Six bytes are enough that a password that is not on it is refused once
// in many thousand millions.
type Digest [6]byte

// DigestOf returns the digest of a password, whatever the case of its letters.
func DigestOf(password string) (d Digest) {
	sum := sha256.Sum256([]byte(strings.ToLower(normal(password))))
	copy(d[:], sum[:])
	return d
}

// Common reports whether the password is on the list (OWASP ASVS 5.0, 6.2.4 and 6.2.12).
func Common(password string) bool {
	want := DigestOf(password)
	const size = len(want)
	_, found := sort.Find(len(common)/size, func(i int) int {
		return bytes.Compare(want[:], []byte(common[i*size:(i+1)*size]))
	})
	return found
}
