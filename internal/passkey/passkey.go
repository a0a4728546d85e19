// Package passkey knows what a browser is asked with a passkey, and whether its answer is right (Web Authentication
// Level 3, https://www.w3.org/TR/webauthn-3/).
//
// It owns the form of questions and answers, and what is stored of a passkey. It stores nothing, and does not know which
// answers were used before (store does) or how often somebody may try (signin does).
package passkey

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/exeunt/exeunt"
)

// Site is the site that passkeys are made for. It is safe for concurrent use.
type Site struct{ rp *webauthn.WebAuthn }

// New returns the site at that address. Passkeys belong to a domain name, so a site that is known by an IP address has
// none: then it returns nil.
func New(address string) (*Site, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address of the site: %w", err)
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return nil, nil
	}
	rp, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: u.Hostname(), RPOrigins: []string{u.Scheme + "://" + u.Host},
		// Password managers add outputs that nobody has asked for, and which are ignored.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys of %s: %w", u.Hostname(), err)
	}
	return &Site{rp}, nil
}

// Domain is the name that passkeys of the site belong to, its "relying party identifier".
func (s *Site) Domain() string { return s.rp.Config.RPID }

// Key is what is stored of a passkey. All of it is public.
type Key struct {
	PublicKey  []byte
	AAGUID     []byte // the authenticator's model
	Flags      byte   // of the last answer: user present and verified, backup eligible and backed up
	Count      uint32 // how many answers the authenticator has counted; always 0 for most
	Transports []string
}

// ReadKey reads what Key.Data wrote.
func ReadKey(data []byte) (k Key, err error) {
	err = json.Unmarshal(data, &k)
	return k, err
}

// Data is the key as it is stored.
func (k Key) Data() ([]byte, error) { return json.Marshal(k) }

// Person is whose passkey it is. The account's ID is the "user handle": it says nothing of anybody (section 14.6.1).
type Person struct {
	Account exeunt.AccountID
	Handle  string
	Name    string
}

// holder is a webauthn.User with at most one credential: the one that has answered.
type holder struct {
	Person
	credentials []webauthn.Credential
}

func (h holder) WebAuthnID() []byte                         { return h.Account.Bytes() }
func (h holder) WebAuthnName() string                       { return h.Handle }
func (h holder) WebAuthnDisplayName() string                { return h.Name }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.credentials }

// patience is how long a browser waits for its user.
const patience = 5 * time.Minute

// algorithms are ES256, Ed25519 and RS256 in this order (section 5.4, RFC 9053): whatever authenticators there are has
// one of them.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: -7}, {Type: protocol.PublicKeyCredentialType, Algorithm: -8},
	{Type: protocol.PublicKeyCredentialType, Algorithm: -257},
}

// Make is what the browser is asked to make a passkey: one that is found without a name (discoverable) and that verifies
// its user (sections 5.4.4 and 5.8.6), unless the authenticator has one of those already.
func (s *Site) Make(challenge []byte, p Person, has [][]byte) ([]byte, error) {
	needed := true
	return json.Marshal(protocol.PublicKeyCredentialCreationOptions{
		RelyingParty: protocol.RelyingPartyEntity{ID: s.Domain(),
			CredentialEntity: protocol.CredentialEntity{Name: s.rp.Config.RPDisplayName}},
		User: protocol.UserEntity{ID: protocol.URLEncodedBase64(p.Account.Bytes()), DisplayName: p.Name,
			CredentialEntity: protocol.CredentialEntity{Name: p.Handle}},
		Challenge: challenge, Parameters: algorithms, Timeout: int(patience.Milliseconds()),
		CredentialExcludeList: named(has, nil),
		AuthenticatorSelection: protocol.AuthenticatorSelection{RequireResidentKey: &needed,
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired},
		Attestation: protocol.PreferNoAttestation,
	})
}

// Made verifies what the browser has made, and returns the passkey's ID with it (section 7.1).
func (s *Site) Made(answer string, challenge []byte, p Person) (credential []byte, k Key, err error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return nil, k, fmt.Errorf("new passkey: %w", err)
	}
	made, err := s.rp.CreateCredential(holder{Person: p}, webauthn.SessionData{
		Challenge: text(challenge), UserID: p.Account.Bytes(), CredParams: algorithms,
		UserVerification: protocol.VerificationRequired}, parsed)
	if err != nil {
		return nil, k, fmt.Errorf("new passkey: %w", err)
	}
	k = Key{PublicKey: made.PublicKey, AAGUID: made.Authenticator.AAGUID, Flags: made.Flags.MsgpByte(),
		Count: made.Authenticator.SignCount}
	for _, t := range made.Transport {
		k.Transports = append(k.Transports, string(t))
	}
	return made.ID, k, nil
}

// Known is a passkey that a browser may look for.
type Known struct {
	Credential []byte
	Transports []string // how it is reached
}

// Ask is what the browser is asked for an answer by a passkey: by any of the site's, or by one of those.
func (s *Site) Ask(challenge []byte, of []Known) ([]byte, error) {
	o := protocol.PublicKeyCredentialRequestOptions{Challenge: challenge, RelyingPartyID: s.Domain(),
		Timeout: int(patience.Milliseconds()), UserVerification: protocol.VerificationRequired}
	for _, k := range of {
		o.AllowedCredentials = append(o.AllowedCredentials, named([][]byte{k.Credential}, k.Transports)...)
	}
	return json.Marshal(o)
}

func named(credentials [][]byte, transports []string) (out []protocol.CredentialDescriptor) {
	for _, id := range credentials {
		d := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: id}
		for _, t := range transports {
			d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
		}
		out = append(out, d)
	}
	return out
}

// Answer is what a browser says that a passkey has answered. Nothing of it is verified.
type Answer struct {
	parsed *protocol.ParsedCredentialAssertionData
}

// ReadAnswer reads an answer.
func ReadAnswer(answer string) (Answer, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil {
		return Answer{}, fmt.Errorf("answer of a passkey: %w", err)
	}
	return Answer{parsed}, nil
}

// Credential is the ID of the passkey.
func (a Answer) Credential() []byte { return a.parsed.RawID }

// Account is whose passkey it says that it is; false when it does not say so.
func (a Answer) Account() (id exeunt.AccountID, ok bool) {
	handle := a.parsed.Response.UserHandle
	if len(handle) != len(id.Raw()) {
		return id, false
	}
	return id, id.Scan([]byte(handle)) == nil
}

// Verify verifies that the passkey has answered the challenge on this site, and that it has verified its user (section
// 7.2). The key that it returns replaces the stored one. cloned says that the answer is right, and that the authenticator
// has counted backwards or not at all: perhaps somebody has copied it (section 6.1.1).
func (s *Site) Verify(a Answer, challenge []byte, of exeunt.AccountID, k Key) (next Key, cloned bool, err error) {
	known := webauthn.Credential{ID: a.Credential(), PublicKey: k.PublicKey,
		Flags:         webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(k.Flags)),
		Authenticator: webauthn.Authenticator{AAGUID: k.AAGUID, SignCount: k.Count}}
	got, err := s.rp.ValidateLogin(holder{Person{Account: of}, []webauthn.Credential{known}}, webauthn.SessionData{
		Challenge: text(challenge), UserID: of.Bytes(), UserVerification: protocol.VerificationRequired}, a.parsed)
	if err != nil {
		return k, false, fmt.Errorf("answer of a passkey: %w", err)
	}
	k.Flags, k.Count = got.Flags.MsgpByte(), got.Authenticator.SignCount
	return k, got.Authenticator.CloneWarning, nil
}

func text(challenge []byte) string { return base64.RawURLEncoding.EncodeToString(challenge) }
