package keys

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
	"log/slog"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }

const life = time.Hour

func openSigner(t *testing.T, s keyStore, m Master, alg Algorithm, now time.Time) *Signer {
	t.Helper()
	k, err := OpenSigner(t.Context(), s, m, "tokens", alg, life, now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func turn(t *testing.T, s *Signer, now time.Time) {
	t.Helper()
	if err := s.Rotate(t.Context(), now); err != nil {
		t.Fatal(err)
	}
}

// published reads a JWKS by hand: the members of each key, by its ID.
func published(t *testing.T, signers ...*Signer) map[string]map[string]string {
	t.Helper()
	text, err := JWKS(signers...)
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	out := map[string]map[string]string{}
	for _, k := range set.Keys {
		out[k["kid"]] = k
	}
	if len(out) != len(set.Keys) {
		t.Errorf("keys share an ID: %s", text)
	}
	return out
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verified takes a token apart by hand and verifies it with what the standard library
// has and the key that was published under its ID.
func verified(t *testing.T, token string, jwks map[string]map[string]string) (header map[string]string, payload string, ok bool) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no compact form: %s", token)
	}
	if err := json.Unmarshal(unbase64(t, parts[0]), &header); err != nil {
		t.Fatal(err)
	}
	k, ok := jwks[header["kid"]]
	if !ok {
		return header, "", false
	}
	if k["alg"] != header["alg"] || k["use"] != "sig" {
		t.Errorf("signed by %v with the key %v", header, k)
	}
	signed, signature := []byte(parts[0]+"."+parts[1]), unbase64(t, parts[2])
	sum := sha256.Sum256(signed)
	number := func(name string) *big.Int { return new(big.Int).SetBytes(unbase64(t, k[name])) }
	switch header["alg"] {
	case "RS256":
		key := &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
		if key.N.BitLen() < 3072 {
			t.Errorf("an RSA key of %d bits", key.N.BitLen())
		}
		ok = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	case "ES256": // RFC 7518 section 3.4
		key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: number("x"), Y: number("y")}
		ok = len(signature) == 64 && ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case "EdDSA":
		ok = ed25519.Verify(ed25519.PublicKey(unbase64(t, k["x"])), signed, signature)
	default:
		t.Errorf("signed by %v", header)
	}
	return header, string(unbase64(t, parts[1])), ok
}

// Each algorithm, on both engines: what is signed is verified by the published keys,
// also after a restart, and what was tampered with is not.
func TestSignatures(t *testing.T) {
	members := map[Algorithm][]string{
		RS256: {"alg", "e", "kid", "kty", "n", "use"}, ES256: {"alg", "crv", "kid", "kty", "use", "x", "y"}, EdDSA: {"alg", "crv", "kid", "kty", "use", "x"},
	}
	for engine, newStore := range map[string]func(*testing.T) *store.Store{
		"sqlite": newStore, "postgres": func(t *testing.T) *store.Store { return openStore(t, testpg.NewDatabase(t)) },
	} {
		t.Run(engine, func(t *testing.T) {
			s, m := newStore(t), newMaster(t)
			var all []*Signer
			for alg, names := range members {
				k := openSigner(t, s, m, alg, epoch)
				all = append(all, k)
				token, err := k.Sign("at+jwt", []byte(`{"sub":"x"}`))
				if err != nil {
					t.Fatal(err)
				}
				jwks := published(t, openSigner(t, s, m, alg, epoch.Add(time.Minute)))
				header, payload, ok := verified(t, token, jwks)
				if !ok || payload != `{"sub":"x"}` || header["typ"] != "at+jwt" || header["alg"] != string(alg) || len(header) != 3 {
					t.Errorf("%s: %v %s is verified: %v", alg, header, payload, ok)
				}
				// Only the public members: RFC 7518 section 6, RFC 8037 section 2.
				if got := slices.Sorted(maps.Keys(jwks[header["kid"]])); !slices.Equal(got, names) {
					t.Errorf("%s: published are %v", alg, got)
				}
				parts := strings.Split(token, ".")
				parts[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"y"}`))
				if _, _, ok := verified(t, strings.Join(parts, "."), jwks); ok {
					t.Errorf("%s: another payload is verified", alg)
				}
				sealed, err := s.Keys(t.Context(), "tokens/"+string(alg))
				if err != nil || len(sealed) != 1 {
					t.Fatalf("%d keys, %v", len(sealed), err)
				}
				if _, err := k.parse(sealed[0].Sealed); err == nil {
					t.Errorf("%s: the private key lies in the database in the clear", alg)
				}
			}
			if got := len(published(t, all...)); got != 3 {
				t.Errorf("%d keys are published of three signers", got)
			}
		})
	}
	if text, err := JWKS(); err != nil || string(text) != `{"keys":[]}` {
		t.Errorf("of no signer: %s, %v", text, err)
	}
}

// A year and a half on two nodes, which look for new keys by turns. Whatever one signs, both publish the key of for as long as it is good;
// a key has been published by both for a day when it first signs; and none stays for
// long once it is of no use.
func TestSigningKeysOverlap(t *testing.T) {
	s, m := newStore(t), newMaster(t)
	nodes := []*Signer{openSigner(t, s, m, ES256, epoch), openSigner(t, s, m, ES256, epoch)}
	type signature struct {
		token   string
		expires time.Time
	}
	var good []signature
	first := [2]map[string]time.Time{{}, {}} // when each node began to publish a key
	last := map[string]time.Time{}           // when a key signed last
	var order []string                       // of the keys that have signed
	now, turns := epoch, 0
	for ; now.Before(epoch.Add(540 * day)); turns++ {
		// In the days after a rotation each looks once an hour; at other times nothing
		// happens that it could miss.
		eventful := now.Sub(epoch)%rotateAfter < 3*day
		if now = now.Add(6 * time.Hour); eventful {
			now = now.Add(30*time.Minute - 6*time.Hour)
		}
		turn(t, nodes[turns%2], now)
		for i, n := range nodes {
			// Looking into memory spares the JSON; TestSignatures has that.
			for _, k := range n.current.Load().public {
				if _, known := first[i][k.KeyID]; !known {
					first[i][k.KeyID] = now
				}
				if at, signed := last[k.KeyID]; signed && now.Sub(at) > life+2*propagation+time.Hour {
					t.Fatalf("a key is published %v after it last signed", now.Sub(at))
				}
			}
		}
		for _, n := range nodes {
			kid := n.current.Load().active.KeyID
			if !slices.Contains(order, kid) {
				order = append(order, kid)
			}
			last[kid] = now
			for j := range nodes {
				since, known := first[j][kid]
				if !known || len(order) > 1 && now.Sub(since) < publishedFirst-time.Hour {
					t.Fatalf("signs with a key that node %d has published for %v", j, now.Sub(since))
				}
			}
		}
		if !eventful {
			continue
		}
		token, err := nodes[1-turns%2].Sign("JWT", []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		good = append(good, signature{token, now.Add(life)})
		good = slices.DeleteFunc(good, func(g signature) bool { return g.expires.Before(now) })
		for i, n := range nodes {
			jwks := published(t, n)
			for _, g := range good {
				if _, _, ok := verified(t, g.token, jwks); !ok {
					t.Fatalf("at %v node %d does not publish the key of what is good until %v", now, i, g.expires)
				}
			}
		}
	}
	if len(order) != 6 {
		t.Errorf("%d keys have signed in a year and a half", len(order))
	}
	if keys, err := s.Keys(t.Context(), "tokens/ES256"); err != nil || len(keys) > 3 {
		t.Errorf("%d keys are stored, %v", len(keys), err)
	}
}

// After a year in which no node ran, the old key signs until the new one has been
// published for a day, and stays published until that has expired.
func TestALateRotationOfSigningKeys(t *testing.T) {
	s, m := newStore(t), newMaster(t)
	old := openSigner(t, s, m, EdDSA, epoch).current.Load().active.KeyID
	k := openSigner(t, s, m, EdDSA, epoch.Add(365*day))
	for _, c := range []struct {
		after time.Duration
		signs bool // the old one
		keys  int
	}{{0, true, 2}, {publishedFirst - 1, true, 2}, {publishedFirst, false, 2}, {publishedFirst + life, false, 2}, {publishedFirst + life + propagation, false, 1}} {
		turn(t, k, epoch.Add(365*day+c.after))
		if is := k.current.Load().active.KeyID == old; is != c.signs || len(k.current.Load().public) != c.keys {
			t.Errorf("after %v: the old one signs: %v; %d are published", c.after, is, len(k.current.Load().public))
		}
	}
}

// Nodes that make a key at the same moment go on with one and the same.
func TestNodesAgreeOnASigningKey(t *testing.T) {
	url := testpg.NewDatabase(t)
	m := newMaster(t)
	var nodes [3]*Signer
	stores := [3]*store.Store{openStore(t, url), openStore(t, url), openStore(t, url)}
	for _, now := range []time.Time{epoch, epoch.Add(rotateAfter), epoch.Add(rotateAfter + publishedFirst)} {
		var all sync.WaitGroup
		for i := range nodes {
			all.Go(func() {
				var err error
				if nodes[i], err = OpenSigner(t.Context(), stores[i], m, "tokens", EdDSA, life, now); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
		for _, n := range nodes {
			turn(t, n, now) // what a slower one has just made is the same moment's
		}
		for i, n := range nodes {
			one, _ := JWKS(nodes[0])
			if text, err := JWKS(n); err != nil || string(text) != string(one) || n.current.Load().active.KeyID != nodes[0].current.Load().active.KeyID {
				t.Errorf("node %d publishes %s and the first %s, %v", i, text, one, err)
			}
		}
	}
	if got := len(published(t, nodes[0])); got != 2 {
		t.Errorf("%d keys", got)
	}
}

func TestSignersRefuse(t *testing.T) {
	s, m := newStore(t), newMaster(t)
	if _, err := OpenSigner(t.Context(), s, m, "tokens", "none", life, epoch); err == nil || !strings.Contains(err.Error(), "RS256, ES256 or EdDSA") {
		t.Errorf("algorithm none: %v", err)
	}
	openSigner(t, s, m, ES256, epoch)
	if _, err := OpenSigner(t.Context(), s, newMaster(t), "tokens", ES256, life, epoch); err == nil || !strings.Contains(err.Error(), "master key is not the one") {
		t.Errorf("another master key: %v", err)
	}
}

// Nothing that prints a signer shows a key.
func TestSignersPrintMasked(t *testing.T) {
	k := openSigner(t, newStore(t), newMaster(t), EdDSA, epoch)
	seed := k.current.Load().active.Key.(ed25519.PrivateKey).Seed()
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "signer", k)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "signer", k)
	printed := []string{log.String()}
	type config struct{ Signer, signer *Signer }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		printed = append(printed, fmt.Sprintf(verb, k), fmt.Sprintf(verb, config{k, k}), fmt.Sprintf(verb, &config{k, k}))
	}
	for _, p := range printed {
		for _, secret := range []string{fmt.Sprintf("%x", seed[:8]), fmt.Sprint(seed[:8])[1:20], base64.RawURLEncoding.EncodeToString(seed[:12]), base64.StdEncoding.EncodeToString(seed[:12])} {
			if strings.Contains(p, secret) {
				t.Errorf("a key shows in %s", p)
			}
		}
	}
}
