package receipt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the kept receipt anew, with another key")

var b64 = base64.RawURLEncoding

// signer is an installation's key in tests.
type signer struct {
	alg, kid string
	jwk      map[string]any
	sign     func([]byte) []byte
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newRSA(kid string, key *rsa.PrivateKey) signer {
	return signer{"RS256", kid, map[string]any{"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig",
		"n": b64.EncodeToString(key.N.Bytes()), "e": "AQAB"}, func(text []byte) []byte {
		sum := sha256.Sum256(text)
		return must(rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]))
	}}
}

func newP256(kid string) signer {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	point := must(key.PublicKey.Bytes())
	return signer{"ES256", kid, map[string]any{"kty": "EC", "crv": "P-256", "kid": kid,
		"x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:])}, func(text []byte) []byte {
		sum := sha256.Sum256(text)
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		must(0, err)
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}}
}

func newEd25519(kid string) signer {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	must(0, err)
	return signer{"EdDSA", kid, map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64.EncodeToString(public)},
		func(text []byte) []byte { return ed25519.Sign(key, text) }}
}

func keysOf(t *testing.T, list ...signer) *Keys {
	t.Helper()
	set := map[string]any{}
	var keys []any
	for _, s := range list {
		keys = append(keys, s.jwk)
	}
	set["keys"] = keys
	k, err := ParseKeys(must(json.Marshal(set)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// compact signs any header and payload.
func (s signer) compact(header, payload string) string {
	over := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	return over + "." + b64.EncodeToString(s.sign([]byte(over)))
}

func (s signer) header() string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q}`, s.alg, s.kid, Type)
}

func example() *Statement {
	three, at := int64(3), time.Date(2026, 11, 30, 17, 0, 1, 250_000_000, time.UTC)
	return &Statement{Version: 1, Issuer: "https://id.example.com", ID: "rcp_x", IssuedAt: at.Unix() + 60, Event: 17,
		Log: "8c2f", EndedAt: at, Scope: ScopeSession, Reason: "signed_out", By: ByHere, Sessions: 1, AppSessions: &three,
		AppsComplete: true, Apps: []App{
			{Client: "chirp", Name: "Chirp <& more>\u2028", State: StateClosed, Tier: "checked"},
			{Client: "photos", Name: "Fotos für Ünal", State: StateTold, Tier: "told", Attempts: 2, ToldAt: at.Add(time.Second)},
			{Client: "board", Name: "Board", State: StateExpires, Tier: "expires", ExpiresBy: at.Add(time.Minute)},
		}}
}

func (s signer) receipt(t *testing.T) string {
	t.Helper()
	return s.compact(s.header(), string(must(example().Encode())))
}

// The form of the statement is for ever: a file of version 1 that somebody has kept must stay readable.
func TestForm(t *testing.T) {
	want := `{"app_sessions":3,"apps":[{"client":"chirp","name":"Chirp <& more> ","state":"closed","tier":"checked"},` +
		`{"attempts":2,"client":"photos","name":"Fotos für Ünal","state":"told","tier":"told","told_at":"2026-11-30T17:00:02.25Z"},` +
		`{"client":"board","expires_by":"2026-11-30T17:01:01.25Z","name":"Board","state":"expires","tier":"expires"}],` +
		`"apps_complete":true,"by":"here","ended_at":"2026-11-30T17:00:01.25Z","event":17,"iat":1796058061,` +
		`"iss":"https://id.example.com","jti":"rcp_x","log":"8c2f","reason":"signed_out","scope":"session","sessions":1,"v":1}`
	if got := string(must(example().Encode())); got != want {
		t.Errorf("the form changed:\n%s\nand not\n%s", got, want)
	}
	bare := &Statement{Version: 1, Apps: nil}
	if got := string(must(bare.Encode())); !strings.Contains(got, `"apps":[]`) || strings.Contains(got, "app_sessions") {
		t.Error(got)
	}
}

func TestVerify(t *testing.T) {
	for _, s := range []signer{newRSA("k1", rsaKey()), newP256("k1"), newEd25519("k1")} {
		t.Run(s.alg, func(t *testing.T) {
			text := []byte(s.receipt(t))
			got, err := Verify(text, keysOf(t, newP256("other"), s), "https://id.example.com")
			if err != nil {
				t.Fatal(err)
			}
			if got.Event != 17 || len(got.Apps) != 3 || got.Issued() != time.Unix(1796058061, 0).UTC() || *got.AppSessions != 3 {
				t.Errorf("%+v", got)
			}
			if _, err := Verify(text, keysOf(t, s), "https://other.example"); !errors.Is(err, ErrIssuer) {
				t.Errorf("for another installation: %v", err)
			}
			if _, err := Verify(text, keysOf(t, newP256("k2")), ""); !errors.Is(err, ErrUnknownKey) {
				t.Errorf("with other keys: %v", err)
			}
			for _, forger := range []signer{newRSA("k1", must(rsa.GenerateKey(rand.Reader, 2048))), newP256("k1"), newEd25519("k1")} {
				if _, err := Verify(text, keysOf(t, forger), ""); !errors.Is(err, ErrSignature) {
					t.Errorf("with a key of the same ID and %s: %v", forger.alg, err)
				}
			}
			if issuer, err := Issuer(text); err != nil || issuer != "https://id.example.com" {
				t.Error(issuer, err)
			}
		})
	}
}

// A receipt of which any byte is another, is missing, or is one too many is no receipt.
func TestAnyChangeIsFound(t *testing.T) {
	s := newRSA("k1", rsaKey())
	text, keys := []byte(s.receipt(t)), keysOf(t, s)
	if _, err := Verify(text, keys, ""); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, changed []byte) {
		if _, err := Verify(changed, keys, ""); err == nil && !bytes.Equal(changed, text) {
			t.Errorf("%s: it is a receipt still", what)
		}
	}
	for i := range text {
		for _, with := range []byte{text[i] ^ 1, text[i] ^ 2, text[i] ^ 0x20, text[i] ^ 0x80, 'A', 'z', '-', '_', '+', '/', '=', '.', '\n', '\r', ' ', 0} {
			changed := bytes.Clone(text)
			changed[i] = with
			refused(fmt.Sprintf("byte %d is %q", i, with), changed)
		}
		refused(fmt.Sprintf("without byte %d", i), append(bytes.Clone(text[:i]), text[i+1:]...))
		for _, more := range []string{"\n", "=", "A", "."} {
			refused(fmt.Sprintf("%q before byte %d", more, i), []byte(string(text[:i])+more+string(text[i:])))
		}
		refused(fmt.Sprintf("the first %d bytes", i), text[:i])
	}
	for _, more := range []string{"\n", "\r\n", " ", "=", "A", ".", ".e30"} {
		refused("more at the end", append(bytes.Clone(text), more...))
	}
}

func TestStrangeTokens(t *testing.T) {
	s := newRSA("k1", rsaKey())
	payload := string(must(example().Encode()))
	keys := keysOf(t, s)
	change := func(old, new string) string {
		if !strings.Contains(payload, old) {
			t.Fatalf("no %s", old)
		}
		return strings.Replace(payload, old, new, 1)
	}
	for name, c := range map[string]struct {
		header, payload string
		want            error
	}{
		"an ID token":     {`{"alg":"RS256","kid":"k1","typ":"JWT"}`, payload, ErrMalformed},
		"a logout token":  {`{"alg":"RS256","kid":"k1","typ":"logout+jwt"}`, payload, ErrMalformed},
		"no type":         {`{"alg":"RS256","kid":"k1"}`, payload, ErrMalformed},
		"none":            {`{"alg":"none","kid":"k1","typ":"` + Type + `"}`, payload, ErrMalformed},
		"HMAC":            {`{"alg":"HS256","kid":"k1","typ":"` + Type + `"}`, payload, ErrMalformed},
		"another RSA":     {`{"alg":"PS256","kid":"k1","typ":"` + Type + `"}`, payload, ErrMalformed},
		"another alg":     {`{"alg":"ES256","kid":"k1","typ":"` + Type + `"}`, payload, ErrSignature},
		"crit":            {`{"alg":"RS256","crit":["exp"],"kid":"k1","typ":"` + Type + `"}`, payload, ErrMalformed},
		"a key in it":     {`{"alg":"RS256","jwk":{},"kid":"k1","typ":"` + Type + `"}`, payload, ErrMalformed},
		"twice":           {`{"alg":"RS256","alg":"RS256","kid":"k1","typ":"` + Type + `"}`, payload, ErrMalformed},
		"other letters":   {`{"ALG":"RS256","kid":"k1","typ":"` + Type + `"}`, payload, ErrMalformed},
		"another order":   {`{"kid":"k1","alg":"RS256","typ":"` + Type + `"}`, payload, ErrMalformed},
		"no JSON":         {`x`, payload, ErrMalformed},
		"more after it":   {s.header() + "{}", payload, ErrMalformed},
		"spaces":          {s.header(), change(`{"app_sessions"`, `{ "app_sessions"`), ErrMalformed},
		"a field more":    {s.header(), change(`"v":1`, `"v":1,"x":1`), ErrMalformed},
		"a field less":    {s.header(), change(`"jti":"rcp_x",`, ``), ErrMalformed},
		"a field twice":   {s.header(), change(`"v":1`, `"v":1,"v":1`), ErrMalformed},
		"another version": {s.header(), change(`"v":1`, `"v":2`), ErrVersion},
		"no version":      {s.header(), change(`,"v":1`, ``), ErrVersion},
		"an empty one":    {s.header(), `{}`, ErrVersion},
		"no object":       {s.header(), `[]`, ErrMalformed},
		"from the future": {s.header(), change(`"iat":1796058061`, `"iat":1796057000`), ErrMalformed},
		"another zone":    {s.header(), change(`"ended_at":"2026-11-30T17:00:01.25Z"`, `"ended_at":"2026-11-30T18:00:01.25+01:00"`), ErrMalformed},
	} {
		_, err := Verify([]byte(s.compact(c.header, c.payload)), keys, "")
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Verify(bytes.Repeat([]byte("A"), MaxLen+1), keys, ""); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	small := newRSA("k1", rsaKey())
	small.jwk["n"] = b64.EncodeToString(new(big.Int).Rsh(rsaKey().N, 1100).Bytes())
	even := newRSA("k1", rsaKey())
	even.jwk["e"] = "AQAA"
	secret := signer{jwk: map[string]any{"kty": "oct", "kid": "k1", "k": "AAAA"}}
	nameless := newP256("")
	encrypts := newP256("k1")
	encrypts.jwk["use"] = "enc"
	mixed := newP256("k1")
	mixed.jwk["alg"] = "RS256"
	outside := newP256("k1")
	outside.jwk["y"] = outside.jwk["x"]
	for i, s := range []signer{small, even, secret, nameless, encrypts, mixed, outside} {
		if _, err := ParseKeys(must(json.Marshal(map[string]any{"keys": []any{s.jwk}}))); err == nil {
			t.Errorf("key %d: %v is taken", i, s.jwk)
		}
	}
	for _, text := range []string{"", "[]", "{}", `{"keys":[]}`, "<html>"} {
		if _, err := ParseKeys([]byte(text)); err == nil {
			t.Errorf("%q is a key set", text)
		}
	}
}

func TestFetchKeys(t *testing.T) {
	s := newEd25519("k1")
	set := must(json.Marshal(map[string]any{"keys": []any{s.jwk}}))
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(set) }))
	defer elsewhere.Close()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case KeysPath:
			w.Write(set)
		case "/moved":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		case "/endless":
			for range 300 {
				w.Write(bytes.Repeat([]byte(" "), 8<<10))
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer site.Close()
	keys, err := FetchKeys(t.Context(), site.URL+KeysPath)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify([]byte(s.receipt(t)), keys, ""); err != nil {
		t.Error(err)
	}
	for address, why := range map[string]string{
		site.URL + "/moved": "302", site.URL + "/nowhere": "404", site.URL + "/endless": "longer than",
		"http://id.example.com/keys": "use https", "ftp://id.example.com": "use https", "keys.json": "use https", "https://me@id.example.com": "use https",
	} {
		if _, err := FetchKeys(t.Context(), address); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	s := newEd25519("k1")
	text := s.compact(s.header(), string(must(example().Encode())))
	f.Add([]byte(text))
	f.Add([]byte("a.b.c"))
	set := must(json.Marshal(map[string]any{"keys": []any{s.jwk}}))
	keys := must(ParseKeys(set))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Verify(b, keys, ""); err == nil && string(b) != text {
			t.Errorf("%q is a receipt", b)
		}
	})
}

// A receipt that somebody has kept is one for ever, whatever the program becomes. The tests of the JavaScript module
// read these files, too.
func TestKeptReceipt(t *testing.T) {
	if *update {
		s := newRSA("k1", rsaKey())
		must(0, os.WriteFile("testdata/receipt.jws", []byte(s.receipt(t)), 0o644))
		must(0, os.WriteFile("testdata/keys.json", must(json.Marshal(map[string]any{"keys": []any{s.jwk}})), 0o644))
	}
	keys, err := ParseKeys(must(os.ReadFile("testdata/keys.json")))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Verify(must(os.ReadFile("testdata/receipt.jws")), keys, "https://id.example.com")
	if err != nil || string(must(got.Encode())) != string(must(example().Encode())) {
		t.Errorf("%+v: %v", got, err)
	}
}
