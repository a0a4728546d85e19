package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/notify"
	"github.com/exeunt/exeunt/internal/store"
)

// Hashes of goodPassword, made by argon2-cffi 25.1.0 for Python, `argon2.PasswordHasher(time_cost=3, memory_cost=65536,
// parallelism=4).hash(…)` as Authelia has it, and by `htpasswd -nbB` of Apache 2.4.
const (
	autheliaHash = "$argon2id$v=19$m=65536,t=3,p=4$7STVoMyE2FZgv65haSqcfw$OGgoy7bvGv/jdU64ZMNwmzmiwxqSB2eLllNzB3bRnTc"
	apacheHash   = "$2y$05$2yZ.YYGHsvCOazsC/ADyseKZ/4GevaoS4S2BAEDBGarCFcnSG1tte"
)

var anOperator = exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}

func (d *desk) imports(how ImportHow, rows ...ImportRow) []ImportOutcome {
	d.t.Helper()
	out, err := d.ImportAccounts(context.Background(), anOperator, rows, how)
	if err != nil {
		d.t.Fatal(err)
	}
	if len(out) != len(rows) {
		d.t.Fatalf("%d outcomes of %d rows", len(out), len(rows))
	}
	return out
}

// Somebody who is imported signs in with the password that they have, and from then on it has a hash of our own. A wrong
// password changes nothing.
func TestImportedPeopleSignInWithTheOldPassword(t *testing.T) {
	d := newDesk(t)
	d.imports(ImportHow{Apply: true}, ImportRow{Handle: "ada", Hash: autheliaHash}, ImportRow{Handle: "grace", Hash: apacheHash})
	for _, handle := range []string{"ada", "grace"} {
		hash := func() string {
			_, c, err := d.Store.Identify(t.Context(), handle)
			if err != nil {
				t.Fatal(err)
			}
			return c.PasswordHash
		}
		wantErr(t, d.try(handle, otherPassword, home), exeunt.ErrWrongCredentials)
		if !strings.HasPrefix(hash(), "imported:") {
			t.Errorf("@%s has another hash before they signed in", handle)
		}
		if err := d.try(handle, goodPassword, home); err != nil {
			t.Errorf("@%s: %v", handle, err)
		}
		if got := hash(); !strings.HasPrefix(got, "$argon2id$v=19$m=8,t=1,p=1$") {
			t.Errorf("the hash of @%s is %s", handle, got)
		}
		if err := d.try(handle, goodPassword, home); err != nil {
			t.Errorf("@%s the second time: %v", handle, err)
		}
		wantErr(t, d.try(handle, otherPassword, home), exeunt.ErrWrongCredentials)
	}
}

// Each row has its outcome, the same without doing it, and what is there stays as it is.
func TestImportOutcomes(t *testing.T) {
	d := newDesk(t)
	d.add("taken", "Taken@example.com", true)
	rows := []ImportRow{
		{Line: 1, Handle: "@Ada", Name: "Ada Quill", Email: "ada@example.com", Groups: []string{"staff", "admins", "staff"}, Hash: autheliaHash},
		{Line: 2, Handle: "taken", Name: "Another", Hash: apacheHash, Groups: []string{"admins"}},
		{Line: 3, Handle: "owner", Email: "taken@example.com", NoHash: true},
		{Line: 4, Handle: "capital", Groups: []string{"Staff"}, NoHash: true},
		{Line: 5, Handle: "many", Groups: manyGroups(exeunt.MaxGroups + 1), NoHash: true},
		{Line: 6, Handle: "no handle", NoHash: true},
		{Line: 7, Handle: "noname", Name: strings.Repeat("n", 81), NoHash: true},
		{Line: 8, Handle: "nomail", Email: "nobody", NoHash: true},
		{Line: 9, Handle: "nohash"},
		{Line: 10, Handle: "crypt", Hash: "$6$abc$def"},
		{Line: 11, Handle: "crypt.a", Hash: "$6$abc$def", LinkIfUnknown: true},
		{Line: 12, Handle: "costly", Hash: strings.Replace(autheliaHash, "m=65536", "m=4194304", 1), LinkIfUnknown: true},
		{Line: 13, Handle: "off", Disabled: true, NoHash: true},
		{Line: 14, Handle: "groups", Groups: manyGroups(exeunt.MaxGroups), NoHash: true},
	}
	want := []ImportState{ImportNew, ImportDiffers, ImportRefused, ImportRefused, ImportRefused, ImportRefused, ImportRefused,
		ImportRefused, ImportRefused, ImportRefused, ImportNew, ImportRefused, ImportNew, ImportNew}
	links := []int{11, 14}
	check := func(how ImportHow, want []ImportState) {
		t.Helper()
		for i, o := range d.imports(how, rows...) {
			if o.Line != rows[i].Line || o.State != want[i] || (o.State == ImportRefused) != (o.Remedy != "") {
				t.Errorf("%+v, not %s", o, want[i])
			}
			byLink := o.State == ImportNew && slices.Contains(links, o.Line)
			if o.ByLink != byLink || o.Link.IsZero() != !(byLink && how.Apply) || o.Mailed {
				t.Errorf("line %d: a link is %v", o.Line, o.ByLink)
			}
			for _, text := range []string{o.Why, o.Remedy} {
				if text != "" && (strings.Contains(text, "$6$") || !strings.HasSuffix(text, ".")) {
					t.Errorf("line %d: %q", o.Line, text)
				}
			}
		}
	}
	check(ImportHow{EmailConfirmed: true}, want)
	if n, _, _, err := d.Authority.Count(t.Context()); n != 1 || err != nil {
		t.Fatalf("the report has made accounts: %d, %v", n, err)
	}
	check(ImportHow{Apply: true, EmailConfirmed: true}, want)
	for i, state := range want {
		if state == ImportNew {
			want[i] = ImportSame
		}
	}
	head, err := d.Store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check(ImportHow{Apply: true, EmailConfirmed: true}, want)
	if again, err := d.Store.Head(t.Context()); again != head || err != nil {
		t.Errorf("the same rows again have written events (%v)", err)
	}
	a, c, err := d.Store.Identify(t.Context(), "ada@example.com")
	if err != nil || a.Name != "Ada Quill" || !slices.Equal(a.Groups, []string{"admins", "staff"}) || c.PasswordHash == "" {
		t.Errorf("%+v, %v", a, err)
	}
	a, _, err = d.Store.Identify(t.Context(), "taken")
	if err != nil || a.Name != "taken" || a.Groups != nil || d.try("taken", goodPassword, home) != nil {
		t.Errorf("what was there has changed: %+v, %v", a, err)
	}
	a, _, err = d.Store.Identify(t.Context(), "off")
	if err != nil || a.Status != exeunt.AccountDisabled {
		t.Errorf("%+v, %v", a, err)
	}
	// With links, nobody is left behind for a hash.
	for _, o := range d.imports(ImportHow{Apply: true, Links: true}, rows[8], rows[9], rows[11]) {
		if o.State != ImportNew || o.Link.IsZero() || o.Why == "" {
			t.Errorf("%+v", o)
		}
		if _, err := d.Reset(t.Context(), o.Link, goodPassword, home); err != nil || d.try(o.Handle, goodPassword, home) != nil {
			t.Errorf("@%s cannot set a password by the link: %v", o.Handle, err)
		}
	}
}

func manyGroups(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("g%02d", i))
	}
	return list
}

// Accounts that differ say in what.
func TestImportSaysWhatDiffers(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "ada@example.com", false)
	if _, err := d.ChangeGroup(t.Context(), anOperator, "staff", []string{"ada"}, false); err != nil {
		t.Fatal(err)
	}
	for want, row := range map[string]ImportRow{
		"":             {Handle: "ada", Email: "ada@example.com", Groups: []string{"staff"}, NoHash: true},
		"name,email":   {Handle: "ada", Name: "Ada", Email: "other@example.com", NoHash: true},
		"groups":       {Handle: "ada", Groups: []string{"admins"}, NoHash: true},
		"status":       {Handle: "ada", Disabled: true, NoHash: true},
		"email,groups": {Handle: "ada", Email: "ADA@example.org", Groups: []string{"x"}, NoHash: true},
	} {
		o := d.imports(ImportHow{Apply: true}, row)[0]
		if got := strings.Join(o.Differs, ","); got != want || (o.State == ImportSame) != (want == "") {
			t.Errorf("%q, not %q: %+v", got, want, o)
		}
	}
}

func TestImportsAreForOperators(t *testing.T) {
	d := newDesk(t)
	row := ImportRow{Handle: "ada", NoHash: true}
	for _, by := range []exeunt.Actor{{}, {Kind: exeunt.ActorPerson}, exeunt.System()} {
		_, err := d.ImportAccounts(t.Context(), by, []ImportRow{row}, ImportHow{Apply: true})
		wantErr(t, err, exeunt.ErrForbidden)
	}
	_, err := d.ImportAccounts(t.Context(), anOperator, slices.Repeat([]ImportRow{row}, MaxImportRows+1), ImportHow{Apply: true})
	wantErr(t, err, ErrManyRows)
	_, err = d.ImportAccounts(t.Context(), anOperator, []ImportRow{row}, ImportHow{Apply: true, Mail: true})
	if !errors.Is(err, notify.ErrNoServer) {
		t.Error(err)
	}
	if text := fmt.Sprintf("%v %+v %#v", row, ImportRow{Hash: "SECRET"}, ImportRow{Hash: "SECRET"}); strings.Contains(text, "SECRET") {
		t.Error(text)
	}
	if n, _, _, err := d.Authority.Count(t.Context()); n != 0 || err != nil {
		t.Error(n, err)
	}
}

// The handle of a deleted account is kept from others for a while.
func TestImportKeepsHandlesOfTheDeleted(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	a, _, err := d.Store.Identify(t.Context(), "ada")
	if err == nil {
		_, err = d.Delete(t.Context(), anOperator, a, true)
	}
	wantErr(t, err, nil)
	var erasure store.Erasure
	var read store.LogCursor // nobody is to be told of what is logged
	for range 100 {
		head, err := d.Store.Head(t.Context())
		if err == nil {
			_, err = d.Store.RecordOwed(t.Context(), read, store.LogCursor{Seq: head}, nil, nil, d.Now())
		}
		read.Seq = head
		d.pass(2 * time.Minute)
		if err == nil {
			_, err = d.Store.DeleteDue(t.Context(), &erasure, d.Now())
		}
		wantErr(t, err, nil)
	}
	if _, err := d.Store.Account(t.Context(), a.ID); !errors.Is(err, exeunt.ErrNotFound) {
		t.Fatalf("the account was not deleted: %v", err)
	}
	o := d.imports(ImportHow{Apply: true}, ImportRow{Handle: "ada", NoHash: true})[0]
	if o.State != ImportRefused || !strings.Contains(o.Why, "deleted") {
		t.Errorf("%+v", o)
	}
}
