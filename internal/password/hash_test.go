package password

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"

	"github.com/exeunt/exeunt"
)

// cheap makes hashes that cost nothing: what they are worth is not tested.
var cheap = Hashing{MemoryKiB: 8, Iterations: 1, AtOnce: 2}

func newHasher(t *testing.T, h Hashing) *Hasher {
	t.Helper()
	out, err := New(h)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (h *Hasher) hashed(t *testing.T, password string) string {
	t.Helper()
	hash, err := h.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// As long as it may be, in whatever script.
func TestLongPasswords(t *testing.T) {
	h := newHasher(t, cheap)
	for _, password := range []string{
		strings.Repeat("q7 Ω", MaxLen/4), strings.Repeat("правильная лошадь ", 14), strings.Repeat("ﷺ絵文字🦊", MaxLen/5),
	} {
		if utf8.RuneCountInString(password) > MaxLen {
			t.Fatal("the test's own password is too long")
		}
		if err := Judge(password); err != nil {
			t.Errorf("%.20q…: %v", password, err)
		}
		hash := h.hashed(t, password)
		if ok, _, err := h.Check(t.Context(), password, hash); !ok || err != nil {
			t.Errorf("%.20q…: %v, %v", password, ok, err)
		}
		cut := password[:strings.LastIndexAny(password[:len(password)-1], "Ω ь🦊")]
		if ok, _, _ := h.Check(t.Context(), cut, hash); ok {
			t.Errorf("%.20q…: not every character counts", password)
		}
	}
}

func TestTheSamePasswordTypedOnTwoKeyboards(t *testing.T) {
	h := newHasher(t, cheap)
	const composed, decomposed = "caf\u00e9 lanterns by the \ufb01rth", "cafe\u0301 lanterns by the firth"
	hash := h.hashed(t, composed)
	for _, p := range []string{composed, decomposed} {
		if ok, _, err := h.Check(t.Context(), p, hash); !ok || err != nil {
			t.Errorf("%q: %v, %v", p, ok, err)
		}
	}
	if ok, _, _ := h.Check(t.Context(), "cafe lanterns by the firth", hash); ok {
		t.Error("accents do not count")
	}
}

// No password has the hash "", and the work of finding that out is that of a real
// hash, so that the time does not tell who has a password.
func TestNoPasswordHasNoHash(t *testing.T) {
	h := newHasher(t, cheap)
	for _, password := range []string{"", goodPassword, h.decoy} {
		if ok, _, err := h.Check(t.Context(), password, ""); ok || err != nil {
			t.Errorf("%q: %v, %v", password, ok, err)
		}
	}
	a, _, _, errA := argon2id.DecodeHash(h.decoy)
	b, _, _, errB := argon2id.DecodeHash(h.hashed(t, goodPassword))
	if errA != nil || errB != nil || *a != *b {
		t.Errorf("a decoy costs %+v, a real hash %+v (%v, %v)", a, b, errA, errB)
	}
}

func TestWeakerHashesAreOutdated(t *testing.T) {
	old := newHasher(t, cheap)
	stronger := cheap
	stronger.Iterations++
	h := newHasher(t, stronger)
	for hash, want := range map[string]bool{old.hashed(t, goodPassword): true, h.hashed(t, goodPassword): false} {
		if ok, outdated, err := h.Check(t.Context(), goodPassword, hash); !ok || outdated != want || err != nil {
			t.Errorf("%v, %v, %v; outdated is to be %v", ok, outdated, err, want)
		}
	}
}

func TestTooManyWaiting(t *testing.T) {
	h := newHasher(t, cheap)
	for range maxWaiting {
		h.waiting <- struct{}{}
	}
	if _, err := h.Hash(t.Context(), goodPassword); !errors.Is(err, exeunt.ErrBusy) {
		t.Error(err)
	}
	if _, _, err := h.Check(t.Context(), goodPassword, ""); !errors.Is(err, exeunt.ErrBusy) {
		t.Error(err)
	}
	for range maxWaiting {
		<-h.waiting
	}
	if _, _, err := h.Check(t.Context(), goodPassword, ""); err != nil {
		t.Error(err)
	}
}

// A sign-in that waits too long for its turn is refused, and leaves its place.
func TestTheWaitForAHashIsBounded(t *testing.T) {
	soon := cheap
	soon.AtOnce, soon.Wait = 1, 20*time.Millisecond
	h := newHasher(t, soon)
	h.running <- struct{}{}
	if _, _, err := h.Check(t.Context(), goodPassword, ""); !errors.Is(err, exeunt.ErrBusy) {
		t.Error(err)
	}
	<-h.running
	if _, _, err := h.Check(t.Context(), goodPassword, ""); err != nil || len(h.waiting) != 0 {
		t.Errorf("%v, %d wait", err, len(h.waiting))
	}
}

// Hashes leave one processor to everybody else.
func TestOneProcessorStaysFree(t *testing.T) {
	for processors, want := range map[int]int{1: 1, 2: 1, 4: 3} {
		before := runtime.GOMAXPROCS(processors)
		got := DefaultHashing().AtOnce
		runtime.GOMAXPROCS(before)
		if got != want {
			t.Errorf("with %d processors %d hashes at once, want %d", processors, got, want)
		}
	}
}
