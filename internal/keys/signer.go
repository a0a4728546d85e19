package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Algorithm is how a Signer signs, by the name in RFC 7518 section 3.1 and RFC 8037
// section 3.1.
type Algorithm string

const (
	// RS256 is RSASSA-PKCS1-v1_5 with SHA-256, which every OpenID client knows.
	RS256 Algorithm = "RS256"
	// ES256 is ECDSA with P-256 and SHA-256.
	ES256 Algorithm = "ES256"
	// EdDSA is Ed25519.
	EdDSA Algorithm = "EdDSA"
)

// rsaBits gives RSA the 128 bits of security that the other algorithms have.
const rsaBits = 3072

// publishedFirst is how long a new key is published before it signs: verifiers may
// cache the JWKS for less than that.
const publishedFirst = 24 * time.Hour

// Signer signs with the private keys of one purpose and algorithm. A new key is
// published before it signs, and an old one stays published until the tokens that it
// has signed have expired, so that every token can be verified. It is safe for
// concurrent use.
type Signer struct {
	ring    ring
	alg     Algorithm
	current atomic.Pointer[signingKeys]
}

type signingKeys struct {
	active jose.JSONWebKey   // private
	public []jose.JSONWebKey // all, newest first
}

// String leaves the keys out.
func (s *Signer) String() string { return "keys.Signer(" + s.ring.purpose + ")" }

// GoString is String, for %#v.
func (s *Signer) GoString() string { return s.String() }

// OpenSigner reads the keys of a purpose and algorithm and creates the first one if
// there is none. life is how long its tokens are valid at most. Rotate must be called
// at least once an hour.
func OpenSigner(
	ctx context.Context, s keyStore, master Master, purpose string, alg Algorithm, life time.Duration, now time.Time,
) (*Signer, error) {
	out := &Signer{alg: alg, ring: ring{
		purpose: purpose + "/" + string(alg), master: master, store: s,
		// A node may go on signing with a key for as long as it has not seen the next one.
		lead: publishedFirst, overlap: life + propagation,
		generate: func() ([]byte, error) { return generate(alg) },
	}}
	if err := out.Rotate(ctx, now); err != nil {
		return nil, err
	}
	return out, nil
}

// generate returns a new private key, in PKCS #8.
func generate(alg Algorithm) ([]byte, error) {
	var key crypto.Signer
	var err error
	switch alg {
	case RS256:
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, fmt.Errorf("invalid algorithm %q: use %s, %s or %s", alg, RS256, ES256, EdDSA)
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// Rotate creates a new key when the newest is old enough, and withdraws those that
// are no longer in use.
func (s *Signer) Rotate(ctx context.Context, now time.Time) error {
	set, err := s.ring.rotate(ctx, now)
	if err != nil {
		return err
	}
	next := &signingKeys{}
	for i, der := range set.keys {
		key, err := s.parse(der)
		if err != nil {
			return fmt.Errorf("key %s of %s: %w", s.ring.purpose, set.created[i].Format(time.DateOnly), err)
		}
		if i == set.active {
			next.active = key
		}
		next.public = append(next.public, key.Public())
	}
	s.current.Store(next)
	return nil
}

// parse reads a private key. Its key ID is its thumbprint (RFC 7638), which is the
// same on every node.
func (s *Signer) parse(der []byte) (jose.JSONWebKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	out := jose.JSONWebKey{Key: key, Algorithm: string(s.alg), Use: "sig"}
	sum, err := out.Thumbprint(crypto.SHA256)
	out.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	return out, err
}

// Sign returns the payload, signed, in the compact form of RFC 7515 section 7.1. typ
// says what sort of token it is, so that one sort is not taken for another (RFC 8725
// section 3.11).
func (s *Signer) Sign(typ string, payload []byte) (string, error) {
	return s.SignKept(typ, payload, func(string, []byte) error { return nil })
}

// SignKept is Sign for what must be verified for longer than the keys are published. keep is called before anything is
// signed, with the ID of the key and its public half as a JSON Web Key; if it fails, nothing is signed.
func (s *Signer) SignKept(typ string, payload []byte, keep func(id string, public []byte) error) (string, error) {
	active := s.current.Load().active
	public, err := json.Marshal(active.Public())
	if err == nil {
		err = keep(active.KeyID, public)
	}
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	opt := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	key := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(s.alg), Key: active}
	signer, err := jose.NewSigner(key, opt)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	return signed.CompactSerialize()
}

// JWKS returns the public keys of the signers, as RFC 7517 section 5 has them
// published.
func JWKS(signers ...*Signer) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, s := range signers {
		set.Keys = append(set.Keys, s.current.Load().public...)
	}
	return json.Marshal(set)
}
