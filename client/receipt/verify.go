package receipt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// MaxLen is how many bytes a receipt has at most.
const MaxLen = 256 << 10

// The reasons for which a text is no receipt. Errors wrap one of them, and say what is wrong.
var (
	// ErrMalformed: it has not the form of a receipt, so nobody has signed it as one; or it is damaged.
	ErrMalformed = errors.New("this is not a receipt, or it was damaged")
	// ErrVersion: it may be a receipt, of a form that this package does not know.
	ErrVersion = errors.New("this receipt has a form that this program does not know")
	// ErrUnknownKey: it was signed with a key that is not among those that were given.
	ErrUnknownKey = errors.New("this receipt was signed with a key that is not among the keys given")
	// ErrSignature: it was changed after it was signed, or somebody else signed it.
	ErrSignature = errors.New("the signature does not fit: the receipt was changed, or is forged")
	// ErrIssuer: another installation made it.
	ErrIssuer = errors.New("this receipt is another installation's")
)

// header is that of RFC 7515 section 4, with no field but these, in this order. So there is no crit, and no key or
// address of a key that a forger could bring along.
type header struct {
	Alg  string `json:"alg"`
	Kid  string `json:"kid"`
	Type string `json:"typ"`
}

// signed is a receipt whose signature has not been looked at.
type signed struct {
	header
	over      []byte // what was signed
	signature []byte
	statement Statement
}

// Verify returns what a receipt says, if the holder of one of the keys has signed exactly that. With an issuer, it must
// be that installation's. Errors are those of this package.
func Verify(text []byte, keys *Keys, issuer string) (*Statement, error) {
	r, err := parse(text)
	if err != nil {
		return nil, err
	}
	candidates := keys.keys[r.Kid]
	if len(candidates) == 0 {
		return nil, fmt.Errorf("%w (kid %q)", ErrUnknownKey, r.Kid)
	}
	good := false
	for _, k := range candidates {
		good = good || k.alg == r.Alg && k.signed(r.over, r.signature)
	}
	switch {
	case !good:
		return nil, ErrSignature
	case issuer != "" && r.statement.Issuer != issuer:
		return nil, fmt.Errorf("%w: it is from %s, and not from %s", ErrIssuer, r.statement.Issuer, issuer)
	}
	return &r.statement, nil
}

// Issuer returns which installation a receipt claims to be from, to ask it for its keys. It verifies nothing.
func Issuer(text []byte) (string, error) {
	r, err := parse(text)
	if err != nil {
		return "", err
	}
	return r.statement.Issuer, nil
}

func malformed(what string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(what, args...))
}

// parse reads the compact form (RFC 7515 section 7.1). A receipt has one spelling: whatever is not exactly what the
// authority writes is refused.
func parse(text []byte) (*signed, error) {
	if len(text) > MaxLen {
		return nil, malformed("it is longer than %d bytes", MaxLen)
	}
	parts := strings.Split(string(text), ".")
	if len(parts) != 3 {
		return nil, malformed("it has %d parts with dots between them, and not 3", len(parts))
	}
	var raw [3][]byte
	for i, name := range []string{"header", "statement", "signature"} {
		var err error
		if raw[i], err = decode(parts[i]); err != nil {
			return nil, malformed("its %s is %v; a receipt is one line, without a line break at its end", name, err)
		}
	}
	r := &signed{over: []byte(parts[0] + "." + parts[1]), signature: raw[2]}
	if err := exact(raw[0], &r.header, func() ([]byte, error) { return encode(r.header) }); err != nil {
		return nil, malformed("its header is not alg, kid and typ alone")
	}
	switch {
	case r.Type != Type:
		return nil, malformed("its type is %q, and not %q: it is another sort of token", r.Type, Type)
	case r.Alg != "RS256" && r.Alg != "ES256" && r.Alg != "EdDSA":
		return nil, malformed("it is signed by %q: use RS256, ES256 or EdDSA", r.Alg)
	}
	var version struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(raw[1], &version); err != nil {
		return nil, malformed("its statement is not JSON")
	}
	if version.Version != Version {
		return nil, fmt.Errorf("%w: v is %d, and not %d; use a newer version of it", ErrVersion, version.Version, Version)
	}
	if err := exact(raw[1], &r.statement, r.statement.Encode); err != nil {
		return nil, malformed("its statement is not in the one form of version %d", Version)
	}
	return r, r.statement.check()
}

// exact reads JSON that is spelt as again spells what was read.
func exact(text []byte, to any, again func() ([]byte, error)) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	spelt, err := again()
	if err == nil && !bytes.Equal(spelt, text) {
		err = errors.New("it is spelt otherwise")
	}
	return err
}

// check refuses what no receipt says.
func (s *Statement) check() error {
	switch {
	case s.Issuer == "" || s.ID == "" || s.Log == "" || s.Event <= 0 || s.EndedAt.IsZero() || s.Apps == nil:
		return malformed("its statement lacks something")
	case s.Issued().Add(time.Second).Before(s.EndedAt):
		return malformed("it was signed before what it says had happened")
	}
	return nil
}

// Issued is IssuedAt as a time.
func (s *Statement) Issued() time.Time { return time.Unix(s.IssuedAt, 0).UTC() }

// signed reports whether the signature is the key's over the text (RFC 7518 sections 3.3 and 3.4, RFC 8037 section 3.1).
func (k key) signed(text, signature []byte) bool {
	sum := sha256.Sum256(text)
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		return ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(public, text, signature)
	}
	return false
}
