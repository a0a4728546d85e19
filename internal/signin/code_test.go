package signin

import (
	"errors"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/factor"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/store"
)

// withApp gives an account an authenticator app and one recovery code, without the session that people do that from.
func (d *desk) withApp(id exeunt.AccountID) (secret []byte, codes []factor.RecoveryCode) {
	d.t.Helper()
	ctx := d.t.Context()
	proof, err := Proof(d.Password(ctx, "ada", goodPassword, home))
	must(d.t, err)
	token, s, err := d.authority.Start(ctx, signInOf(proof))
	must(d.t, err)
	f := store.NewFactor{Factor: exeunt.Factor{ID: exeunt.NewFactorID(), Kind: exeunt.FactorTOTP, Name: "Phone"}}
	secret = factor.NewSecret()
	f.Data, err = d.Master.Seal(factor.Purpose(f.ID), secret)
	must(d.t, err)
	codes = factor.NewRecoveryCodes(exeunt.RecoveryCodeCount)
	var hashes []string
	for _, c := range codes {
		h, err := d.Hasher.Hash(ctx, c.Secret())
		must(d.t, err)
		hashes = append(hashes, h)
	}
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: id, Session: s.ID, Address: home}
	must(d.t, d.Store.ChangeFactors(ctx, by, token.Hash(), proof.CredentialVersion,
		store.FactorChange{Add: &f, Codes: hashes}, d.Now()))
	return secret, codes
}

func (d *desk) ask() exeunt.Token {
	d.t.Helper()
	step, err := d.Password(d.t.Context(), "ada", goodPassword, home)
	_, err = d.Ask(d.t.Context(), "what goes on", step, err)
	var more *exeunt.FactorRequiredError
	if !errors.As(err, &more) {
		d.t.Fatalf("the password alone gave %v", err)
	}
	return more.Challenge
}

func (d *desk) answer(t exeunt.Token, code string) (Answered, error) {
	return d.Answer(d.t.Context(), t, Reply{Code: code}, exeunt.Actor{Kind: exeunt.ActorPerson, Address: home})
}

func (d *desk) now() int64 { return factor.Step(d.Now()) }

// A code works once, for a minute and a half, and the same answer to the same challenge leads to the same session.
func TestACodeWorksOnce(t *testing.T) {
	d := newDesk(t)
	secret, codes := d.withApp(d.add("ada", "", false))
	code := factor.Code(secret, d.now())
	first := d.ask()
	got, err := d.answer(first, code)
	must(t, err)
	if m := got.Proof.Methods.String(); m != "password totp" || got.Proof.Repeated || got.Form != "what goes on" {
		t.Fatalf("the answer proved %q %+v", m, got)
	}
	id, s, err := d.authority.Start(t.Context(), signInOf(got.Proof))
	must(t, err)
	if s.Methods.String() != "password totp" {
		t.Errorf("the session has %v", s.Methods)
	}
	again, err := d.answer(first, code)
	must(t, err)
	if !again.Proof.Repeated {
		t.Error("the same answer proves anew")
	}
	same, _, err := d.authority.Start(t.Context(), signInOf(again.Proof))
	if err != nil || same.Hash() != id.Hash() {
		t.Errorf("the form sent twice: another session, or %v", err)
	}
	other := signInOf(again.Proof)
	other.Form = ""
	if _, _, err := d.authority.Start(t.Context(), other); !errors.Is(err, exeunt.ErrSignInAgain) {
		t.Errorf("a repeated proof started another session: %v", err)
	}
	if _, err := d.answer(first, codes[0].Reveal()); !errors.Is(err, exeunt.ErrChallengeOver) {
		t.Errorf("another answer to the same challenge: %v", err)
	}
	if _, err := d.answer(d.ask(), code); fieldCode(err) != exeunt.ErrCodeUsed.Code {
		t.Errorf("the same code for another challenge: %v", err)
	}
	if _, err := d.answer(d.ask(), factor.Code(secret, d.now()-1)); fieldCode(err) != exeunt.ErrCodeUsed.Code {
		t.Errorf("an earlier code after a later one: %v", err)
	}
	d.pass(30 * time.Second)
	_, err = d.answer(d.ask(), factor.Code(secret, d.now()+1))
	must(t, err)
}

func TestCodesThatAreRefused(t *testing.T) {
	d := newDesk(t)
	secret, codes := d.withApp(d.add("ada", "", false))
	now := func(off int64) string { return factor.Code(secret, d.now()+off) }
	for name, c := range map[string]struct {
		code func() string
		want string
	}{
		"wrong":            {func() string { return now(1000) }, errWrongCode.Code},
		"empty":            {func() string { return "" }, errWrongCode.Code},
		"cut":              {func() string { return now(0)[:5] }, errWrongCode.Code},
		"two minutes slow": {func() string { return now(-4) }, errClock.Code},
		"two minutes fast": {func() string { return now(4) }, errClock.Code},
		"recovery, cut":    {func() string { return codes[1].Reveal()[:12] }, errWrongCode.Code},
		"recovery, other":  {func() string { return "1" + codes[2].Reveal()[1:] }, errWrongCode.Code},
	} {
		if _, err := d.answer(d.ask(), c.code()); fieldCode(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		d.pass(5 * time.Minute)
	}
	if _, err := d.answer(exeunt.NewToken(exeunt.UseChallenge), "000000"); !errors.Is(err, exeunt.ErrChallengeOver) {
		t.Errorf("a challenge that nobody asked for: %v", err)
	}
	late := d.ask()
	d.pass(exeunt.ChallengeLife)
	if _, err := d.answer(late, factor.Code(secret, d.now())); !errors.Is(err, exeunt.ErrChallengeOver) {
		t.Errorf("an expired challenge: %v", err)
	}
}

// Wrong answers count against the challenge and against the account.
func TestCodesAreNotGuessed(t *testing.T) {
	d := newDesk(t)
	secret, _ := d.withApp(d.add("ada", "", false))
	c := d.ask()
	for range exeunt.MaxWrongAnswers {
		if _, err := d.answer(c, "12345"); fieldCode(err) != errWrongCode.Code {
			t.Fatal(err)
		}
	}
	if _, err := d.answer(c, factor.Code(secret, d.now())); !errors.Is(err, exeunt.ErrChallengeOver) {
		t.Errorf("after too many wrong answers: %v", err)
	}
	guesses := exeunt.MaxWrongAnswers
	var limited *exeunt.ThrottledError
	for ; guesses < 100; guesses++ {
		_, err := d.Answer(t.Context(), d.ask(), Reply{Code: "12345"}, exeunt.Actor{Kind: exeunt.ActorPerson, Address: stranger})
		if errors.As(err, &limited) {
			break
		}
	}
	if guesses != perFactor.Burst {
		t.Errorf("%d guesses before the limit, want %d", guesses, perFactor.Burst)
	}
	// Whoever guesses elsewhere does not keep the owner out.
	if _, err := d.answer(d.ask(), factor.Code(secret, d.now())); err != nil {
		t.Errorf("the owner at home: %v", err)
	}
}

// Somebody who is signed in proves all that a sign-in asks for.
func TestConfirmAsksForTheFactor(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "", false)
	secret, _ := d.withApp(id)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: id, Address: home}
	confirm := func(code string) (exeunt.Proof, error) {
		return Proof(d.Confirm(t.Context(), by, Confirmation{Password: goodPassword, Code: code}))
	}
	if _, err := confirm(""); fieldCode(err) != "needed" {
		t.Errorf("without a code: %v", err)
	}
	if _, err := confirm("999"); fieldCode(err) != errWrongCode.Code {
		t.Errorf("with a wrong code: %v", err)
	}
	p, err := confirm(factor.Code(secret, d.now()))
	if err != nil || p.Methods.String() != "password totp" {
		t.Errorf("%v %v", p, err)
	}
}

func fieldCode(err error) string {
	var f *exeunt.FieldError
	if errors.As(err, &f) {
		return f.Code
	}
	return ""
}

// With another master key no code of an app can be checked: it says so, and a recovery code still signs in.
func TestTheKeyOfAnAppIsLost(t *testing.T) {
	d := newDesk(t)
	secret, codes := d.withApp(d.add("ada", "", false))
	other, err := keys.ParseMaster("ICECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	must(t, err)
	d.Master = other
	c := d.ask()
	if _, err := d.answer(c, factor.Code(secret, d.now())); fieldCode(err) != errKeyLost.Code {
		t.Errorf("a code that cannot be checked: %v", err)
	}
	got, err := d.answer(c, codes[0].Reveal())
	must(t, err)
	if got.Proof.Methods.String() != "password recovery_code" {
		t.Errorf("the recovery code proved %v", got.Proof.Methods)
	}
}
