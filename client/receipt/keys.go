package receipt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/exeunt/exeunt/client"
)

// Keys are the public keys of an installation.
type Keys struct {
	keys map[string][]key // by ID
}

type key struct {
	alg    string
	public crypto.PublicKey
}

const (
	maxKeySet = 1 << 20
	maxKeys   = 1000
	minRSA    = 2048 // bits
	maxRSA    = 8192
)

// ParseKeys reads a set of public keys (RFC 7517 section 5). Keys that cannot verify a receipt are left out; a set
// without any other is refused.
func ParseKeys(text []byte) (*Keys, error) {
	if len(text) > maxKeySet {
		return nil, fmt.Errorf("the key set is longer than %d bytes", maxKeySet)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("this is no key set (RFC 7517): %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", maxKeys)
	}
	out := &Keys{keys: map[string][]key{}}
	for _, k := range set.Keys {
		if public, err := k.parse(); err == nil {
			out.keys[k.ID] = append(out.keys[k.ID], public)
		}
	}
	if len(out.keys) == 0 {
		return nil, errors.New("the key set has no key that a receipt can be verified with: expected public keys for " +
			"RS256, ES256 or EdDSA, each with a kid")
	}
	return out, nil
}

// jwk is a public key (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2).
type jwk struct {
	Type  string `json:"kty"`
	ID    string `json:"kid"`
	Alg   string `json:"alg"`
	Use   string `json:"use"`
	Curve string `json:"crv"`
	N     string `json:"n"`
	E     string `json:"e"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

var errKey = errors.New("not a key for receipts")

func (j jwk) parse() (key, error) {
	if j.ID == "" || j.Use != "" && j.Use != "sig" {
		return key{}, errKey
	}
	var k key
	var err error
	switch {
	case j.Type == "RSA":
		k.alg = "RS256"
		k.public, err = j.rsa()
	case j.Type == "EC" && j.Curve == "P-256":
		k.alg = "ES256"
		k.public, err = j.p256()
	case j.Type == "OKP" && j.Curve == "Ed25519":
		k.alg = "EdDSA"
		k.public, err = j.ed25519()
	default:
		err = errKey
	}
	if err == nil && j.Alg != "" && j.Alg != k.alg {
		err = errKey
	}
	return k, err
}

func (j jwk) rsa() (*rsa.PublicKey, error) {
	n, err := decode(j.N)
	if err != nil {
		return nil, err
	}
	e, err := decode(j.E)
	if err != nil {
		return nil, err
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n)}
	exponent := new(big.Int).SetBytes(e)
	bits := public.N.BitLen()
	if bits < minRSA || bits > maxRSA || exponent.BitLen() > 31 || exponent.Int64() < 3 || exponent.Bit(0) == 0 {
		return nil, errKey
	}
	public.E = int(exponent.Int64())
	return public, nil
}

func (j jwk) p256() (*ecdsa.PublicKey, error) {
	x, err := decode(j.X)
	if err != nil {
		return nil, err
	}
	y, err := decode(j.Y)
	if err != nil || len(x) != 32 || len(y) != 32 {
		return nil, errKey
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
}

func (j jwk) ed25519() (ed25519.PublicKey, error) {
	x, err := decode(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, errKey
	}
	return ed25519.PublicKey(x), nil
}

// decode reads the one spelling of some bytes in base64url without padding (RFC 7515 section 2).
func decode(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	// The decoder ignores line breaks.
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("not base64url without padding")
	}
	return b, nil
}

const fetchTimeout = 10 * time.Second

// FetchKeys gets an installation's keys from an address, which must be https unless it is on this machine: whoever
// could change the answer on its way could have any receipt verified. It follows no redirect.
func FetchKeys(ctx context.Context, address string) (*Keys, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("invalid address of keys %q: use https:// and a host", address)
	}
	if u.Scheme == "http" && !client.StaysHere(u.Hostname()) {
		return nil, fmt.Errorf("keys from %s could be changed on their way: use https", address)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	h := &http.Client{Transport: client.NewTransport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := h.Do(req)
	if err != nil {
		return nil, fmt.Errorf("keys from %s: %w", address, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("keys from %s: the answer is %s, and not 200", address, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("keys from %s: %w", address, err)
	}
	keys, err := ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("keys from %s: %w", address, err)
	}
	return keys, nil
}
