package account

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/live"
)

func TestChangingThePassword(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	here, s := d.signInFrom("ada", home)
	there, _ := d.signInFrom("ada", stranger)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID, Address: home}
	_, _, err := d.change(by, here, otherPassword, otherPassword)
	wantField(t, err, "current", "wrong")
	_, _, err = d.change(by, here, goodPassword, "short")
	wantField(t, err, "password", "too_short")
	_, _, err = d.change(by, here, goodPassword, goodPassword)
	wantField(t, err, "password", "same")
	if !d.check(there).Usable() || !d.check(here).Usable() {
		t.Error("refused, and yet something has ended")
	}
	out, next, err := d.change(by, here, goodPassword, otherPassword)
	if err != nil || out.Ended != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if a, b, c := d.check(here), d.check(next), d.check(there); a.State != live.Renewed || !b.Usable() || c.State != live.Ended {
		t.Errorf("here %v, then %v, there %v", a.State, b.State, c.State)
	}
	wantErr(t, d.try("ada", goodPassword, home), exeunt.ErrWrongCredentials)
	if err := d.try("ada", otherPassword, home); err != nil {
		t.Error(err)
	}
	// Guesses at the current password count like guesses at the door.
	guesses := 0
	for ; guesses < 100; guesses++ {
		if _, _, err := d.change(by, next, "a guess", otherPassword); throttled(err) {
			break
		}
	}
	if guesses += 2; guesses != 15 { // two were wrong above
		t.Errorf("%d guesses at the current password", guesses)
	}
}

// What a stranger at somebody's screen must not change is changed by a proof, of
// the same person.
func TestChangesNeedAProof(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "ada@example.com", true)
	d.add("bob", "", false)
	token, s := d.signInFrom("ada", home)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID, Address: home}
	bobs := func(ctx context.Context) (exeunt.Proof, error) { return d.password(ctx, "bob", goodPassword, home) }
	_, _, err := d.ChangePassword(t.Context(), by, token, "", otherPassword, bobs)
	wantErr(t, err, exeunt.ErrForbidden)
	wantErr(t, d.ChangeProfile(t.Context(), by, token, Profile{Name: "Ada", Email: "x@example.com"}, bobs), exeunt.ErrForbidden)
	err = d.ChangeProfile(t.Context(), by, token, Profile{Name: "Ada", Email: "x@example.com"}, d.confirm(by, ""))
	wantField(t, err, "current", "needed")
	// A name is changed without one.
	if err := d.ChangeProfile(t.Context(), by, token, Profile{Name: "Countess", Email: "ada@example.com"}, nil); err != nil {
		t.Error(err)
	}
	if a, err := d.Authority.AccountByHandle(t.Context(), "@ada"); err != nil || a.Name != "Countess" || a.Email != "ada@example.com" || !a.EmailConfirmed {
		t.Errorf("%+v, %v", a, err)
	}
	if err := d.ChangeProfile(t.Context(), by, token, Profile{Name: "Ada", Email: "x@example.com"}, d.confirm(by, goodPassword)); err != nil {
		t.Error(err)
	}
	if a, err := d.Store.Account(t.Context(), by.Account); err != nil || a.Email != "x@example.com" || a.EmailConfirmed {
		t.Errorf("%+v, %v", a, err)
	}
}

// A profile is changed only with the token and the password that are good when it is saved.
func TestAChangeOfTheProfileIsFenced(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	token, s := d.signInFrom("ada", home)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID, Address: home}
	change := Profile{Name: "Ada", Email: "x@example.com"}
	late := func(ctx context.Context) (exeunt.Proof, error) { // the password changes between the proof and the change
		p, err := d.password(ctx, "ada", goodPassword, home)
		if err == nil {
			_, token, err = d.ChangePassword(ctx, by, token, "", otherPassword, d.confirm(by, goodPassword))
		}
		return p, err
	}
	wantErr(t, d.ChangeProfile(t.Context(), by, token, change, late), exeunt.ErrRenewed)
	stale := func(context.Context) (exeunt.Proof, error) {
		return exeunt.Proof{Account: s.Account, CredentialVersion: 1}, nil
	}
	wantErr(t, d.ChangeProfile(t.Context(), by, token, change, stale), exeunt.ErrSignInAgain)
	wantErr(t, d.ChangeProfile(t.Context(), by, exeunt.Token{}, Profile{Name: "Ada"}, nil), exeunt.ErrRenewed)
	if a, err := d.Store.Account(t.Context(), s.Account); err != nil || a.Email != "" || a.Name == "Ada" {
		t.Errorf("%+v, %v", a, err)
	}
	if err := d.ChangeProfile(t.Context(), by, token, change, d.confirm(by, otherPassword)); err != nil {
		t.Error(err)
	}
}

// A proof from before a change of the password proves nothing after it.
func TestAProofIsFenced(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	token, s := d.signInFrom("ada", home)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID, Address: home}
	proof, err := d.confirm(by, goodPassword)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, token, err = d.change(by, token, goodPassword, otherPassword)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = d.ChangePassword(t.Context(), by, token, "", "three herons at the weir", func(context.Context) (exeunt.Proof, error) { return proof, nil })
	wantErr(t, err, exeunt.ErrSignInAgain)
}

func TestOnlyOperatorsSayWhoMaySignIn(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "ada@example.com", false)
	account := func() exeunt.Account { a, err := d.Store.Account(t.Context(), id); d.must(nil, err); return a }
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: id}
	_, err := d.Disable(t.Context(), by, account())
	wantErr(t, err, exeunt.ErrForbidden)
	_, err = d.ConfirmEmail(t.Context(), by, id, "ada@example.com")
	wantErr(t, err, exeunt.ErrForbidden)
	for i, already := range []bool{false, true} {
		if done, err := d.Disable(t.Context(), operator, account()); done.Already != already || err != nil {
			t.Errorf("disabled %d times: %+v, %v", i, done, err)
		}
	}
	_, err = d.Enable(t.Context(), by, account())
	wantErr(t, err, exeunt.ErrForbidden)
	for _, already := range []bool{false, true} {
		if got, err := d.Enable(t.Context(), operator, account()); got != already || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
	if list := d.detailOfAudit(id); !slices.Equal(list[:2], []string{"status_change active operator", "end account account_disabled operator"}) {
		t.Errorf("the audit says %q", list)
	}
	_, err = d.ConfirmEmail(t.Context(), operator, id, "not an address")
	wantField(t, err, "email", "shape")
	if email, err := d.ConfirmEmail(t.Context(), operator, id, " ADA@example.com"); email != "ada@example.com" || err != nil {
		t.Errorf("%q, %v", email, err)
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
		"handle taken":    {NewAccount{Handle: "ada", Password: goodPassword}, "handle", "taken"},
		"handle":          {NewAccount{Handle: "a b", Password: goodPassword}, "handle", "shape"},
		"long name":       {NewAccount{Handle: "bob", Name: fmt.Sprintf("%081d", 0), Password: goodPassword}, "name", "too_long"},
		"control":         {NewAccount{Handle: "bob", Name: "a\x00b", Password: goodPassword}, "name", "shape"},
		"delete":          {NewAccount{Handle: "bob", Name: "a\x7fb", Password: goodPassword}, "name", "shape"},
		"c1 control":      {NewAccount{Handle: "bob", Name: "a\u009bb", Password: goodPassword}, "name", "shape"},
		"address":         {NewAccount{Handle: "bob", Email: "bob", Password: goodPassword}, "email", "shape"},
		"two addresses":   {NewAccount{Handle: "bob", Email: "a@b.example, c@d.example", Password: goodPassword}, "email", "shape"},
		"named address":   {NewAccount{Handle: "bob", Email: "Bob <bob@b.example>", Password: goodPassword}, "email", "shape"},
		"header":          {NewAccount{Handle: "bob", Email: "a@b.example\r\nBcc: x@y.example", Password: goodPassword}, "email", "shape"},
		"escape":          {NewAccount{Handle: "bob", Email: "\u009b2Jada@example.com"}, "email", "shape"},
		"no-break":        {NewAccount{Handle: "bob", Email: "a\u00a0b@example.com"}, "email", "shape"},
		"no such domain":  {NewAccount{Handle: "bob", Email: "ada@xn--a.example", Password: goodPassword}, "email", "shape"},
		"zero width name": {NewAccount{Handle: "bob", Name: "\u200b", Password: goodPassword}, "name", "invisible"},
		"filler name":     {NewAccount{Handle: "bob", Name: "\u3164 \u3164", Password: goodPassword}, "name", "invisible"},
		"blank name":      {NewAccount{Handle: "bob", Name: "\u2800", Password: goodPassword}, "name", "invisible"},
		"password":        {NewAccount{Handle: "bob", Password: "bob bob bob"}, "password", "weak_personal"},
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
	if p, err := d.password(t.Context(), "carol@example.com", goodPassword, home); err != nil || p.Account == (exeunt.AccountID{}) {
		t.Errorf("the owner of the address: %v", err)
	}
	wantErr(t, d.try("carol@example.com", otherPassword, home), exeunt.ErrWrongCredentials)
	d.SignUpOpen = false
	_, err = d.SignUp(t.Context(), NewAccount{Handle: "bob", Password: goodPassword}, home)
	wantErr(t, err, exeunt.ErrSignUpClosed)
}

func TestSignUpsFromOneAddressAreCounted(t *testing.T) {
	d := newDesk(t)
	for range perSignUp.Near.Burst {
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

// Whoever has an IPv6 network usually has 65,536 of them, and is not as many
// customers.
func TestSignUpsFromOneWideNetworkAreCounted(t *testing.T) {
	d := newDesk(t)
	signUps := 0
	for i := range 2 * perSignUp.Wide.Burst {
		from := netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i))
		if _, err := d.SignUp(t.Context(), NewAccount{Handle: "!"}, from); !throttled(err) {
			signUps++
		}
	}
	if signUps != perSignUp.Wide.Burst {
		t.Errorf("%d sign-ups from one /48, not %d", signUps, perSignUp.Wide.Burst)
	}
}

// What people paste along is left out where it identifies somebody, and only there.
// A name is stored as it shows.
func TestNamesAreStoredWithoutWhatNobodySees(t *testing.T) {
	for in, want := range map[string]string{"A\u200bd\u200e\u200fa\u061c": "Ada", "a\u202eb": "ab", "A \u200b B": "A B"} {
		if got, err := cleanName(in, ""); got != want || err != nil {
			t.Errorf("%+q: %+q, %v", in, got, err)
		}
	}
}

func TestPastedNames(t *testing.T) {
	d := newDesk(t)
	p, err := d.SignUp(t.Context(), NewAccount{Handle: "\ufeff @Ada\u200b", Email: "\u202aada@exam\u00adple.com\u202c\n",
		Password: " " + goodPassword + "\u200b"}, home)
	if err != nil {
		t.Fatal(err)
	}
	a, err := d.Store.Account(t.Context(), p.Account)
	if err != nil || a.Handle != "ada" || a.Email != "ada@example.com" {
		t.Errorf("%+v, %v", a, err)
	}
	for _, identifier := range []string{"ada", "\u200eada\u200f", " ａｄａ"} {
		if err := d.try(identifier, " "+goodPassword+"\u200b", home); err != nil {
			t.Errorf("%+q: %v", identifier, err)
		}
		wantErr(t, d.try(identifier, goodPassword, home), exeunt.ErrWrongCredentials)
	}
}

// Two spellings of one address are confirmed for one account, and count as one for guesses.
func TestEqualAddressesAreOne(t *testing.T) {
	for name, spellings := range map[string][2]string{
		"composed": {"zoë@example.com", "zoe\u0308@example.com"}, "ascii": {"ada@bücher.example", "ada@xn--bcher-kva.example"},
		"case": {"Ada@example.com", "ada@EXAMPLE.com"}, "width": {"ada@example.com", "ａｄａ@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			for i, a := range spellings {
				id := d.add(fmt.Sprint("ada", i), a, false)
				_, err := d.ConfirmEmail(t.Context(), operator, id, spellings[1-i])
				if want := []error{nil, exeunt.ErrEmailTaken}[i]; !errors.Is(err, want) {
					t.Errorf("%s: %v", a, err)
				}
				if p, err := d.password(t.Context(), a, goodPassword, home); err != nil || i == 1 && p.Account == id {
					t.Errorf("signing in as %s: %v", a, err)
				}
			}
			_, err := d.AddAccount(t.Context(), operator, NewAccount{Handle: "third", Email: spellings[1], Password: goodPassword}, true)
			wantErr(t, err, exeunt.ErrEmailTaken)
			guesses := 0
			for ; guesses < 100 && !throttled(d.try(spellings[guesses%2], "a guess", stranger)); guesses++ {
			}
			if guesses != 15 { // as many as at one spelling
				t.Errorf("%d guesses", guesses)
			}
		})
	}
	d := newDesk(t)
	for i, a := range []string{"ada@bücher.example", "ADA@xn--bcher-kva.example"} {
		_, replaced, err := d.Invite(t.Context(), Invitation{Handle: fmt.Sprint("ada", i), Email: a, Expires: d.Now().Add(time.Hour)})
		if err != nil || replaced != (i == 1) {
			t.Errorf("%s: %v, %v", a, replaced, err)
		}
	}
}

// Handles that read like those of whoever runs the site are not for strangers; operators may give them.
func TestReservedHandles(t *testing.T) {
	d := newDesk(t)
	c := d.Config
	c.Reserved = []string{"admin", "noreply", "exeunt"}
	d.Service = New(c)
	for _, handle := range []string{"admin", "@Admin", "ａｄｍｉｎ", "ad\u200bmin", "admin_", "no_reply", "no.reply", "No-Reply", "EXEUNT"} {
		_, err := d.SignUp(t.Context(), NewAccount{Handle: handle, Password: goodPassword}, home)
		wantField(t, err, "handle", "reserved")
	}
	if _, err := d.SignUp(t.Context(), NewAccount{Handle: "administrata", Password: goodPassword}, home); err != nil {
		t.Error(err)
	}
	d.add("admin", "", false)
	link, _, err := d.Invite(t.Context(), Invitation{Handle: "noreply", Expires: d.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Redeem(t.Context(), link, NewAccount{Password: goodPassword}, home); err != nil {
		t.Error(err)
	}
}
