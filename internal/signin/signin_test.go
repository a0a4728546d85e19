package signin

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/password"
)

func TestSigningIn(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "ada@example.com", true)
	for _, identifier := range []string{"ada", "@Ada", " ada ", "ADA@example.com"} {
		p, err := Proof(d.Password(t.Context(), identifier, goodPassword, home))
		if err != nil || p.Account != id || p.Methods.String() != "password" || !p.At.Equal(d.Now()) || p.Generation != 1 || p.CredentialVersion != 1 {
			t.Errorf("%q: %+v, %v", identifier, p, err)
		}
	}
}

// Nothing tells an unknown account from a wrong password, from an address that its
// account has not confirmed, or from an account without a password: not the answer,
// and not the work.
func TestTheAnswerDoesNotTellWhoIsThere(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "ada@example.com", true)
	d.add("eve", "eve@example.com", false)
	d.addWithoutPassword("grace")
	for name, c := range map[string][2]string{
		"unknown": {"nobody", goodPassword}, "unknown address": {"nobody@example.com", goodPassword},
		"wrong password": {"ada", otherPassword}, "unconfirmed address": {"eve@example.com", goodPassword},
		"no password": {"grace", goodPassword}, "no password, and none typed": {"grace", ""},
		"nothing": {"", ""}, "only a password": {"", goodPassword},
	} {
		if err := d.try(c[0], c[1], home); err != exeunt.ErrWrongCredentials {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Each of them needs to be hashed: if hashing is full, none is answered.
	var err error
	if d.Hasher, err = password.New(password.Hashing{MemoryKiB: 8, Iterations: 1, AtOnce: 0}); err != nil {
		t.Fatal(err)
	}
	for _, identifier := range []string{"nobody", "nobody@example.com", "ada", "eve@example.com", "grace"} {
		gone, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := d.Password(gone, identifier, goodPassword, home)
		cancel()
		if !errors.Is(err, exeunt.ErrUnavailable) || !strings.Contains(err.Error(), "password hashing") {
			t.Errorf("%q is answered without hashing: %v", identifier, err)
		}
	}
}

// Whoever is signed in proves again who they are by their password, and by nobody
// else's; what is needed is said before anything is counted.
func TestConfirming(t *testing.T) {
	d := newDesk(t)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: d.add("ada", "", false), Address: home}
	for range 2 * (perAccount.Burst + perReserve.Near.Burst) {
		_, err := Proof(d.Confirm(t.Context(), by, Confirmation{}))
		wantField(t, err, "current", "needed")
	}
	d.pass(time.Minute)
	p, err := Proof(d.Confirm(t.Context(), by, Confirmation{Password: goodPassword}))
	if err != nil || p.Account != by.Account || p.Methods.String() != "password" || !p.At.Equal(d.Now()) {
		t.Errorf("%+v, %v", p, err)
	}
	for range perAccount.Burst + perReserve.Near.Burst {
		_, err := Proof(d.Confirm(t.Context(), by, Confirmation{Password: otherPassword}))
		wantField(t, err, "current", "wrong")
	}
	// Guesses here and guesses at the door are counted together.
	if err := d.try("ada", goodPassword, home); !throttled(err) {
		t.Errorf("at the door: %v", err)
	}
	grace := exeunt.Actor{Kind: exeunt.ActorPerson, Account: d.addWithoutPassword("grace"), Address: home}
	_, err = Proof(d.Confirm(t.Context(), grace, Confirmation{Password: goodPassword}))
	wantField(t, err, "current", "wrong")
}

func TestDisabledAccounts(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "", false)
	operator := exeunt.Actor{Kind: exeunt.ActorOperator}
	if _, err := d.authority.Disable(t.Context(), operator, id); err != nil {
		t.Fatal(err)
	}
	wantErr(t, d.try("ada", goodPassword, home), exeunt.ErrDisabled)
	wantErr(t, d.try("ada", otherPassword, home), exeunt.ErrWrongCredentials) // which tells a stranger nothing
	if err := d.Store.Enable(t.Context(), id, operator, d.Now()); err != nil {
		t.Fatal(err)
	}
	if err := d.try("ada", goodPassword, home); err != nil {
		t.Error(err)
	}
}

// The proof is of the account as it was before the password was looked at.
func TestAProofIsFenced(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "", false)
	p, err := Proof(d.Password(t.Context(), "ada", goodPassword, home))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.authority.End(t.Context(), exeunt.System(), exeunt.Revocation{Target: exeunt.Target{Account: id, Scope: exeunt.ScopeAccount}, Reason: exeunt.ReasonSignedOut}); err != nil {
		t.Fatal(err)
	}
	_, _, err = d.authority.Start(t.Context(), authority.SignIn{Proof: p, Kind: exeunt.KindKept})
	wantErr(t, err, exeunt.ErrSignInAgain)
}

func TestOldHashesAreMadeAnew(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	stronger := cheap
	stronger.Iterations++
	var err error
	if d.Hasher, err = password.New(stronger); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.try("ada", goodPassword, home); err != nil {
			t.Fatal(err)
		}
	}
	a, c, err := d.Store.Identify(t.Context(), "ada")
	if err != nil || a.CredentialVersion != 1 {
		t.Errorf("the password is another's now: %+v, %v", a, err)
	}
	if p, _, _, err := argon2id.DecodeHash(c.PasswordHash); err != nil || p.Iterations != stronger.Iterations {
		t.Errorf("the hash is %+v, %v", p, err)
	}
}
