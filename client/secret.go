package client

import (
	"fmt"
	"log/slog"
)

const mask = "[secret]"

// Secret is a credential. It prints, logs and marshals masked; only Reveal returns
// its text. The zero Secret means that there is none.
type Secret struct {
	// A pointer, because fmt prints unexported fields of a struct without calling
	// their methods, and stops at pointers.
	text *string
}

// NewSecret wraps a text; the empty text gives the zero Secret.
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

// Sent is a secret in a request's or answer's body. JSON writes its text, while fmt
// and slog mask it. Use it nowhere else.
type Sent string

// Secret returns it as a Secret.
func (s Sent) Secret() Secret { return NewSecret(string(s)) }

// String returns a mask.
func (s Sent) String() string { return s.Secret().masked() }

// Format keeps every verb masked.
func (s Sent) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.Secret().masked()) }

// LogValue keeps slog masked.
func (s Sent) LogValue() slog.Value { return slog.StringValue(s.Secret().masked()) }
