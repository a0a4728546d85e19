package pages

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"testing"
)

// authenticator is a passkey in software: it answers as a browser and an authenticator do together (WebAuthn Level 3,
// sections 6.1 and 5.8.1), and also wrongly.
type authenticator struct {
	t      testing.TB
	key    *ecdsa.PrivateKey
	id     []byte
	user   string // the user handle, as the site gave it
	count  uint32
	flags  byte // user present and verified, backup eligible and backed up
	rp     string
	origin string
}

func newAuthenticator(t testing.TB) *authenticator {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	rand.Read(id)
	return &authenticator{t: t, key: key, id: id, flags: 0x01 | 0x04 | 0x08 | 0x10, rp: "exeunt.localhost", origin: testOrigin}
}

// question is the part of the options that is needed here.
type question struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	User      struct{ ID string }
	Allow     []struct{ ID string } `json:"allowCredentials"`
	Exclude   []struct{ ID string } `json:"excludeCredentials"`
	Verify    string                `json:"userVerification"`
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (a *authenticator) clientData(kind, challenge string) []byte {
	text, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

func (a *authenticator) data(more byte) []byte {
	rp := sha256.Sum256([]byte(a.rp))
	return binary.BigEndian.AppendUint32(append(rp[:], a.flags|more), a.count)
}

// make answers what the page asks to make.
func (a *authenticator) make(q question) string {
	a.user = q.User.ID
	data := a.data(0x40)
	data = append(data, make([]byte, 16)...) // AAGUID
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(data, a.id...)
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		a.t.Fatal(err)
	}
	data = append(data, 0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20) // COSE: EC2, ES256, P-256, x, y
	data = append(append(append(data, point[1:33]...), 0x22, 0x58, 0x20), point[33:]...)
	object := append([]byte{0xa3}, "\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"...)
	object = append(binary.BigEndian.AppendUint16(object, uint16(len(data))), data...)
	return a.json(map[string]any{"clientDataJSON": b64(a.clientData("webauthn.create", q.Challenge)),
		"attestationObject": b64(object), "transports": []string{"internal", "hybrid"}})
}

// answer answers what the page asks to prove.
func (a *authenticator) answer(q question) string {
	client, data := a.clientData("webauthn.get", q.Challenge), a.data(0)
	sum := sha256.Sum256(client)
	signed := sha256.Sum256(append(append([]byte{}, data...), sum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, signed[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return a.json(map[string]any{"clientDataJSON": b64(client), "authenticatorData": b64(data),
		"signature": b64(signature), "userHandle": a.user})
}

func (a *authenticator) json(response map[string]any) string {
	text, err := json.Marshal(map[string]any{"id": b64(a.id), "rawId": b64(a.id), "type": "public-key",
		"authenticatorAttachment": "platform", "clientExtensionResults": map[string]any{}, "response": response})
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}

// question is what the script asks before a form is sent: to sign in, or with "?confirm", who somebody is.
func (b *browser) question(more string) (q question) {
	b.t.Helper()
	a := b.send(http.MethodGet, "/passkey"+more, nil).is(http.StatusOK)
	if err := json.Unmarshal([]byte(a.body), &q); err != nil {
		b.t.Fatal(err)
	}
	if q.Verify != "required" || q.RPID != "exeunt.localhost" {
		b.t.Errorf("the question is %s", a.body)
	}
	return q
}

// asks reads the question that is in the page.
func (a *answer) asks(attribute string) (q question) {
	a.t.Helper()
	m := regexp.MustCompile(attribute + `="([^"]*)"`).FindStringSubmatch(a.body)
	if m == nil {
		a.t.Fatalf("%s asks nothing: %s", a.at, text(a.body))
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(m[1])), &q); err != nil {
		a.t.Fatal(err)
	}
	return q
}

// addPasskey has the person who is signed in make a passkey.
func (b *browser) addPasskey(fill url.Values) (*authenticator, *answer) {
	b.t.Helper()
	key := newAuthenticator(b.t)
	page := b.get("/security/passkeys").is(http.StatusOK)
	form := b.fields(page.form("/security/passkeys"))
	form.Set("made", key.make(page.asks("data-passkey-make")))
	for name, value := range fill {
		form[name] = value
	}
	return key, b.post("/security/passkeys", form)
}

// passkeyForm is the filled-in form of a sign-in by passkey.
func (b *browser) passkeyForm(key *authenticator, back string) url.Values {
	b.t.Helper()
	form := b.get(withReturn("/signin", back)).form("/signin")
	form.Set("kind", "kept")
	form.Set("passkey", key.answer(b.question("")))
	return form
}
