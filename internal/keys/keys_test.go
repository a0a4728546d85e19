package keys

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const (
	day     = 24 * time.Hour
	overlap = 180 * day
)

func newStore(t *testing.T) *store.Store {
	t.Helper()
	return openStore(t, store.SQLiteURL(filepath.Join(t.TempDir(), "exeunt.db")))
}

func openStore(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{URL: url, Log: slog.New(slog.DiscardHandler), Committed: func([]exeunt.Event) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newMaster(t *testing.T) Master {
	t.Helper()
	m, err := LoadMaster(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func open(t *testing.T, s keyStore, m Master, purpose string, now time.Time) *Ring {
	t.Helper()
	r, err := Open(t.Context(), s, m, purpose, overlap, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHalvesBelongToTheirTokens(t *testing.T) {
	s, m := newStore(t), newMaster(t)
	r := open(t, s, m, "pair", epoch)
	token := exeunt.NewToken(exeunt.UseSession)
	half := r.Half(token)
	if !r.IsHalf(token, half) || r.Half(token) != half {
		t.Error("a half is not its token's")
	}
	again := open(t, s, m, "pair", epoch.Add(day))
	if !again.IsHalf(token, half) {
		t.Error("a restart has changed the key")
	}
	for name, bad := range map[string]string{
		"empty": "", "another token's": r.Half(exeunt.NewToken(exeunt.UseSession)), "cut": half[:len(half)-1], "longer": half + "A", "padded": half + "=",
		"newline": half + "\n", "first changed": flip(half, 0), "last changed": flip(half, len(half)-1), "its token": token.Reveal(), "junk": "%%%",
		"another purpose's": open(t, s, m, "notice", epoch).Half(token),
	} {
		if r.IsHalf(token, bad) {
			t.Errorf("%s: recognised", name)
		}
	}
}

func flip(s string, i int) string {
	c := byte('A')
	if s[i] == c {
		c = 'B'
	}
	return s[:i] + string(c) + s[i+1:]
}

func rotate(t *testing.T, r *Ring, now time.Time) {
	t.Helper()
	if err := r.Rotate(t.Context(), now); err != nil {
		t.Fatal(err)
	}
}

// The newest key signs, all verify: a rotation signs nobody out.
func TestRotationOverlaps(t *testing.T) {
	s, m := newStore(t), newMaster(t)
	r := open(t, s, m, "pair", epoch)
	first := r.Code("x")
	rotate(t, r, epoch.Add(rotateAfter-1))
	if r.Code("x") != first {
		t.Error("rotated too early")
	}
	last := epoch.Add(rotateAfter) // the first key's last moment as the newest
	rotate(t, r, last)
	other := open(t, s, m, "pair", last)
	if r.Code("x") != first || other.Code("x") != first {
		t.Error("a new key is active before every node can have it")
	}
	last = last.Add(propagation)
	rotate(t, r, last)
	if r.Code("x") == first || !r.IsCode("x", first) || !other.IsCode("x", r.Code("x")) {
		t.Error("later the new key is active, and the old one still verifies")
	}
	for now := last; now.Before(last.Add(overlap)); now = now.Add(day) {
		rotate(t, r, now)
	}
	if !r.IsCode("x", first) {
		t.Error("forgotten before the overlap was over")
	}
	for now := last.Add(overlap); now.Before(last.Add(overlap + rotateAfter + 2*day)); now = now.Add(day) {
		rotate(t, r, now)
	}
	if r.IsCode("x", first) {
		t.Error("recognised long after the overlap")
	}
	if keys, err := s.Keys(t.Context(), "pair"); err != nil || len(keys) > 5 {
		t.Errorf("%d keys are stored, %v", len(keys), err)
	}
}

// A node that did not rotate for long used its old key all the while: the
// overlap begins when the key is replaced, not when it was due to be.
func TestALateRotationOverlapsToo(t *testing.T) {
	r := open(t, newStore(t), newMaster(t), "pair", epoch)
	code := r.Code("x") // made, say, just before that
	late := epoch.Add(rotateAfter + overlap + 10*day)
	rotate(t, r, late)
	if !r.IsCode("x", code) {
		t.Error("a code made a moment before a late rotation is not recognised after it")
	}
	for now := late; now.Before(late.Add(overlap)); now = now.Add(day) {
		rotate(t, r, now)
	}
	if !r.IsCode("x", code) {
		t.Error("forgotten before the overlap was over")
	}
}

// Two nodes that make a key at the same moment go on with one and the same.
func TestNodesAgreeOnAKey(t *testing.T) {
	s, m := newStore(t), newMaster(t)
	open(t, s, m, "pair", epoch)
	late := epoch.Add(rotateAfter)
	a, b := open(t, s, m, "pair", late), open(t, s, m, "pair", late)
	if keys, err := s.Keys(t.Context(), "pair"); err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	k := store.SealedKey{Purpose: "pair", Sealed: []byte("made by a node that was slower"), Created: late}
	if err := s.AddKey(t.Context(), k, epoch, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if keys, err := s.Keys(t.Context(), "pair"); err != nil || len(keys) != 2 {
		t.Errorf("%d keys, %v: a second was made where one had been", len(keys), err)
	}
	rotate(t, a, late.Add(propagation))
	rotate(t, b, late.Add(propagation))
	if a.Code("x") != b.Code("x") {
		t.Error("the nodes make codes with different keys")
	}
}

func TestTheWrongMasterKeyIsNamed(t *testing.T) {
	s := newStore(t)
	open(t, s, newMaster(t), "pair", epoch)
	_, err := Open(t.Context(), s, newMaster(t), "pair", overlap, epoch)
	if !errors.Is(err, ErrWrongMaster) || !strings.Contains(err.Error(), "master key is not the one") {
		t.Errorf("%v", err)
	}
}

// tampered changes what the database holds.
type tampered struct {
	*store.Store
	change func(*store.SealedKey)
}

func (s tampered) Keys(ctx context.Context, purpose string) ([]store.SealedKey, error) {
	keys, err := s.Store.Keys(ctx, purpose)
	for i := range keys {
		s.change(&keys[i])
	}
	return keys, err
}

// Whoever can write the database must not be able to give us a key.
func TestTamperedKeysAreRefused(t *testing.T) {
	s, m := newStore(t), newMaster(t)
	open(t, s, m, "pair", epoch)
	open(t, s, m, "notice", epoch)
	notice, err := s.Keys(t.Context(), "notice")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*store.SealedKey){
		"a changed bit":     func(k *store.SealedKey) { k.Sealed[len(k.Sealed)/2] ^= 1 },
		"cut":               func(k *store.SealedKey) { k.Sealed = k.Sealed[:len(k.Sealed)-1] },
		"empty":             func(k *store.SealedKey) { k.Sealed = nil },
		"unsealed":          func(k *store.SealedKey) { k.Sealed = make([]byte, keyLen) },
		"another purpose's": func(k *store.SealedKey) { k.Sealed = notice[0].Sealed },
	} {
		if _, err := Open(t.Context(), tampered{s, change}, m, "pair", overlap, epoch); !errors.Is(err, ErrWrongMaster) {
			t.Errorf("%s: %v", name, err)
		}
	}
	sealed, err := s.Keys(t.Context(), "pair")
	if err != nil || strings.Contains(string(sealed[0].Sealed), string(open(t, s, m, "pair", epoch).current.Load().keys[0])) {
		t.Errorf("the key lies in the database in the clear (%v)", err)
	}
}

func TestTheMasterKeyFile(t *testing.T) {
	dir := t.TempDir()
	m, err := LoadMaster(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, MasterFile)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", st.Mode(), err)
	}
	if again, err := LoadMaster(dir); err != nil || *again.key != *m.key {
		t.Errorf("read back as another, %v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o622} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadMaster(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	for name, text := range map[string]string{"empty": "", "short": "aGVsbG8=", "no base64": strings.Repeat("!", 44), "two": string(must(os.ReadFile(path))) + "x"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, 0o600)
		if _, err := LoadMaster(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadMaster(filepath.Join(dir, "not there")); err == nil {
		t.Error("a folder that is not there")
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestMasterKeysAsText(t *testing.T) {
	text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", keyLen)))
	for _, s := range []string{text, text + "\n", "  " + text + "\r\n"} {
		if m, err := ParseMaster(s); err != nil || string(m.key[:]) != strings.Repeat("k", keyLen) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// Nothing that prints a ring or a master key shows a key.
func TestKeysPrintMasked(t *testing.T) {
	m, err := ParseMaster(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", keyLen))))
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, newStore(t), m, "pair", epoch)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "master", m, "ring", r)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "master", m, "ring", r)
	type config struct {
		Master Master
		Ring   *Ring
		master Master
	}
	printed := []string{log.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		printed = append(printed, fmt.Sprintf(verb, m), fmt.Sprintf(verb, r))
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		printed = append(printed, fmt.Sprintf(verb, config{m, r, m}), fmt.Sprintf(verb, &config{m, r, m}))
	}
	for _, p := range printed {
		for _, secret := range []string{"kkkk", "107 107", "0x6b, 0x6b", "6b6b"} {
			if strings.Contains(p, secret) {
				t.Errorf("a key shows in %s", p)
			}
		}
	}
}
