package fanout

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/testnode"
)

func parseForm(body string) url.Values {
	v, err := url.ParseQuery(body)
	if err != nil {
		return url.Values{}
	}
	return v
}

func claimsOf(token string) (out map[string]any) {
	if parts := strings.Split(token, "."); len(parts) == 3 {
		b, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(b, &out)
	}
	return out
}

// expectation is what a receiver knows.
type expectation struct {
	jwks     []byte
	client   exeunt.Client
	sub, sid string // sid "": none
	now      time.Time
	seen     map[string]bool // values of jti
}

// problem verifies a logout token as strictly as OpenID Connect Back-Channel Logout 1.0 section 2.6 allows.
func (x *expectation) problem(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "no compact form"
	}
	var header map[string]any
	raw, err := base64.RawURLEncoding.Strict().DecodeString(parts[0])
	if err != nil || json.Unmarshal(raw, &header) != nil {
		return "header"
	}
	if header["typ"] != "logout+jwt" {
		return "typ"
	}
	if header["alg"] != x.client.Alg() {
		return "alg"
	}
	if !verifies(parts, header, x.jwks) {
		return "signature"
	}
	var c map[string]any
	if raw, err = base64.RawURLEncoding.Strict().DecodeString(parts[1]); err != nil || json.Unmarshal(raw, &c) != nil {
		return "payload"
	}
	want := []string{"aud", "events", "exp", "iat", "iss", "jti", "sub"}
	if x.sid != "" {
		want = append(want, "sid")
	}
	slices.Sort(want)
	if names := slices.Sorted(maps.Keys(c)); !slices.Equal(names, want) {
		return fmt.Sprintf("claims %v", names)
	}
	iat, _ := c["iat"].(float64)
	exp, _ := c["exp"].(float64)
	jti, _ := c["jti"].(string)
	events, _ := c["events"].(map[string]any)
	event, isObject := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	now := float64(x.now.Unix())
	switch {
	case c["iss"] != issuer:
		return "iss"
	case c["aud"] != string(x.client.ID):
		return "aud"
	case c["sub"] != x.sub:
		return "sub"
	case x.sid != "" && c["sid"] != x.sid:
		return "sid"
	case iat < now-30 || iat > now+2:
		return "iat"
	case exp <= now || exp > iat+120:
		return "exp"
	case len(jti) < 20 || x.seen[jti]:
		return "jti"
	case len(events) != 1 || !isObject || len(event) != 0:
		return "events"
	}
	x.seen[jti] = true
	return ""
}

func verifies(parts []string, header map[string]any, jwks []byte) bool {
	var set struct{ Keys []map[string]string }
	if json.Unmarshal(jwks, &set) != nil {
		return false
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return false
	}
	signed := []byte(parts[0] + "." + parts[1])
	sum := sha256.Sum256(signed)
	for _, k := range set.Keys {
		if k["kid"] != header["kid"] || k["alg"] != header["alg"] {
			continue
		}
		number := func(name string) *big.Int {
			b, _ := base64.RawURLEncoding.DecodeString(k[name])
			return new(big.Int).SetBytes(b)
		}
		switch k["alg"] {
		case "RS256":
			key := &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
			return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
		case "ES256":
			key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: number("x"), Y: number("y")}
			return len(signature) == 64 && ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]),
				new(big.Int).SetBytes(signature[32:]))
		case "EdDSA":
			b, _ := base64.RawURLEncoding.DecodeString(k["x"])
			return ed25519.Verify(ed25519.PublicKey(b), signed, signature)
		}
	}
	return false
}

// Each algorithm: what an app receives is a form with a logout token and nothing else, and the strictest receiver
// accepts it. Each attempt has another one.
func TestWhatAnAppReceives(t *testing.T) {
	var apps []*app
	for _, alg := range exeunt.Algorithms {
		a := newApp(t, strings.ToLower(alg), nil)
		a.client.Algorithm = alg
		apps = append(apps, a)
	}
	s := newSite(t, testnode.Options{}, apps...)
	jwks, err := s.signers.JWKS()
	must(t, err)
	p := s.NewAccount(t, "ada")
	_, one := s.NewSession(t, p, exeunt.KindKept)
	_, all := s.NewSession(t, p, exeunt.KindKept)
	for _, a := range apps {
		s.NewAppSession(t, one, a.client.ID)
		s.NewAppSession(t, all, a.client.ID)
	}
	s.SignOut(t, one)
	until(t, "the end of one session to be confirmed", func() bool {
		return s.allAre(one, len(apps), exeunt.DeliveryConfirmed)
	})
	s.SignOutEverywhere(t, all)
	for _, a := range apps {
		until(t, "both to arrive", func() bool { return len(a.got()) == 2 })
		x := &expectation{jwks: jwks, client: a.client, sub: p.Account.String(), seen: map[string]bool{}}
		for i, sid := range []string{one.ID.String(), ""} {
			in := a.got()[i]
			x.sid, x.now = sid, s.Now()
			if why := x.problem(in.token); why != "" {
				t.Errorf("%s: a strict receiver refuses: %s\n%v", a.client.ID, why, claimsOf(in.token))
			}
			form := parseForm(in.body)
			if len(form) != 1 || len(form["logout_token"]) != 1 ||
				in.header.Get("Content-Type") != "application/x-www-form-urlencoded" || len(in.header["Cookie"]) > 0 {
				t.Errorf("the request is %v %s", in.header, in.body)
			}
			if x.problem(in.token) != "jti" {
				t.Error("the same token is accepted twice")
			}
		}
	}
	if said := s.said.String(); strings.Contains(said, apps[0].got()[0].token) {
		t.Error("a logout token is in the log")
	}
}

// allAre reports whether there are so many deliveries of the session's end, all in that state.
func (s *site) allAre(v exeunt.Session, n int, state exeunt.DeliveryState) bool {
	list := s.states(v)
	for _, d := range list {
		if d.State != state {
			return false
		}
	}
	return len(list) == n
}

// The receiver of these tests is strict: a token that is wrong in one thing is refused for that.
func TestMutationsAreRefused(t *testing.T) {
	a := newApp(t, "chirp", nil)
	s := newSite(t, testnode.Options{}, a)
	d := exeunt.Delivery{Account: exeunt.NewAccountID(), Session: exeunt.NewSessionID(), Client: "chirp"}
	good, err := s.fan.token(d, a.client, s.Now())
	must(t, err)
	jwks, err := s.signers.JWKS()
	must(t, err)
	receiver := func() *expectation {
		return &expectation{jwks: jwks, client: a.client, sub: d.Account.String(), sid: d.Session.String(), now: s.Now(),
			seen: map[string]bool{}}
	}
	if why := receiver().problem(good); why != "" {
		t.Fatalf("a good token is refused: %s", why)
	}
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	drop := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	now := s.Now().Unix()
	for what, change := range map[string]func(map[string]any){
		"another issuer": set("iss", issuer+"/"), "no issuer": drop("iss"),
		"another audience": set("aud", "other"), "no audience": drop("aud"),
		"another subject": set("sub", exeunt.NewAccountID().String()), "no subject": drop("sub"),
		"another session": set("sid", exeunt.NewSessionID().String()), "no session": drop("sid"),
		"old": set("iat", now-600), "of the future": set("iat", now+600), "no iat": drop("iat"),
		"expired": set("exp", now-1), "valid for long": set("exp", now+180), "no exp": drop("exp"),
		"no jti": drop("jti"), "a short jti": set("jti", "1"),
		"a nonce": set("nonce", "n"), "no events": drop("events"),
		"another event": set("events", map[string]any{"other": map[string]any{}}),
		"two events":    set("events", map[string]any{logoutEvent: map[string]any{}, "other": map[string]any{}}),
		"a full event":  set("events", map[string]any{logoutEvent: map[string]any{"a": 1}}),
		"a null event":  set("events", map[string]any{logoutEvent: nil}),
	} {
		c := claimsOf(good)
		change(c)
		payload, err := json.Marshal(c)
		must(t, err)
		token, err := s.signers.Sign("ES256", tokenType, payload)
		must(t, err)
		if receiver().problem(token) == "" {
			t.Errorf("%s: accepted", what)
		}
	}
	payload, err := json.Marshal(claimsOf(good))
	must(t, err)
	for what, sign := range map[string][2]string{
		"another typ": {"ES256", "JWT"}, "another algorithm": {"EdDSA", tokenType},
	} {
		token, err := s.signers.Sign(sign[0], sign[1], payload)
		must(t, err)
		if receiver().problem(token) == "" {
			t.Errorf("%s: accepted", what)
		}
	}
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"logout+jwt"}`)) + "." + parts[1] + "."
	changed := []byte(strings.Replace(string(payload), "chirp", "chirq", 1))
	other := parts[0] + "." + base64.RawURLEncoding.EncodeToString(changed) + "." + parts[2]
	for what, token := range map[string]string{"unsigned": none, "changed after it was signed": other} {
		if receiver().problem(token) == "" {
			t.Errorf("%s: accepted", what)
		}
	}
}
