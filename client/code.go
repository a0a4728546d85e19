package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// CodeGrant is what an app presents to exchange the code of a sign-in (RFC 6749 section 4.1.3).
type CodeGrant struct {
	ClientID    string
	Key         Secret // the app's client_secret
	Code        Secret
	RedirectURI string // as in the request
	Verifier    Secret // of the request's code_challenge (RFC 7636 section 4.1)
	Nonce       string // as in the request
}

// Issuer names the authority in the answers of its protocol, as `iss`.
func (c *Client) Issuer() string { return strings.TrimSuffix(c.base.String(), "/") }

// ExchangeCode exchanges a sign-in's code for an app session and returns its token. Problems: invalid_grant, when the
// code is spent, expired or not this app's; invalid_client, when the key is not the app's.
func (c *Client) ExchangeCode(ctx context.Context, g CodeGrant) (Secret, error) {
	var out struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		IDToken     string `json:"id_token"`
	}
	err := c.call(ctx, request{
		method: http.MethodPost, path: "/oauth/token", user: g.ClientID, token: g.Key, out: &out, status: http.StatusOK,
		form: url.Values{
			"grant_type": {"authorization_code"}, "code": {g.Code.Reveal()}, "redirect_uri": {g.RedirectURI},
			"code_verifier": {g.Verifier.Reveal()},
		},
	})
	switch {
	case err != nil:
		return Secret{}, err
	case out.AccessToken == "" || !strings.EqualFold(out.TokenType, "Bearer"): // RFC 6749 section 5.1
		return Secret{}, fmt.Errorf("%w: its answer has no bearer token", ErrUnavailable)
	}
	if err := c.checkIDToken(out.IDToken, g); err != nil {
		return Secret{}, fmt.Errorf("%w: its answer is not for this sign-in: %w", ErrUnavailable, err)
	}
	return NewSecret(out.AccessToken), nil
}

// checkIDToken checks that an ID token answers this request. It comes from the authority itself, so TLS stands for its
// signature, and the nonce for its age (OpenID Connect Core section 3.1.3.7).
func (c *Client) checkIDToken(text string, g CodeGrant) error {
	var claims struct {
		Issuer   string   `json:"iss"`
		Audience audience `json:"aud"`
		Nonce    string   `json:"nonce"`
	}
	part := strings.Split(text, ".")
	if len(part) != 3 {
		return fmt.Errorf("there is no ID token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return fmt.Errorf("the ID token is malformed")
	}
	switch {
	case claims.Issuer != c.Issuer():
		return fmt.Errorf("the issuer is %q, not %q", claims.Issuer, c.Issuer())
	case !slices.Contains(claims.Audience, g.ClientID):
		return fmt.Errorf("the ID token is for another app")
	case claims.Nonce != g.Nonce:
		return fmt.Errorf("the ID token has another nonce")
	}
	return nil
}

// audience is a text or several (RFC 7519 section 4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}
