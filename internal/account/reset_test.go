package account

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

var operator = exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}

func (d *desk) reset(id exeunt.AccountID) exeunt.Token {
	d.t.Helper()
	a, err := d.Store.Account(context.Background(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	link, err := d.OfferReset(context.Background(), operator, a)
	if err != nil {
		d.t.Fatal(err)
	}
	return link
}

func (d *desk) detailOfAudit(id exeunt.AccountID) (out []string) {
	list, err := d.Store.Audit(context.Background(), exeunt.AuditFilter{Account: id})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range list.Items {
		out = append(out, strings.Join(strings.Fields(string(e.Action)+" "+e.Detail+" "+string(e.By.Kind)), " "))
	}
	return out
}

func TestAResetEndsEverySessionAndTheOldPassword(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "", false)
	token, _ := d.signInFrom("ada", home)
	other, _ := d.signInFrom("ada", home)
	link := d.reset(id)
	for range 2 { // looking spends nothing, and changes nothing
		if a, err := d.LookAtReset(t.Context(), link); err != nil || a.Handle != "ada" {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if !d.check(token).Usable() || d.try("ada", goodPassword, home) != nil {
		t.Error("making a link changed something")
	}
	_, err := d.Reset(t.Context(), link, "short", home)
	wantField(t, err, "password", "too_short")
	done, err := d.Reset(t.Context(), link, otherPassword, home)
	if err != nil || done.Ended != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	for _, dead := range []exeunt.Token{token, other} {
		if d.check(dead).Usable() {
			t.Error("a session has outlived the new password")
		}
		if _, reason, _, _ := d.Authority.WhyEnded(t.Context(), dead); reason != exeunt.ReasonPasswordChange {
			t.Errorf("it ended for %q", reason)
		}
	}
	wantErr(t, d.try("ada", goodPassword, home), exeunt.ErrWrongCredentials)
	if err := d.try("ada", otherPassword, home); err != nil {
		t.Error(err)
	}
	got := strings.Join(d.detailOfAudit(id), "\n")
	for _, want := range []string{"reset_link operator", "end account password_change link"} {
		if !strings.Contains(got, want) {
			t.Errorf("the audit does not say %q:\n%s", want, got)
		}
	}
	_, err = d.Reset(t.Context(), link, goodPassword, home)
	wantErr(t, err, exeunt.ErrInviteSpent)
}

// An account without a password gets one by a link.
func TestAResetGivesAPassword(t *testing.T) {
	d := newDesk(t)
	a := exeunt.Account{ID: exeunt.NewAccountID(), Handle: "grace", Name: "Grace", Created: d.Now()}
	d.must(nil, d.Store.AddAccount(t.Context(), a, store.Credential{}, nil, exeunt.System()))
	if got, err := d.Store.Account(t.Context(), a.ID); err != nil || !got.PasswordSet.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	wantErr(t, d.try("grace", "", home), exeunt.ErrWrongCredentials)
	wantErr(t, d.try("grace", goodPassword, home), exeunt.ErrWrongCredentials)
	link := d.reset(a.ID)
	wantErr(t, d.try("grace", goodPassword, home), exeunt.ErrWrongCredentials)
	d.pass(time.Minute)
	d.must(d.Reset(t.Context(), link, goodPassword, home))
	if err := d.try("grace", goodPassword, home); err != nil {
		t.Error(err)
	}
	if got, err := d.Store.Account(t.Context(), a.ID); err != nil || !got.PasswordSet.Equal(d.Now()) {
		t.Errorf("%+v, %v", got, err)
	}
}

// The holder of a link may not hash, nor guess at the present password, without limit.
func TestALinkIsNotTriedWithoutLimit(t *testing.T) {
	d := newDesk(t)
	link := d.reset(d.add("ada", "", false))
	try := func() error {
		_, err := d.Reset(t.Context(), link, goodPassword, home) // which is the present one
		return err
	}
	for range perLink.Burst {
		wantField(t, try(), "password", "same")
	}
	var throttled *exeunt.ThrottledError
	if err := try(); !errors.As(err, &throttled) || throttled.RetryAfter != perLink.Every {
		t.Errorf("one too many: %v", err)
	}
	d.pass(perLink.Every)
	wantField(t, try(), "password", "same")
}

// Whatever makes a link useless, it does nothing, and the sessions stay.
func TestDeadResetLinks(t *testing.T) {
	for name, kill := range map[string]func(d *desk, id exeunt.AccountID){
		"a day later":    func(d *desk, _ exeunt.AccountID) { d.pass(ResetLife) },
		"a newer link":   func(d *desk, id exeunt.AccountID) { d.reset(id) },
		"withdrawn":      func(d *desk, _ exeunt.AccountID) { d.must(d.Uninvite(context.Background(), "ada")) },
		"disabled since": func(d *desk, id exeunt.AccountID) { d.must(d.Authority.Disable(context.Background(), operator, id)) },
		"disabled and enabled": func(d *desk, id exeunt.AccountID) {
			d.must(d.Authority.Disable(context.Background(), operator, id))
			d.must(nil, d.Store.Enable(context.Background(), id, operator, d.Now()))
		},
		"another password since": func(d *desk, id exeunt.AccountID) {
			token, s := d.signInFrom("ada", home)
			by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: id, Session: s.ID, Address: home}
			_, _, err := d.change(by, token, goodPassword, otherPassword)
			d.must(nil, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			id := d.add("ada", "", false)
			link := d.reset(id)
			kill(d, id)
			before, err := d.Store.Account(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.LookAtReset(t.Context(), link)
			wantErr(t, err, exeunt.ErrInviteSpent)
			_, err = d.Reset(t.Context(), link, "three herons at the weir", home)
			wantErr(t, err, exeunt.ErrInviteSpent)
			// Also when it was looked at just before it died.
			_, err = d.Authority.ResetPassword(t.Context(), id, link.Hash(), "hash", before.CredentialVersion, home)
			wantErr(t, err, exeunt.ErrInviteSpent)
			if after, _ := d.Store.Account(t.Context(), id); !reflect.DeepEqual(after, before) {
				t.Errorf("something changed: %+v, was %+v", after, before)
			}
		})
	}
}

func (d *desk) must(_ any, err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// An invitation makes an account, a reset sets a password; neither does the
// other's work.
func TestLinksAreForOneThing(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "", false)
	link := d.reset(id)
	_, err := d.LookAtInvite(t.Context(), link)
	wantErr(t, err, exeunt.ErrInviteSpent)
	_, err = d.Redeem(t.Context(), link, NewAccount{Handle: "bob", Password: goodPassword}, home)
	wantErr(t, err, exeunt.ErrInviteSpent)
	hash := link.Hash()
	if _, err := d.create(t.Context(), NewAccount{Handle: "bob", Password: goodPassword}, false, &store.Origin{Link: &hash}, operator); err == nil {
		t.Error("a link for a password made an account")
	}
	invite, _, err := d.Invite(t.Context(), Invitation{Handle: "bob", Expires: epoch.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Reset(t.Context(), invite, goodPassword, home)
	wantErr(t, err, exeunt.ErrInviteSpent)
	if _, err := d.LookAtReset(t.Context(), link); err != nil {
		t.Errorf("the link was spent by being misused: %v", err)
	}
}

func TestANewerInviteReplacesTheOlder(t *testing.T) {
	d := newDesk(t)
	invite := func(handle, email string) (exeunt.Token, bool) {
		t.Helper()
		link, replaced, err := d.Invite(t.Context(), Invitation{Handle: handle, Email: email, Expires: epoch.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return link, replaced
	}
	first, replaced := invite("grace", "grace@example.com")
	if replaced {
		t.Error("there was nothing to replace")
	}
	second, byHandle := invite("grace", "")
	third, byEmail := invite("hopper", "Grace@Example.com") // the second has no address
	_, byBoth := invite("hopper", "grace@example.com")
	if !byHandle || byEmail || !byBoth {
		t.Errorf("replaced by handle %v, by address %v, by both %v", byHandle, byEmail, byBoth)
	}
	for _, dead := range []exeunt.Token{first, third} {
		_, err := d.LookAtInvite(t.Context(), dead)
		wantErr(t, err, exeunt.ErrInviteSpent)
	}
	if _, err := d.LookAtInvite(t.Context(), second); err != nil {
		t.Error(err)
	}
	list, err := d.Invites(t.Context())
	if err != nil || len(list) != 2 || list[0].Handle != "grace" || list[1].Handle != "hopper" {
		t.Errorf("%+v, %v", list, err)
	}
	if n, err := d.Uninvite(t.Context(), "@Grace"); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	_, err = d.Uninvite(t.Context(), "grace")
	wantErr(t, err, exeunt.ErrNotFound)
	d.pass(time.Hour)
	if list, err := d.Invites(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("run out: %+v, %v", list, err)
	}
}
