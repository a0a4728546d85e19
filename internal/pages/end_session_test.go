package pages

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/testnode"
)

const chirpBye = "http://chirp.localhost:8081/bye?from=exeunt"

// newEndNode is a node on which Chirp may be led back to.
func newEndNode(t *testing.T, change ...func(*exeunt.Client)) *node {
	t.Helper()
	n := newNode(t)
	c := n.Client(t, testnode.Chirp)
	c.PostLogoutURIs = []string{chirpBye, "http://chirp.localhost:8081/plain"}
	for _, f := range change {
		f(&c)
	}
	other := testnode.ClientAt(testnode.Other, "http://other.localhost:8082/exeunt/callback")
	other.Keys, other.PostLogoutURIs = c.Keys, []string{"http://other.localhost:8082/bye"}
	n.must(n.OAuth.Reconcile(t.Context(), []exeunt.Client{c, other}, n.Now()))
	n.account("ada")
	return n
}

// claims are those of an ID token that Chirp got for the browser's session.
func (n *node) claims(b *browser) map[string]any {
	n.t.Helper()
	return map[string]any{"iss": n.OAuth.Issuer, "sub": n.id("ada").String(), "aud": "chirp", "sid": b.session().String(),
		"iat": n.Now().Unix(), "exp": n.Now().Add(time.Minute).Unix()}
}

func (n *node) sign(typ string, claims map[string]any) string {
	n.t.Helper()
	payload, err := json.Marshal(claims)
	n.must(err)
	token, err := n.OAuth.Signers.Sign("ES256", typ, payload)
	n.must(err)
	return token
}

// signedByAnother is a token with the header of another one, and the signature of a key of somebody else's.
func signedByAnother(t *testing.T, token string, payload map[string]any) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key,
		KeyID: ours.Signatures[0].Protected.KeyID}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Whatever an app's request says, a person is asked, and what they answer happens. The request only decides what is
// offered, and where the browser goes then.
func TestEndSession(t *testing.T) {
	n := newEndNode(t)
	n.account("bob")
	state := strings.Repeat("ab +&=%ü", 32) // 256 characters
	for name, c := range map[string]struct {
		ask   func(n *node, b *browser) url.Values
		says  []string
		hides []string
		only  bool   // "Only Chirp" is offered
		to    string // where the sign-out leads
	}{
		"hint, uri and state": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"id_token_hint": {n.sign("JWT", n.claims(b))}, "post_logout_redirect_uri": {chirpBye}, "state": {state},
					"ui_locales": {"de en"}, "logout_hint": {"ada"}}
			},
			says: []string{"Chirp asks to sign you out", "Afterwards you return to Chirp", "Closes at once"}, only: true,
			hides: []string{"does not match", "not in order"},
			to:    chirpBye + "&state=" + strings.ReplaceAll(url.QueryEscape(state), "+", "%20"),
		},
		"an expired hint": {
			ask: func(n *node, b *browser) url.Values {
				h := n.claims(b)
				h["exp"] = n.Now().Add(-time.Hour).Unix()
				return url.Values{"id_token_hint": {n.sign("JWT", h)}, "post_logout_redirect_uri": {chirpBye}}
			}, only: true, to: chirpBye, hides: []string{"does not match"},
		},
		"hint and the same client": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"id_token_hint": {n.sign("JWT", n.claims(b))}, "client_id": {"chirp"},
					"post_logout_redirect_uri": {"http://chirp.localhost:8081/plain"}, "state": {"s"}}
			}, only: true, to: "http://chirp.localhost:8081/plain?state=s",
		},
		"hint and another client": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"id_token_hint": {n.sign("JWT", n.claims(b))}, "client_id": {"other"},
					"post_logout_redirect_uri": {"http://other.localhost:8082/bye"}}
			}, says: []string{"does not match", "not in order"}, to: "/signed-out?client=other",
		},
		"client and uri": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"client_id": {"chirp"}, "post_logout_redirect_uri": {chirpBye}, "state": {"s"}}
			}, only: true, to: chirpBye + "&state=s", hides: []string{"does not match"},
		},
		"client alone": {
			ask:  func(n *node, b *browser) url.Values { return url.Values{"client_id": {"chirp"}} },
			only: true, to: "/signed-out?client=chirp", hides: []string{"not in order"},
		},
		"hint alone": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"id_token_hint": {n.sign("JWT", n.claims(b))}}
			}, only: true, to: "/signed-out?client=chirp", hides: []string{"not in order", "Afterwards"},
		},
		"nothing":    {ask: func(*node, *browser) url.Values { return nil }, says: []string{"Another site asks"}, to: "/signed-out"},
		"only state": {ask: func(*node, *browser) url.Values { return url.Values{"state": {"s"}} }, says: []string{"Another site asks"}, to: "/signed-out"},
		"an address that is not registered": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"id_token_hint": {n.sign("JWT", n.claims(b))}, "post_logout_redirect_uri": {"https://evil.example/"}}
			}, says: []string{"not in order"}, only: true, to: "/signed-out?client=chirp", hides: []string{"evil"},
		},
		"something added to its query": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"id_token_hint": {n.sign("JWT", n.claims(b))}, "post_logout_redirect_uri": {chirpBye + "&x=1"}}
			}, says: []string{"not in order"}, only: true, to: "/signed-out?client=chirp",
		},
		"the address of another client": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"client_id": {"chirp"}, "post_logout_redirect_uri": {"http://other.localhost:8082/bye"}}
			}, says: []string{"not in order"}, only: true, to: "/signed-out?client=chirp",
		},
		"a redirect address that is none for afterwards": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"client_id": {"chirp"}, "post_logout_redirect_uri": {chirpBack}}
			}, says: []string{"not in order"}, only: true, to: "/signed-out?client=chirp",
		},
		"an address of nobody": {
			ask:  func(n *node, b *browser) url.Values { return url.Values{"post_logout_redirect_uri": {chirpBye}} },
			says: []string{"not in order"}, to: "/signed-out",
		},
		"an unknown client": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"client_id": {"nobody"}, "post_logout_redirect_uri": {chirpBye}}
			}, says: []string{"not in order"}, to: "/signed-out",
		},
		"two addresses": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"client_id": {"chirp"}, "post_logout_redirect_uri": {chirpBye, "https://evil.example/"}}
			}, says: []string{"not in order"}, only: true, to: "/signed-out?client=chirp",
		},
		"a state that is too long": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"client_id": {"chirp"}, "post_logout_redirect_uri": {chirpBye}, "state": {strings.Repeat("s", 2049)}}
			}, says: []string{"not in order"}, only: true, to: "/signed-out?client=chirp",
		},
		"a hint without a signature": {
			ask: func(n *node, b *browser) url.Values {
				payload, err := json.Marshal(n.claims(b))
				n.must(err)
				none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." +
					base64.RawURLEncoding.EncodeToString(payload) + "."
				return url.Values{"id_token_hint": {none}, "client_id": {"chirp"}, "post_logout_redirect_uri": {chirpBye}}
			}, says: []string{"does not match", "not in order"}, only: true, to: "/signed-out?client=chirp",
		},
		"a hint that somebody else signed": {
			ask: func(n *node, b *browser) url.Values {
				forged := signedByAnother(n.t.(*testing.T), n.sign("JWT", n.claims(b)), n.claims(b))
				return url.Values{"id_token_hint": {forged}, "client_id": {"chirp"}, "post_logout_redirect_uri": {chirpBye}}
			}, says: []string{"does not match", "not in order"}, only: true, to: "/signed-out?client=chirp",
		},
		"a hint of another issuer": {
			ask: func(n *node, b *browser) url.Values {
				h := n.claims(b)
				h["iss"] = "https://evil.example"
				return url.Values{"id_token_hint": {n.sign("JWT", h)}, "post_logout_redirect_uri": {chirpBye}}
			}, says: []string{"does not match", "not in order"}, to: "/signed-out",
		},
		"a logout token as a hint": {
			ask: func(n *node, b *browser) url.Values {
				return url.Values{"id_token_hint": {n.sign("logout+jwt", n.claims(b))}, "post_logout_redirect_uri": {chirpBye}}
			}, says: []string{"does not match", "not in order"}, to: "/signed-out",
		},
		"a hint of another session": { // nothing of that ends, and the app is in order
			ask: func(n *node, b *browser) url.Values {
				h := n.claims(b)
				h["sid"] = n.signedIn("ada").session().String()
				return url.Values{"id_token_hint": {n.sign("JWT", h)}, "post_logout_redirect_uri": {chirpBye}}
			}, says: []string{"does not match"}, only: true, to: chirpBye,
		},
		"a hint of another account": {
			ask: func(n *node, b *browser) url.Values {
				h := n.claims(b)
				h["sub"], h["sid"] = n.id("bob").String(), n.signedIn("bob").session().String()
				return url.Values{"id_token_hint": {n.sign("JWT", h)}, "post_logout_redirect_uri": {chirpBye}}
			}, says: []string{"does not match"}, only: true, to: chirpBye,
		},
	} {
		t.Run(name, func(t *testing.T) {
			n.Clock.Pass(time.Hour)
			b := n.signedIn("ada")
			n.appSession(b)
			ask, before := c.ask(n, b), len(n.ends())
			// By GET, and posted from the app's own site: either way nothing happens but that the page is shown.
			cross := newBrowser(n)
			cross.cookies, cross.site, cross.origin = b.cookies, "cross-site", "http://chirp.localhost:8081"
			posted := cross.post("/end_session", ask).is(http.StatusSeeOther).leavesCookies()
			page := b.follow(posted).is(http.StatusOK).says(c.says...).leavesCookies()
			for _, words := range c.hides {
				if strings.Contains(text(page.body), words) {
					t.Errorf("the page says %q", words)
				}
			}
			got := b.send(http.MethodGet, "/end_session?"+ask.Encode(), nil).is(http.StatusOK).leavesCookies()
			if text(got.body) != text(page.body) {
				t.Error("a post and a get show different pages")
			}
			if got := n.ends()[before:]; len(got) > 0 {
				t.Fatalf("asking has ended something: %q", got)
			}
			if has := strings.Contains(page.body, `action="/end_session/app"`); has != c.only {
				t.Errorf("“Only Chirp” is offered: %v", has)
			}
			leadsAway := strings.HasPrefix(c.to, "http")
			if may := strings.Contains(page.Header.Get("Content-Security-Policy"), "form-action 'self' http"); may != leadsAway {
				t.Errorf("the form may lead elsewhere: %v", may)
			}
			// The answer, twice.
			form := page.form("/end_session/browser")
			for range 2 {
				a := b.post("/end_session/browser", form).is(http.StatusSeeOther)
				if to := a.Header.Get("Location"); to != c.to {
					t.Fatalf("it leads to %q, want %q", to, c.to)
				}
			}
			if got := n.ends()[before:]; !slices.Equal(got, []string{"session signed_out"}) || b.token() != "" {
				t.Errorf("the log has %q, the browser %q", got, b.token())
			}
			// Nobody is signed in any more.
			a := b.send(http.MethodGet, "/end_session?"+ask.Encode(), nil)
			if leadsAway {
				if to := a.is(http.StatusSeeOther).Header.Get("Location"); to != c.to {
					t.Errorf("then it leads to %q", to)
				}
				return
			}
			a.is(http.StatusOK).says("Signed out of this browser", "Recorded")
			if strings.HasSuffix(c.to, "=chirp") {
				a.says("Back to Chirp")
			}
			newBrowser(n).get("/end_session?" + ask.Encode()).is(http.StatusOK).says("You are not signed in")
		})
	}
}

// "Only Chirp" ends what the app has in this browser, and nothing else; twice is once, and coming back needs a click.
func TestEndOneAppOnly(t *testing.T) {
	n := newEndNode(t)
	b, other := n.signedIn("ada"), n.signedIn("ada")
	n.appSession(b)
	n.appSession(b)
	n.appSession(other)
	n.NewAppSession(t, exeunt.Session{Account: n.id("ada"), ID: b.session()}, testnode.Other)
	ask := url.Values{"client_id": {"chirp"}, "post_logout_redirect_uri": {chirpBye}, "state": {"s"}}
	page := b.get("/end_session?"+ask.Encode()).says("Sign out of this browser and its 2 apps", "Only Chirp")
	form := page.form("/end_session/app")
	for range 2 {
		a := b.post("/end_session/app", form).is(http.StatusSeeOther).leavesCookies()
		if to := a.Header.Get("Location"); to != chirpBye+"&state=s" {
			t.Fatalf("it leads to %q", to)
		}
	}
	if got := n.ends(); !slices.Equal(got, []string{"session signed_out", "session signed_out"}) {
		t.Errorf("the log has %q", got)
	}
	uses, err := n.Apps(t.Context(), authority.AppFilter{Account: n.id("ada"), Limit: 10})
	if n.must(err); len(uses) != 2 || uses[0].Session != other.session() || uses[1].Client != testnode.Other {
		t.Errorf("what is left: %+v", uses)
	}
	b.get("/authorize?" + appQuery("s").Encode()).says("You signed out of Chirp")
	if page := b.get("/end_session?" + ask.Encode()); strings.Contains(page.body, "/end_session/app") {
		t.Error("it offers to sign out of an app that is signed out")
	}
	// Without an address it says what was done where the person is.
	n.appSession(b)
	ask.Del("post_logout_redirect_uri")
	b.follow(b.submit("/end_session?"+ask.Encode(), "/end_session/app", nil).leadsTo("/apps")).says("One sign-in of Chirp ended")
	b.post("/end_session/app", b.fields(nil)).is(http.StatusBadRequest)
}

// What an app's client prefers comes first; on a shared computer everything does.
func TestWhatEndSessionOffersFirst(t *testing.T) {
	n := newEndNode(t, func(c *exeunt.Client) { c.SignOutAlone = true })
	for kind, first := range map[string]string{"kept": "/end_session/app", "shared": "/end_session/browser"} {
		b := newBrowser(n)
		b.signIn("ada", kind)
		n.appSession(b)
		page := b.get("/end_session?client_id=chirp").is(http.StatusOK)
		danger := page.body[:strings.Index(page.body, "danger")]
		if at := danger[strings.LastIndex(danger, `action="`):]; !strings.HasPrefix(at, `action="`+first) {
			t.Errorf("%s: the main choice is %.40s", kind, at)
		}
		if strings.Count(page.body, "danger") != 1 {
			t.Errorf("%s: there is more than one main choice", kind)
		}
	}
}

// Fields that somebody changes lead nowhere else, and a form of another session does nothing.
func TestEndSessionFormsAreCheckedAgain(t *testing.T) {
	n := newEndNode(t)
	b := n.signedIn("ada")
	n.appSession(b)
	form := b.get("/end_session?" + url.Values{"client_id": {"chirp"}, "post_logout_redirect_uri": {chirpBye}}.Encode()).
		form("/end_session/browser")
	before := n.recorded()
	stale := url.Values{"session": {exeunt.NewSessionID().String()}, "client_id": {"chirp"}, "post_logout_redirect_uri": {chirpBye}}
	for _, to := range []string{"/end_session/browser", "/end_session/app"} {
		b.post(to, stale).is(http.StatusConflict).says("belongs to another sign-in").leavesCookies()
		forger := newBrowser(n)
		forger.cookies, forger.site, forger.origin = b.cookies, "cross-site", "https://evil.example"
		forger.post(to, form).is(http.StatusForbidden).leavesCookies()
	}
	if n.recorded() != before {
		t.Error("something changed")
	}
	form.Set("post_logout_redirect_uri", "https://evil.example/")
	b.post("/end_session/browser", form).leadsTo("/signed-out?client=chirp")
}

// What cannot be read is no request, and no fault of ours.
func TestEndSessionCannotBeRead(t *testing.T) {
	n := newEndNode(t)
	b := n.signedIn("ada")
	for kind, body := range map[string]string{
		"application/x-www-form-urlencoded": "state=%zz", "application/json": `{"state":"s"}`, "multipart/form-data": "x", "": "x=1",
	} {
		b.do(posted("/end_session", kind, body)).is(http.StatusBadRequest).says("Invalid request").leavesCookies()
	}
	b.do(posted("/end_session", "application/x-www-form-urlencoded", "state="+strings.Repeat("s", 70_000))).is(http.StatusRequestEntityTooLarge)
	b.get("/end_session?id_token_hint=%zz&state=%zz").is(http.StatusOK)
	if len(n.ends()) > 0 {
		t.Error("something has ended")
	}
}

func posted(to, kind, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://"+testHost+to, strings.NewReader(body))
	r.Header.Set("User-Agent", firefox)
	r.Header.Set("Content-Type", kind)
	return r
}
