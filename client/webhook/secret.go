package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

const (
	secretPrefix = "whsec_"
	mask         = "[secret]"
	// shortestKey and longestKey bound the key in a secret, in bytes.
	shortestKey, longestKey = 24, 64
)

// ErrSecret says that a text is no secret of a webhook.
var ErrSecret = errors.New("invalid secret: use whsec_ and the base64 of 24 to 64 random bytes")

// Secret is what messages are signed with. It prints, logs and marshals masked.
type Secret struct {
	// A pointer, because fmt prints unexported fields of a struct without calling their methods, and stops at pointers.
	key *string
}

// ParseSecret reads a secret. It returns ErrSecret for anything else.
func ParseSecret(text string) (Secret, error) {
	encoded, is := strings.CutPrefix(text, secretPrefix)
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !is || err != nil || len(key) < shortestKey || len(key) > longestKey {
		return Secret{}, ErrSecret
	}
	of := string(key)
	return Secret{&of}, nil
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.key == nil }

// String returns a mask.
func (Secret) String() string { return mask }

// Format keeps every verb masked.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, mask) }

// LogValue keeps slog masked.
func (Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText keeps JSON, XML and whatever else marshals masked.
func (Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }
