package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
)

// Seal encrypts and authenticates a text that a browser keeps for us, with the active key. purpose names what it is for;
// only Open with the same purpose opens it.
func (r *Ring) Seal(purpose string, text []byte) (string, error) {
	set := r.current.Load()
	a, err := sealer(set.keys[set.active])
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(a.Seal(nil, nil, text, []byte(purpose))), nil
}

// Open returns the text that Seal was given, and false if it did not return sealed.
func (r *Ring) Open(purpose, sealed string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(sealed) != base64.RawURLEncoding.EncodedLen(len(b)) { // the decoder ignores line breaks
		return nil, false
	}
	for _, key := range r.current.Load().keys {
		a, err := sealer(key)
		if err != nil {
			return nil, false
		}
		if text, err := a.Open(nil, nil, b, []byte(purpose)); err == nil {
			return text, true
		}
	}
	return nil, false
}

// sealer uses a key of its own, because the ring's key is also used for authentication codes.
func sealer(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(mac(key, "seal"))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
