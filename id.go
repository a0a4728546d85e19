package exeunt

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
)

// ID is 128 random bits that name one thing of kind K. IDs are public: they appear in pages, addresses and logs, and
// knowing one gives no access.
//
// Its text is the kind's prefix and 26 lower-case base32 characters, as in "ses_4h2k…". The zero ID means "none".
type ID[K idKind] struct{ raw [16]byte }

type idKind interface{ prefix() string }

type (
	accountKind    struct{}
	sessionKind    struct{}
	appSessionKind struct{}
	factorKind     struct{}
	mailKind       struct{}
	noticeKind     struct{}
)

func (accountKind) prefix() string    { return "acc_" }
func (sessionKind) prefix() string    { return "ses_" }
func (appSessionKind) prefix() string { return "app_" }
func (factorKind) prefix() string     { return "fac_" }
func (mailKind) prefix() string       { return "mail_" }
func (noticeKind) prefix() string     { return "not_" }

type (
	// AccountID names an account.
	AccountID = ID[accountKind]
	// SessionID names a session: one sign-in on one browser or app.
	SessionID = ID[sessionKind]
	// AppSessionID names an app session, the child of a session on one client.
	AppSessionID = ID[appSessionKind]
	// FactorID names a factor of an account.
	FactorID = ID[factorKind]
	// MailID names a mail.
	MailID = ID[mailKind]
	// NoticeID names a notice to an account's owner.
	NoticeID = ID[noticeKind]
)

// ClientID names a client. Operators choose it, so it is short readable text.
type ClientID string

var idText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewAccountID draws a new random ID.
func NewAccountID() AccountID { return newID[accountKind]() }

// NewSessionID draws a new random ID.
func NewSessionID() SessionID { return newID[sessionKind]() }

// NewAppSessionID draws a new random ID.
func NewAppSessionID() AppSessionID { return newID[appSessionKind]() }

// NewFactorID draws a new random ID.
func NewFactorID() FactorID { return newID[factorKind]() }

// NewMailID draws a new random ID.
func NewMailID() MailID { return newID[mailKind]() }

// NewNoticeID draws a new random ID.
func NewNoticeID() NoticeID { return newID[noticeKind]() }

func newID[K idKind]() (id ID[K]) {
	rand.Read(id.raw[:])
	return id
}

// Scan reads the 16 bytes that Bytes gave from a database column (it is database/sql.Scanner). NULL and empty are
// the zero ID.
func (id *ID[K]) Scan(src any) error {
	b, ok := src.([]byte)
	if src != nil && !ok || len(b) != 0 && len(b) != len(id.raw) {
		return fmt.Errorf("invalid ID in the database: want 16 bytes, got %T of length %d", src, len(b))
	}
	*id = ID[K]{}
	copy(id.raw[:], b)
	return nil
}

// Bytes returns the 16 bytes, or nil for the zero ID.
func (id ID[K]) Bytes() []byte {
	if id.IsZero() {
		return nil
	}
	return append([]byte(nil), id.raw[:]...)
}

// Raw returns the 16 bytes. Unlike Bytes it allocates nothing.
func (id ID[K]) Raw() [16]byte { return id.raw }

// SetRaw makes it the ID of the 16 bytes that Raw gave.
func (id *ID[K]) SetRaw(raw [16]byte) { id.raw = raw }

// IsZero reports whether the ID names nothing.
func (id ID[K]) IsZero() bool { return id.raw == [16]byte{} }

// String returns the text form, or "" for the zero ID.
func (id ID[K]) String() string {
	if id.IsZero() {
		return ""
	}
	var b [32]byte
	text, _ := id.AppendText(b[:0])
	return string(text)
}

// AppendText appends the text form. It allocates nothing but the room.
func (id ID[K]) AppendText(b []byte) ([]byte, error) {
	if id.IsZero() {
		return b, nil
	}
	var k K
	return idText.AppendEncode(append(b, k.prefix()...), id.raw[:]), nil
}

// MarshalText writes the text form.
func (id ID[K]) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the text form. The empty text is the zero ID; anything else that is not exactly what String
// writes is refused, so that an ID has one spelling.
func (id *ID[K]) UnmarshalText(text []byte) error {
	*id = ID[K]{}
	if len(text) == 0 {
		return nil
	}
	var k K
	p := k.prefix()
	if len(text) != len(p)+26 || string(text[:len(p)]) != p {
		return fmt.Errorf("malformed ID: use %s and 26 characters", p)
	}
	var raw [16]byte
	if _, err := idText.Decode(raw[:], text[len(p):]); err != nil {
		return fmt.Errorf("malformed ID: %w", err)
	}
	if got := idText.EncodeToString(raw[:]); got != string(text[len(p):]) {
		return fmt.Errorf("malformed ID: trailing bits are set")
	}
	if raw == [16]byte{} {
		return fmt.Errorf("malformed ID: the zero ID is written as no text at all")
	}
	id.raw = raw
	return nil
}

// ParseSessionID reads a session's ID.
func ParseSessionID(s string) (id SessionID, err error) { return parseID(id, s) }

// ParseAccountID reads an account's ID.
func ParseAccountID(s string) (id AccountID, err error) { return parseID(id, s) }

// ParseAppSessionID reads an app session's ID.
func ParseAppSessionID(s string) (id AppSessionID, err error) { return parseID(id, s) }

// ParseMailID reads a mail's ID.
func ParseMailID(s string) (id MailID, err error) { return parseID(id, s) }

// ParseNoticeID reads a notice's ID.
func ParseNoticeID(s string) (id NoticeID, err error) { return parseID(id, s) }

func parseID[K idKind](id ID[K], s string) (ID[K], error) {
	if s == "" {
		return id, fmt.Errorf("an ID is missing")
	}
	err := id.UnmarshalText([]byte(s))
	return id, err
}
