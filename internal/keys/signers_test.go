package keys

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"
)

// The signers of a purpose make the keys of an algorithm once, when it is first needed, and another node on the same
// database has the same ones. What they sign is verified by what any of them publishes.
func TestSigners(t *testing.T) {
	s, m := newStore(t), newMaster(t)
	now := func() time.Time { return epoch }
	a, b := NewSigners(s, m, "oidc", life, now), NewSigners(s, m, "oidc", life, now)
	if sealed, err := s.AnyKey(t.Context()); err != nil || sealed {
		t.Errorf("keys were made before they were needed: %v, %v", sealed, err)
	}
	tokens := make([]string, 8)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			var err error
			if tokens[i], err = a.Sign("ES256", "logout+jwt", fmt.Appendf(nil, `{"n":%d}`, i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := s.Keys(t.Context(), "oidc/ES256"); err != nil || len(list) != 1 {
		t.Errorf("%d keys were made, %v", len(list), err)
	}
	for _, of := range []*Signers{b, a} {
		text, err := of.JWKS()
		if err != nil {
			t.Fatal(err)
		}
		var set struct{ Keys []map[string]string }
		if err := json.Unmarshal(text, &set); err != nil || len(set.Keys) != len(SignerAlgorithms) {
			t.Fatalf("%d keys are published, %v", len(set.Keys), err)
		}
		jwks := map[string]map[string]string{}
		for i, k := range set.Keys {
			jwks[k["kid"]] = k
			if k["alg"] != string(SignerAlgorithms[i]) {
				t.Errorf("key %d is one of %s", i, k["alg"])
			}
		}
		for i, token := range tokens {
			header, payload, ok := verified(t, token, jwks)
			if want := fmt.Sprintf(`{"n":%d}`, i); !ok || payload != want || header["typ"] != "logout+jwt" {
				t.Errorf("%v %s: %v", header, payload, ok)
			}
		}
	}
	for _, alg := range []string{"", "none", "HS256"} {
		if token, err := a.Sign(alg, "logout+jwt", nil); err == nil {
			t.Errorf("signed by %q: %s", alg, token)
		}
	}
}

// A rotation reaches the algorithms that are in use.
func TestSignersRotate(t *testing.T) {
	s, m := newStore(t), newMaster(t)
	now := epoch
	k := NewSigners(s, m, "oidc", life, func() time.Time { return now })
	if _, err := k.Sign("EdDSA", "JWT", nil); err != nil {
		t.Fatal(err)
	}
	now = now.Add(rotateAfter)
	if err := k.Rotate(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	for alg, want := range map[Algorithm]int{EdDSA: 2, ES256: 0} {
		if list, err := s.Keys(t.Context(), "oidc/"+string(alg)); err != nil || len(list) != want {
			t.Errorf("%d keys of %s, %v", len(list), alg, err)
		}
	}
}
