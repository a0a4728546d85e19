package oauth_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client/receipt"
	"github.com/exeunt/exeunt/internal/testnode"
)

func statement(t *testing.T, n *testnode.Node) []byte {
	t.Helper()
	s := receipt.Statement{Version: 1, Issuer: n.OAuth.Issuer, ID: "rcp_x", IssuedAt: n.Now().Unix(), Event: 1, Log: "x",
		EndedAt: n.Now(), Apps: []receipt.App{}}
	text, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A receipt is verified by the keys that are published for receipts, whenever that is: also when its key is published
// for tokens no longer.
func TestReceiptsOutliveTheirKey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, n *testnode.Node) {
		signed, err := n.OAuth.SignReceipt(t.Context(), statement(t, n))
		if err != nil {
			t.Fatal(err)
		}
		verify := func() error {
			set, err := n.OAuth.ReceiptKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			keys, err := receipt.ParseKeys(set)
			if err != nil {
				t.Fatal(err)
			}
			_, err = receipt.Verify([]byte(signed), keys, testnode.Issuer)
			return err
		}
		if err := verify(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			n.Clock.Pass(100 * 24 * time.Hour)
			if err := n.OAuth.Signers.Rotate(t.Context(), n.Now()); err != nil {
				t.Fatal(err)
			}
		}
		set, err := n.OAuth.Signers.JWKS()
		if err != nil {
			t.Fatal(err)
		}
		keys, err := receipt.ParseKeys(set)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := receipt.Verify([]byte(signed), keys, ""); err == nil {
			t.Fatal("the key is published for tokens still, so this tests nothing")
		}
		if err := verify(); err != nil {
			t.Errorf("once its key is retired: %v", err)
		}
		// The next one is signed with the new key, and both verify. No key is there twice.
		if signed, err = n.OAuth.SignReceipt(t.Context(), statement(t, n)); err != nil {
			t.Fatal(err)
		}
		if err := verify(); err != nil {
			t.Error(err)
		}
		var all struct{ Keys []struct{ Kid, D string } }
		if set, err = n.OAuth.ReceiptKeys(t.Context()); err != nil || json.Unmarshal(set, &all) != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, k := range all.Keys {
			if seen[k.Kid] || k.D != "" || k.Kid == "" {
				t.Errorf("%+v", k)
			}
			seen[k.Kid] = true
		}
	})
}

// No token of one sort passes for another, although one key signs them.
func TestReceiptsAndTokensAreApart(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	_, s := n.NewSession(t, n.NewAccount(t, "ada"), "kept")
	c := n.Client(t, testnode.Chirp)
	set, err := n.OAuth.ReceiptKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := receipt.ParseKeys(set)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := idToken(t, n, s, c, "openid")
	if _, ok := n.OAuth.ReadHint(id); !ok {
		t.Fatal("this is no ID token")
	}
	text := statement(t, n)
	for _, typ := range []string{"JWT", "logout+jwt", "at+jwt"} {
		signed, err := n.OAuth.Signers.Sign("RS256", typ, text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := receipt.Verify([]byte(signed), keys, ""); err == nil || !strings.Contains(err.Error(), "another sort") {
			t.Errorf("a token of type %s: %v", typ, err)
		}
	}
	if _, err := receipt.Verify([]byte(id), keys, ""); err == nil {
		t.Error("an ID token is a receipt")
	}
	// Even one that says what an ID token says.
	payload, _ := json.Marshal(map[string]any{"iss": n.OAuth.Issuer, "sub": s.Account, "sid": s.ID, "aud": c.ID})
	signed, err := n.OAuth.SignReceipt(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := n.OAuth.ReadHint(signed); ok {
		t.Error("a receipt is taken for an ID token")
	}
	if _, ok := n.OAuth.ReadHint(strings.Replace(id, "a", "b", 1)); ok {
		t.Error("a changed ID token is taken")
	}
}
