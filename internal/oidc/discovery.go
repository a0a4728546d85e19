package oidc

import (
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
)

// metadata is what apps find out about the provider by themselves (OpenID Connect Discovery section 3, RFC 8414
// section 2). Whatever is not listed is not supported.
func metadata(issuer string, languages []string) map[string]any {
	withSecret := []exeunt.ClientAuth{exeunt.ClientSecretBasic, exeunt.ClientSecretPost}
	anyClient := append(withSecret[:2:2], exeunt.ClientPublic)
	return map[string]any{
		"issuer":                        issuer,
		"authorization_endpoint":        issuer + Authorize,
		"token_endpoint":                issuer + Token,
		"userinfo_endpoint":             issuer + UserInfo,
		"introspection_endpoint":        issuer + Introspect,
		"revocation_endpoint":           issuer + Revoke,
		"end_session_endpoint":          issuer + EndSession,
		"device_authorization_endpoint": issuer + Device,
		"jwks_uri":                      issuer + Keys,

		"global_token_revocation_endpoint":                        issuer + GlobalRevoke,
		"global_token_revocation_endpoint_auth_methods_supported": []string{string(exeunt.ClientSecretBasic), "Bearer"},

		"scopes_supported":                      exeunt.KnownScopes,
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"grant_types_supported":                 []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeDeviceCode},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": exeunt.Algorithms,
		"acr_values_supported":                  []string{oauth.ACR, oauth.ACRSeveral},
		"claim_types_supported":                 []string{"normal"},
		"claims_supported": []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid", "session_expiry",
			"preferred_username", "name", "picture", "email", "email_verified", "groups",
		},
		"code_challenge_methods_supported": []string{"S256"},
		"prompt_values_supported": []string{
			oauth.PromptNone, oauth.PromptLogin, oauth.PromptConsent, oauth.PromptSelect,
		},
		"ui_locales_supported":                           languages,
		"token_endpoint_auth_methods_supported":          anyClient,
		"revocation_endpoint_auth_methods_supported":     anyClient,
		"introspection_endpoint_auth_methods_supported":  withSecret,
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"authorization_response_iss_parameter_supported": true, // RFC 9207 section 3
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
	}
}
