package password

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Hashes that other programs have made: argon2-cffi 25.1.0 (`argon2.PasswordHasher(time_cost=3, memory_cost=65536,
// parallelism=4).hash(theirPassword)`, the settings that Authelia has by default), bcrypt 5.0.0 for Python
// (`bcrypt.hashpw(…, bcrypt.gensalt(5))`), and `htpasswd -nb` of Apache 2.4 with -B, -m, -s, -d, -2 and -5.
const theirPassword = "a long walk by the canal"

var (
	theirArgon  = "$argon2id$v=19$m=65536,t=3,p=4$R+DJYeb/d7PWavk2rxm/iA$jgl5TetU3Cu01O/EG7UxyCMWztkJGxhY7ygstJRq1Mk"
	theirBcrypt = "$2b$05$8qUKmvN4/CeyT/GG5n6KWOdFWVUDeOZRtf9o3q7fd09d2ypBSJ2Yq"
	theirApache = "$2y$05$dTvvy9a0wRbzeVpr.1jAUOOWDzESdsX6Ezv20WI/kqKBjJIvB5Uq6"
	// of "café lanterns by the ﬁrth", whose normal form is another text; time_cost=1, memory_cost=64, parallelism=1
	theirLigature = "$argon2id$v=19$m=64,t=1,p=1$MJ99Dxw5TOFUfkIT5IhuPA$gobsZ6T/llbzm1DYwT5OCRyr/uJ9l66/KmczqcmICco"
)

func importedHash(t *testing.T, hash string) string {
	t.Helper()
	stored, err := Import(hash)
	if err != nil {
		t.Fatalf("%s: %v", hash, err)
	}
	return stored
}

// Whoever comes from another program signs in with the password that they have, and gets a hash of our own by it.
func TestHashesOfOtherPrograms(t *testing.T) {
	h := newHasher(t, cheap)
	for _, hash := range []string{theirArgon, theirBcrypt, theirApache} {
		stored := importedHash(t, hash)
		if ok, outdated, err := h.Check(t.Context(), theirPassword, stored); !ok || !outdated || err != nil {
			t.Errorf("%s: %v, outdated %v, %v", hash, ok, outdated, err)
		}
		if ok, _, err := h.Check(t.Context(), theirPassword+".", stored); ok || err != nil {
			t.Errorf("%s takes another password (%v)", hash, err)
		}
	}
	if len(h.costly) != 0 || len(h.running) != 0 {
		t.Error("a comparison has kept its place")
	}
}

// Other programs hash what was typed, and ours its normal form.
func TestAnImportedPasswordAsItWasTyped(t *testing.T) {
	h, stored := newHasher(t, cheap), importedHash(t, theirLigature)
	for password, want := range map[string]bool{
		"caf\u00e9 lanterns by the \ufb01rth": true, "cafe lanterns by the firth": false,
	} {
		if ok, _, err := h.Check(t.Context(), password, stored); ok != want || err != nil {
			t.Errorf("%q: %v, %v", password, ok, err)
		}
	}
}

func TestHashesThatAreNotTakenOver(t *testing.T) {
	for hash, want := range map[string]ImportError{
		"$apr1$MPPH5US0$hyUyXFePWLo4itd6zdt0j0":                            {Kind: "MD5 of Apache"},
		"{SHA}1tCf8ctD6qqth0nSgADFC+eDdGo=":                                {Kind: "SHA-1"},
		"v6VnbVLIwuU12":                                                    {Kind: "DES crypt"},
		"$5$ma9oQtvGIDt9jS4w$K.TBQU785XOlmIEor24A2EfHLpdtHhxQDgTbtCDXz3C":  {Kind: "SHA-256 crypt"},
		"$6$YzWTwTHtLEoljMWC$PYAcyUmE3wqUBMWjYvciZN4QkIgu5W2u02WPCVA6QyxN": {Kind: "SHA-512 crypt"},
		"$pbkdf2-sha512$310000$c2FsdA$aGFzaA":                              {Kind: "PBKDF2"},
		"$argon2i$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5":   {Kind: "argon2i"},
		"swordfish":                 {},
		"":                          {},
		"$2y$14$" + theirApache[7:]: {Kind: "bcrypt", Costly: true},
		theirApache[:59]:            {Kind: "bcrypt", Broken: true},
		theirApache[:59] + "$":      {Kind: "bcrypt", Broken: true},
		strings.Replace(theirArgon, "m=65536", "m=2097152", 1):                        {Kind: "argon2id", Costly: true},
		strings.Replace(theirArgon, "t=3", "t=300", 1):                                {Kind: "argon2id", Costly: true},
		strings.Replace(theirArgon, "t=3", "t=0", 1):                                  {Kind: "argon2id", Broken: true},
		strings.Replace(theirArgon, "p=4", "p=0", 1):                                  {Kind: "argon2id", Broken: true},
		strings.Replace(theirArgon, "v=19", "v=16", 1):                                {Kind: "argon2id", Broken: true},
		theirArgon[:len(theirArgon)-30]:                                               {Kind: "argon2id", Broken: true},
		"$argon2id$v=19$m=65536,t=3,p=4$R+DJ$jgl5TetU3Cu01O/EG7UxyCMWztkJGxhY7ygstJR": {Kind: "argon2id", Broken: true},
	} {
		stored, err := Import(hash)
		var got *ImportError
		if !errors.As(err, &got) || stored != "" {
			t.Errorf("%s is taken over (%v)", hash, err)
			continue
		}
		if got.Kind != want.Kind || got.Costly != want.Costly || got.Broken != want.Broken {
			t.Errorf("%s: %+v", hash, got)
		}
		if len(hash) > 8 && strings.Contains(got.Error(), hash) {
			t.Errorf("the error repeats the hash: %v", got)
		}
	}
}

// While there are imported hashes, it takes no less to be refused by a hash of our own, or for somebody who does not
// exist: the time must not tell who was imported.
func TestARefusalTakesAsLongAsAnImportedHash(t *testing.T) {
	h := newHasher(t, cheap)
	ours := h.hashed(t, goodPassword)
	refused := func(hash string) time.Duration {
		t.Helper()
		started := time.Now()
		if ok, _, err := h.Check(t.Context(), "not the password", hash); ok || err != nil {
			t.Fatal(ok, err)
		}
		return time.Since(started)
	}
	refused(importedHash(t, theirArgon))
	h.mu.Lock()
	pace := h.pace.took
	h.mu.Unlock()
	if pace <= 0 || pace > maxPad {
		t.Fatalf("the pace is %v", pace)
	}
	for what, hash := range map[string]string{"ours": ours, "nobody's": "", "imported": importedHash(t, theirArgon)} {
		if took := refused(hash); took < pace {
			t.Errorf("%s: refused after %v, sooner than %v", what, took, pace)
		}
	}
	started := time.Now() // what lets somebody in is not held back
	h.pace.took = time.Hour
	if ok, _, err := h.Check(t.Context(), goodPassword, ours); !ok || err != nil || time.Since(started) > time.Minute {
		t.Error(ok, err)
	}
	h.pace = pace0(h.pace, 25*time.Hour) // nobody imported has come for a day
	if took := refused(ours); took > time.Minute {
		t.Errorf("held back for %v", took)
	}
}

func pace0(p pace, ago time.Duration) pace { return pace{took: p.took, last: time.Now().Add(-ago)} }

// Whatever stands in a file is refused, or can be compared.
func FuzzImport(f *testing.F) {
	for _, hash := range []string{theirArgon, theirBcrypt, theirApache, theirLigature, "v6VnbVLIwuU12", "$argon2id$v=19$m=8,t=1,p=1$$"} {
		f.Add(hash)
	}
	h, err := New(cheap)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, hash string) {
		stored, err := Import(hash)
		if err != nil {
			return
		}
		if strings.Contains(hash, "m=") && !strings.Contains(hash, "m=64,") && len(hash) > 90 || strings.HasPrefix(hash, "$2y$1") {
			return // it may take a second
		}
		h.pace.took = 0
		if _, _, err := h.Check(t.Context(), theirPassword, stored); err != nil {
			t.Errorf("%q is taken over and cannot be compared: %v", hash, err)
		}
	})
}
