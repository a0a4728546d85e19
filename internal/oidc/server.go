package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
)

// server is what the library calls once it has read a request. Grants that it reads and we do not have are refused by
// what is embedded.
type server struct {
	op.UnimplementedServer
	*Provider
}

// answer hands a value or an error to the library. Errors go past it: it logs them all, and knows too few.
func answer(ctx context.Context, v any, err error) (*op.Response, error) {
	if err != nil {
		callOf(ctx).err = err
	}
	return op.NewResponse(v), nil
}

// client is a registered client as the library sees it.
type client struct {
	op.Client // nil: the library calls nothing of it that is not below, as the tests of every endpoint show
	app       exeunt.Client
}

func (c client) GetID() string               { return string(c.app.ID) }
func (c client) AuthMethod() oidc.AuthMethod { return oidc.AuthMethod(c.app.AuthMethod()) }

// GrantTypes are all, so that a grant that nobody has is refused as such, not as one that this client lacks.
func (c client) GrantTypes() []oidc.GrantType { return oidc.AllGrantTypes }

// refused is for where the library goes on unless it gets an error.
func refused(ctx context.Context, err error) error {
	callOf(ctx).err = err
	return oidc.ErrInvalidClient()
}

// VerifyClient takes a secret in either place, since it proves the same in both. A client without one only says who it
// is.
func (s *server) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	c, err := s.OAuth.Authenticate(r.Data.ClientID, r.Data.ClientSecret)
	if err != nil {
		return nil, refused(ctx, err)
	}
	if named := r.Form.Get("client_id"); named != "" && named != r.Data.ClientID {
		return nil, refused(ctx, &oauth.Refusal{Code: "invalid_request", Description: "the form names another client"})
	}
	return client{app: c}, nil
}

func appOf(c op.Client) exeunt.Client { return c.(client).app }

// CodeExchange is the grant authorization_code (RFC 6749 section 4.1.3).
func (s *server) CodeExchange(
	ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest],
) (*op.Response, error) {
	code, err := exeunt.ParseToken(r.Data.Code)
	if err != nil {
		return answer(ctx, nil, exeunt.ErrCodeSpent)
	}
	c := appOf(r.Client)
	got, err := s.OAuth.ExchangeCode(ctx, oauth.CodeExchange{
		Code: code, Client: c, RedirectURI: r.Data.RedirectURI, Verifier: r.Data.CodeVerifier,
		Device: deviceOf(ctx),
	})
	return s.tokens(ctx, c, got, err)
}

// RefreshToken is the grant refresh_token (RFC 6749 section 6).
func (s *server) RefreshToken(
	ctx context.Context, r *op.ClientRequest[oidc.RefreshTokenRequest],
) (*op.Response, error) {
	c := appOf(r.Client)
	got, err := s.OAuth.Refresh(ctx, c, r.Data.RefreshToken)
	if errors.Is(err, exeunt.ErrCodeSpent) {
		err = errRefresh
	}
	return s.tokens(ctx, c, got, err)
}

// errRefresh does not say which of the causes it is, which would only help whoever stole the token.
var errRefresh = &oauth.Refusal{Code: "invalid_grant",
	Description: "this refresh token is of no use: its sign-in has ended, or it was replaced; sign the person in again"}

// DeviceAuthorization begins the grant for devices on which people cannot type (RFC 8628 section 3.1).
func (s *server) DeviceAuthorization(
	ctx context.Context, r *op.ClientRequest[oidc.DeviceAuthorizationRequest],
) (*op.Response, error) {
	code, typed, err := s.OAuth.StartDevice(ctx, appOf(r.Client), exeunt.ParseScopes(r.Data.Scopes.String()), deviceOf(ctx))
	at := s.OAuth.Issuer + UserCode
	return answer(ctx, &oidc.DeviceAuthorizationResponse{
		DeviceCode: code.Reveal(), UserCode: typed, VerificationURI: at,
		VerificationURIComplete: at + "?" + url.Values{"user_code": {typed}}.Encode(),
		ExpiresIn:               int(oauth.DeviceLife / time.Second), Interval: int(oauth.DeviceInterval / time.Second),
	}, err)
}

// DeviceToken is the grant device_code (RFC 8628 section 3.4).
func (s *server) DeviceToken(
	ctx context.Context, r *op.ClientRequest[oidc.DeviceAccessTokenRequest],
) (*op.Response, error) {
	code, _ := exeunt.ParseToken(r.Data.DeviceCode) // the zero token is no code
	c := appOf(r.Client)
	got, err := s.OAuth.ExchangeDevice(ctx, c, code, deviceOf(ctx))
	return s.tokens(ctx, c, got, err)
}

func deviceOf(ctx context.Context) authority.Device {
	c := callOf(ctx)
	return authority.Device{UserAgent: c.userAgent, Address: c.from}
}

// tokens answers with tokens (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3).
func (s *server) tokens(ctx context.Context, c exeunt.Client, got oauth.Tokens, err error) (*op.Response, error) {
	if err != nil {
		return answer(ctx, nil, err)
	}
	id, err := s.OAuth.IDToken(ctx, c, got)
	if err != nil {
		return answer(ctx, nil, err)
	}
	return answer(ctx, &oidc.AccessTokenResponse{
		AccessToken: got.Access.Reveal(), TokenType: oidc.BearerToken, RefreshToken: got.Refresh.Reveal(),
		ExpiresIn: uint64(max(0, got.ExpiresAt().Sub(s.OAuth.Now())/time.Second)), IDToken: id.Reveal(),
		Scope: got.Scopes.List(),
	}, nil)
}

// UserInfo tells the holder of an access token whose it is (OpenID Connect Core section 5.3).
func (s *server) UserInfo(ctx context.Context, r *op.Request[oidc.UserInfoRequest]) (*op.Response, error) {
	ans, err := s.accessToken(ctx, r.Data.AccessToken)
	if err == nil && !ans.Usable() {
		err = errInvalidToken
	}
	if err == nil {
		err = s.Authority.CountUserInfo(ans, callOf(ctx).from)
	}
	if err != nil {
		return answer(ctx, nil, err)
	}
	app, err := s.Authority.AppSession(ctx, ans.Account, ans.App)
	if err != nil {
		return answer(ctx, nil, err)
	}
	profile, err := s.Authority.Profile(ctx, ans)
	return answer(ctx, s.OAuth.PersonClaims(ans.Account, profile, app.Scopes), err)
}

// accessToken returns what is known of an access token. The answer is not usable if it is of no use, whatever the cause.
func (s *server) accessToken(ctx context.Context, text string) (ans authority.Answer, err error) {
	token, malformed := exeunt.ParseToken(text)
	if malformed != nil || !token.Use().OfApp() {
		return ans, nil
	}
	ans = s.Authority.Check(ctx, authority.Credential{Token: token, Use: authority.AsBearer})
	if ans.State == authority.Indeterminate {
		err = exeunt.ErrUnavailable
	}
	return ans, err
}

// Introspect tells a client about its own access tokens (RFC 7662 section 2). Of anything else it says only that it is
// not active. The library has seen to it that there is a secret, so it is no public client.
func (s *server) Introspect(ctx context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	c, err := s.OAuth.Authenticate(r.Data.ClientID, r.Data.ClientSecret)
	if err != nil {
		return answer(ctx, nil, err)
	}
	if err := s.Authority.CountIntrospection(c.ID, callOf(ctx).from); err != nil {
		return answer(ctx, nil, err)
	}
	ans, err := s.accessToken(ctx, r.Data.Token)
	if err != nil || !ans.Usable() || ans.Client != c.ID {
		return answer(ctx, map[string]any{"active": false}, err)
	}
	app, err := s.Authority.AppSession(ctx, ans.Account, ans.App)
	if err != nil {
		return answer(ctx, nil, err)
	}
	profile, err := s.Authority.Profile(ctx, ans)
	out := s.OAuth.PersonClaims(ans.Account, profile, app.Scopes)
	out["active"], out["token_type"], out["iss"], out["client_id"] = true, oidc.BearerToken, s.OAuth.Issuer, c.ID
	out["scope"], out["sid"] = app.Scopes, ans.Session
	out["iat"], out["exp"] = ans.IssuedAt().Unix(), ans.ExpiresAt().Unix()
	if app.Scopes.Has(exeunt.ScopeProfile) {
		out["username"] = profile.Handle
	}
	return answer(ctx, out, err)
}

// Revocation signs an app out with one of its tokens (RFC 7009).
func (s *server) Revocation(
	ctx context.Context, r *op.ClientRequest[oidc.RevocationRequest],
) (*op.Response, error) {
	err := s.OAuth.Revoke(ctx, appOf(r.Client), r.Data.Token, callOf(ctx).from)
	return answer(ctx, struct{}{}, err)
}

// Keys publishes the keys that ID and logout tokens are signed with.
func (s *server) Keys(ctx context.Context, _ *op.Request[struct{}]) (*op.Response, error) {
	set, err := s.OAuth.Signers.JWKS()
	return answer(ctx, json.RawMessage(set), err)
}

// Discovery is answered with what there is.
func (s *server) Discovery(ctx context.Context, _ *op.Request[struct{}]) (*op.Response, error) {
	return answer(ctx, metadata(s.OAuth.Issuer, s.Languages), nil)
}
