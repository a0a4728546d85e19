package client

import (
	"fmt"
	"log/slog"
)

const mask = "[secret]"

// Secret is a credential. It prints, logs and marshals masked; Reveal is the
// only way to its text. The zero Secret is none.
type Secret struct {
	// A pointer, because fmt prints unexported fields of a struct without
	// asking their methods, and stops at pointers.
	text *string
}

// NewSecret wraps a text; the empty text is no secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Reveal returns the secret text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (s Secret) masked() string {
	if s.text == nil {
		return ""
	}
	return mask
}

// String returns a mask.
func (s Secret) String() string { return s.masked() }

// Format keeps every verb masked.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.masked()) }

// LogValue keeps slog masked.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.masked()) }

// MarshalText keeps JSON, XML and whatever else marshals masked.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.masked()), nil }

// Sent is a secret inside a body on its way to its holder: the one form that
// JSON writes in the clear. fmt and slog still mask it. Use it nowhere else.
type Sent string

// Secret takes the secret out of the body.
func (s Sent) Secret() Secret { return NewSecret(string(s)) }

// String returns a mask.
func (s Sent) String() string { return s.Secret().masked() }

// Format keeps every verb masked.
func (s Sent) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.Secret().masked()) }

// LogValue keeps slog masked.
func (s Sent) LogValue() slog.Value { return slog.StringValue(s.Secret().masked()) }
