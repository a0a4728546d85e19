package signin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/live"
)

func TestSigningIn(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "ada@example.com", true)
	for _, identifier := range []string{"ada", "@Ada", " ada ", "ADA@example.com"} {
		p, err := d.Password(t.Context(), identifier, goodPassword, home)
		if err != nil || p.Account != id || p.Method != exeunt.MethodPassword || p.Generation != 1 || p.CredentialVersion != 1 {
			t.Errorf("%q: %+v, %v", identifier, p, err)
		}
	}
}

// Nothing tells an unknown account from a wrong password, or from an address
// that its account has not confirmed: not the answer, and not the work.
func TestTheAnswerDoesNotTellWhoIsThere(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "ada@example.com", true)
	d.add("eve", "eve@example.com", false)
	for name, c := range map[string][2]string{"unknown": {"nobody", goodPassword}, "unknown address": {"nobody@example.com", goodPassword},
		"wrong password": {"ada", otherPassword}, "unconfirmed address": {"eve@example.com", goodPassword}, "nothing": {"", ""}, "only a password": {"", goodPassword}} {
		if err := d.try(c[0], c[1], home); err != exeunt.ErrWrongCredentials {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Each of them needs a place to hash in: with all places taken, none is answered.
	for range cheap.AtOnce {
		if err := d.hasher.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, identifier := range []string{"nobody", "nobody@example.com", "ada", "eve@example.com"} {
		gone, cancel := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() { answer <- d.tryUntil(gone, identifier) }()
		for len(d.hasher.waiting) == 0 && len(answer) == 0 {
			runtime.Gosched()
		}
		cancel()
		if err := <-answer; !errors.Is(err, exeunt.ErrUnavailable) {
			t.Errorf("%q is answered without hashing: %v", identifier, err)
		}
	}
	for range cheap.AtOnce {
		d.hasher.leave()
	}
	// And the hash that is computed for nobody costs what a real one does.
	_, real, err := d.Store.Identify(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	a, _, _, errA := argon2id.DecodeHash(d.hasher.decoy)
	b, _, _, errB := argon2id.DecodeHash(real.PasswordHash)
	if errA != nil || errB != nil || *a != *b {
		t.Errorf("a decoy costs %+v, a real hash %+v (%v, %v)", a, b, errA, errB)
	}
}

func TestTooManyWaiting(t *testing.T) {
	d := newDesk(t)
	for range maxWaiting {
		d.hasher.waiting <- struct{}{}
	}
	wantErr(t, d.try("nobody", "x", home), exeunt.ErrUnavailable)
	for range maxWaiting {
		<-d.hasher.waiting
	}
	wantErr(t, d.try("nobody", "x", home), exeunt.ErrWrongCredentials)
}

func TestDisabledAccounts(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "", false)
	operator := exeunt.Actor{Kind: exeunt.ActorOperator}
	if _, err := d.Authority.Disable(t.Context(), operator, id); err != nil {
		t.Fatal(err)
	}
	wantErr(t, d.try("ada", goodPassword, home), exeunt.ErrDisabled)
	wantErr(t, d.try("ada", otherPassword, home), exeunt.ErrWrongCredentials) // which tells a stranger nothing
	if err := d.Authority.Enable(t.Context(), operator, id); err != nil {
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
	p, err := d.Password(t.Context(), "ada", goodPassword, home)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authority.End(t.Context(), exeunt.System(), exeunt.Revocation{Target: exeunt.Target{Account: id, Scope: exeunt.ScopeAccount}, Reason: exeunt.ReasonSignedOut}); err != nil {
		t.Fatal(err)
	}
	_, _, err = d.Authority.Start(t.Context(), authority.SignIn{Proof: p, Kind: exeunt.KindKept})
	wantErr(t, err, exeunt.ErrSignInAgain)
}

func TestTheSamePasswordTypedOnTwoKeyboards(t *testing.T) {
	d := newDesk(t)
	const composed, decomposed = "caf\u00e9 lanterns by the \ufb01rth", "cafe\u0301 lanterns by the firth"
	if _, err := d.SignUp(t.Context(), NewAccount{Handle: "ada", Password: composed}, home); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{composed, decomposed} {
		if err := d.try("ada", p, home); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	if err := d.try("ada", "cafe lanterns by the firth", home); err == nil {
		t.Error("accents do not count")
	}
}

func TestOldHashesAreMadeAnew(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	d.hasher.params.Iterations++
	for range 2 {
		if err := d.try("ada", goodPassword, home); err != nil {
			t.Fatal(err)
		}
	}
	a, c, err := d.Store.Identify(t.Context(), "ada")
	if err != nil || a.CredentialVersion != 1 {
		t.Errorf("the password is another's now: %+v, %v", a, err)
	}
	if p, _, _, err := argon2id.DecodeHash(c.PasswordHash); err != nil || p.Iterations != d.hasher.params.Iterations {
		t.Errorf("the hash is %+v, %v", p, err)
	}
}

func TestChangingThePassword(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	here, s := d.signInFrom("ada", home)
	there, _ := d.signInFrom("ada", stranger)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID, Address: home}
	_, err := d.ChangePassword(t.Context(), by, otherPassword, otherPassword)
	wantField(t, err, "current", "wrong")
	_, err = d.ChangePassword(t.Context(), by, goodPassword, "short")
	wantField(t, err, "password", "too_short")
	if !d.check(there).Usable() {
		t.Error("refused, and yet the others have ended")
	}
	out, err := d.ChangePassword(t.Context(), by, goodPassword, otherPassword)
	if err != nil || out.Ended != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if a, b := d.check(here), d.check(there); a.State != live.Usable || b.State != live.Ended {
		t.Errorf("here %v, there %v", a.State, b.State)
	}
	wantErr(t, d.try("ada", goodPassword, home), exeunt.ErrWrongCredentials)
	if err := d.try("ada", otherPassword, home); err != nil {
		t.Error(err)
	}
	// Guesses at the current password count like guesses at the door.
	for range perAccount.Burst + perReserve.near.Burst {
		d.ChangePassword(t.Context(), by, "a guess", otherPassword)
	}
	if _, err := d.ChangePassword(t.Context(), by, "a guess", otherPassword); !throttled(err) {
		t.Errorf("%v", err)
	}
}

func TestSigningUp(t *testing.T) {
	d := newDesk(t)
	p, err := d.SignUp(t.Context(), NewAccount{Handle: "@Ada", Name: "  Ada \n Lovelace ", Email: " ada@example.com ", Password: goodPassword}, home)
	if err != nil {
		t.Fatal(err)
	}
	a, err := d.Store.Account(t.Context(), p.Account)
	if err != nil || a.Handle != "ada" || a.Name != "Ada Lovelace" || a.Email != "ada@example.com" || a.EmailConfirmed {
		t.Errorf("%+v, %v", a, err)
	}
	if _, _, err := d.Authority.Start(t.Context(), authority.SignIn{Proof: p, Kind: exeunt.KindKept}); err != nil {
		t.Errorf("the proof of a new account: %v", err)
	}
	for name, c := range map[string]struct {
		n           NewAccount
		field, code string
	}{
		"handle taken":  {NewAccount{Handle: "ada", Password: goodPassword}, "handle", "taken"},
		"handle":        {NewAccount{Handle: "a b", Password: goodPassword}, "handle", "shape"},
		"long name":     {NewAccount{Handle: "bob", Name: fmt.Sprintf("%081d", 0), Password: goodPassword}, "name", "too_long"},
		"control":       {NewAccount{Handle: "bob", Name: "a\x00b", Password: goodPassword}, "name", "shape"},
		"delete":        {NewAccount{Handle: "bob", Name: "a\x7fb", Password: goodPassword}, "name", "shape"},
		"c1 control":    {NewAccount{Handle: "bob", Name: "a\u009bb", Password: goodPassword}, "name", "shape"},
		"right to left": {NewAccount{Handle: "bob", Name: "a\u202eb", Password: goodPassword}, "name", "shape"},
		"address":       {NewAccount{Handle: "bob", Email: "bob", Password: goodPassword}, "email", "shape"},
		"two addresses": {NewAccount{Handle: "bob", Email: "a@b.example, c@d.example", Password: goodPassword}, "email", "shape"},
		"named address": {NewAccount{Handle: "bob", Email: "Bob <bob@b.example>", Password: goodPassword}, "email", "shape"},
		"header":        {NewAccount{Handle: "bob", Email: "a@b.example\r\nBcc: x@y.example", Password: goodPassword}, "email", "shape"},
		"zero width":    {NewAccount{Handle: "bob", Email: "a\u200bda@example.com"}, "email", "shape"},
		"joiner":        {NewAccount{Handle: "bob", Email: "a\u034fda@example.com"}, "email", "shape"},
		"filler":        {NewAccount{Handle: "bob", Email: "a\u3164da@example.com"}, "email", "shape"},
		"selector":      {NewAccount{Handle: "bob", Email: "ada\ufe0f@example.com"}, "email", "shape"},
		"soft hyphen":   {NewAccount{Handle: "bob", Email: "ada@exam\u00adple.com"}, "email", "shape"},
		"bidi address":  {NewAccount{Handle: "bob", Email: "\u202emoc.elpmaxe@ada"}, "email", "shape"},
		"escape":        {NewAccount{Handle: "bob", Email: "\u009b2Jada@example.com"}, "email", "shape"},
		"no-break":      {NewAccount{Handle: "bob", Email: "a\u00a0b@example.com"}, "email", "shape"},
		"password":      {NewAccount{Handle: "bob", Password: "bob bob bob"}, "password", "weak_personal"},
	} {
		d.pass(time.Hour)
		_, err := d.SignUp(t.Context(), c.n, home)
		t.Run(name, func(t *testing.T) { wantField(t, err, c.field, c.code) })
	}
	// An address that somebody else has confirmed is no error and tells nothing.
	d.add("carol", "carol@example.com", true)
	if _, err := d.SignUp(t.Context(), NewAccount{Handle: "mallory", Email: "carol@example.com", Password: otherPassword}, home); err != nil {
		t.Error(err)
	}
	if p, err := d.Password(t.Context(), "carol@example.com", goodPassword, home); err != nil || p.Account == (exeunt.AccountID{}) {
		t.Errorf("the owner of the address: %v", err)
	}
	wantErr(t, d.try("carol@example.com", otherPassword, home), exeunt.ErrWrongCredentials)
	d.SignUpOpen = false
	_, err = d.SignUp(t.Context(), NewAccount{Handle: "bob", Password: goodPassword}, home)
	wantErr(t, err, exeunt.ErrSignUpClosed)
}

func TestSignUpsFromOneAddressAreCounted(t *testing.T) {
	d := newDesk(t)
	for range perSignUp.near.Burst {
		_, err := d.SignUp(t.Context(), NewAccount{Handle: "!"}, stranger)
		wantField(t, err, "handle", "shape")
	}
	if _, err := d.SignUp(t.Context(), NewAccount{Handle: "!"}, stranger); !throttled(err) {
		t.Errorf("%v", err)
	}
	if _, err := d.SignUp(t.Context(), NewAccount{Handle: "!"}, home); throttled(err) {
		t.Error("another address is throttled too")
	}
}

func TestRedeemingAnInvite(t *testing.T) {
	d := newDesk(t)
	token, _, err := d.Invite(t.Context(), Invitation{Handle: "ada", Email: "ada@example.com", EmailConfirmed: true, Expires: epoch.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // looking spends nothing
		if v, err := d.LookAtInvite(t.Context(), token); err != nil || v.Handle != "ada" {
			t.Errorf("%+v, %v", v, err)
		}
	}
	_, err = d.Redeem(t.Context(), token, NewAccount{Password: "short"}, home)
	wantField(t, err, "password", "too_short")
	p, err := d.Redeem(t.Context(), token, NewAccount{Handle: "mallory", Email: "mallory@example.com", Password: goodPassword}, home)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := d.Store.Account(t.Context(), p.Account); err != nil || a.Handle != "ada" || a.Email != "ada@example.com" || !a.EmailConfirmed {
		t.Errorf("what the invite fills in cannot be chosen: %+v, %v", a, err)
	}
	// Links are looked up like any other secret that anybody may present: one
	// that is dead is not asked for again.
	dead := exeunt.NewToken(exeunt.UseInvite)
	_, err = d.LookAtInvite(t.Context(), dead)
	wantErr(t, err, exeunt.ErrInviteSpent)
	asked := false
	err = d.Authority.LookUp(t.Context(), exeunt.UseInvite, dead.Hash(), exeunt.ErrInviteSpent, func(context.Context) error { asked = true; return nil })
	if wantErr(t, err, exeunt.ErrInviteSpent); asked {
		t.Error("the store is asked again")
	}
	for name, x := range map[string]exeunt.Token{"spent": token, "unknown": exeunt.NewToken(exeunt.UseInvite), "no invite": exeunt.NewToken(exeunt.UseSession), "nothing": {}} {
		if _, err := d.Redeem(t.Context(), x, NewAccount{Handle: "bob", Password: goodPassword}, home); !errors.Is(err, exeunt.ErrInviteSpent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewAccountsPrintWithoutTheirPasswords(t *testing.T) {
	n := NewAccount{Handle: "ada", Password: goodPassword}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, n); strings.Contains(s, goodPassword) || !strings.Contains(s, "ada") {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}

func TestASignUpIsToldEverythingThatIsWrong(t *testing.T) {
	d := newDesk(t)
	_, err := d.SignUp(t.Context(), NewAccount{Handle: "a b", Email: "bob", Password: "short"}, home)
	for _, want := range []string{"A handle has", "not an e-mail address", "shorter than 8"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
