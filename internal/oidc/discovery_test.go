package oidc

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/testnode"
)

// What discovery says is so: everything that OpenID Connect Discovery section 3 requires is there, and what it lists
// answers.
func TestDiscovery(t *testing.T) {
	s := newSite(t)
	got := s.do(httptest.NewRequest(http.MethodGet, Discovery, nil))
	got.is("discovery", http.StatusOK, "")
	if got.str("issuer") != testnode.Issuer {
		t.Errorf("issuer %q", got.str("issuer"))
	}
	for name, path := range map[string]string{"authorization_endpoint": "/authorize", "end_session_endpoint": "/end_session",
		"token_endpoint": Token, "userinfo_endpoint": UserInfo, "introspection_endpoint": Introspect,
		"revocation_endpoint": Revoke, "jwks_uri": Keys,
		"device_authorization_endpoint": Device, "global_token_revocation_endpoint": GlobalRevoke} {
		if got.str(name) != testnode.Issuer+path {
			t.Errorf("%s: %q", name, got.str(name))
		}
		if strings.HasPrefix(path, Prefix) {
			method := http.MethodPost
			if path == Keys {
				method = http.MethodGet
			}
			if a := s.do(httptest.NewRequest(method, path, nil)); a.status == http.StatusNotFound {
				t.Errorf("%s: nothing is there", path)
			}
		}
	}
	list := func(name string) (out []string) {
		all, _ := got.body[name].([]any)
		for _, one := range all {
			text, _ := one.(string)
			out = append(out, text)
		}
		return out
	}
	for name, want := range map[string]string{"response_types_supported": "code", "response_modes_supported": "query",
		"subject_types_supported": "public", "id_token_signing_alg_values_supported": "RS256 ES256 EdDSA",
		"token_endpoint_auth_methods_supported":                   "client_secret_basic client_secret_post none",
		"introspection_endpoint_auth_methods_supported":           "client_secret_basic client_secret_post",
		"global_token_revocation_endpoint_auth_methods_supported": "client_secret_basic Bearer",
		"code_challenge_methods_supported":                        "S256", "prompt_values_supported": "none login consent select_account",
		"scopes_supported": "openid profile email groups offline_access"} {
		if text := strings.Join(list(name), " "); text != want {
			t.Errorf("%s: %s", name, text)
		}
	}
	for name, want := range map[string]bool{"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
		"request_parameter_supported": false, "request_uri_parameter_supported": false, "claims_parameter_supported": false} {
		if got.body[name] != want {
			t.Errorf("%s: %v", name, got.body[name])
		}
	}
	for _, grant := range []string{"authorization_code", "refresh_token", "client_credentials", "password",
		"urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"} {
		form := url.Values{"grant_type": {grant}, "device_code": {"x"}, "code": {"x"}, "refresh_token": {"x"},
			"assertion": {"x"}, "redirect_uri": {"x"}}
		a := s.post(Token, testnode.Chirp, form)
		if has := a.str("error") != "unsupported_grant_type"; has != slices.Contains(list("grant_types_supported"), grant) {
			t.Errorf("%s: %s", grant, a.text)
		}
	}
	// An app that reads an ID token finds each claim announced.
	id := s.signIn(testnode.Chirp, "openid profile groups").str("id_token")
	signed, err := jose.ParseSignedCompact(id, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claims); err != nil {
		t.Fatal(err)
	}
	for name := range maps.Keys(claims) {
		if !slices.Contains(list("claims_supported"), name) {
			t.Errorf("the claim %s is not announced", name)
		}
	}
}

// The library's lines stay out of the log, and nobody else's do.
func TestWithoutLibrary(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	var said bytes.Buffer
	slog.SetDefault(slog.New(WithoutLibrary(slog.NewTextHandler(&said, nil))).With("a", 1))
	s := newSite(t)
	s.post(Token, testnode.Chirp, url.Values{"grant_type": {"sesame"}}).is("wrong", http.StatusBadRequest, "unsupported_grant_type")
	s.post(Token, testnode.Chirp, url.Values{"grant_type": {"authorization_code"}, "code": {exeunt.NewToken(exeunt.UseCode).Reveal()}}).
		is("wrong", http.StatusBadRequest, "invalid_request")
	if said.Len() > 0 {
		t.Errorf("%s", &said)
	}
	slog.Default().WithGroup("g").Info("ours")
	if !strings.Contains(said.String(), "ours") {
		t.Errorf("%s", &said)
	}
}
