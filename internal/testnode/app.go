package testnode

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
)

// The clients of a node unless its test names others.
const (
	Chirp = exeunt.ClientID("chirp")
	Other = exeunt.ClientID("other")

	ChirpRedirect = "http://chirp.localhost:8081/exeunt/callback"
)

// ClientAt returns a client with one redirect address, at the same origin.
func ClientAt(id exeunt.ClientID, redirectURI string) exeunt.Client {
	home, err := url.Parse(redirectURI)
	if err != nil {
		panic(err)
	}
	home.Path, home.RawQuery = "/", ""
	return exeunt.Client{ID: id, Name: capital(string(id)), HomeURL: home.String(), RedirectURIs: []string{redirectURI}}
}

// verifier is a PKCE code_verifier (RFC 7636 section 4.1).
const verifier = "a-verifier-that-is-long-enough-for-rfc-7636-0123"

// Challenge returns the challenge of a verifier (RFC 7636 section 4.2, S256).
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// NewCode grants a client a code of a session.
func (n *Node) NewCode(t testing.TB, s exeunt.Session, id exeunt.ClientID, verifier string) exeunt.Token {
	t.Helper()
	code, err := n.OAuth.GrantCode(t.Context(), s.Account, s.ID, oauth.CodeRequest{
		Client: id, RedirectURI: n.redirectURI(t, id), Challenge: Challenge(verifier),
	})
	must(t, err)
	return code
}

// NewAppSession starts an app session of a browser's session, by the code flow.
func (n *Node) NewAppSession(t testing.TB, s exeunt.Session, id exeunt.ClientID) (exeunt.Token, authority.Answer) {
	t.Helper()
	return n.exchange(t, n.NewCode(t, s, id, verifier), id)
}

func (n *Node) exchange(t testing.TB, code exeunt.Token, id exeunt.ClientID) (exeunt.Token, authority.Answer) {
	t.Helper()
	got, err := n.OAuth.ExchangeCode(t.Context(), oauth.CodeExchange{
		Code: code, Client: n.Client(t, id), RedirectURI: n.redirectURI(t, id), Verifier: verifier,
	})
	must(t, err)
	return got.Access, got.Answer
}

// Client returns a registered client.
func (n *Node) Client(t testing.TB, id exeunt.ClientID) exeunt.Client {
	t.Helper()
	c, err := n.OAuth.Client(id)
	must(t, err)
	return c
}

func (n *Node) redirectURI(t testing.TB, id exeunt.ClientID) string {
	return n.Client(t, id).RedirectURIs[0]
}
