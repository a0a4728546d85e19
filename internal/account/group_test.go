package account

import (
	"errors"
	"slices"
	"testing"

	"github.com/exeunt/exeunt"
)

// Operators change groups, and nobody else. What is refused for one account changes none.
func TestGroupsAreForOperators(t *testing.T) {
	d := newDesk(t)
	ada := d.add("ada", "", false)
	d.add("ada.2", "", false)
	operator := exeunt.Actor{Kind: exeunt.ActorOperator}
	change := func(by exeunt.Actor, group string, handles ...string) (GroupChanged, error) {
		return d.ChangeGroup(t.Context(), by, group, handles, false)
	}
	for _, by := range []exeunt.Actor{{}, {Kind: exeunt.ActorPerson, Account: ada}, exeunt.System()} {
		_, err := change(by, "staff", "ada")
		wantErr(t, err, exeunt.ErrForbidden)
	}
	for _, name := range []string{"", "Staff", "a,b", "a b"} {
		_, err := change(operator, name, "ada")
		wantErr(t, err, exeunt.ErrGroupName)
	}
	_, err := change(operator, "staff", slices.Repeat([]string{"ada"}, MaxMembersAtOnce+1)...)
	wantErr(t, err, ErrManyAtOnce)
	var unknown *UnknownHandleError
	if _, err = change(operator, "staff", "ada", "@nobody"); !errors.As(err, &unknown) || unknown.Handle != "nobody" {
		t.Errorf("%v", err)
	}
	wantErr(t, err, exeunt.ErrNotFound)
	if a, err := d.Store.Account(t.Context(), ada); err != nil || a.Groups != nil {
		t.Errorf("the account is in %v, %v", a.Groups, err)
	}
	// Whoever is disabled stays in their groups.
	if _, err := change(operator, "staff", "ada"); err != nil {
		t.Fatal(err)
	}
	a, err := d.Store.Account(t.Context(), ada)
	if err == nil {
		_, err = d.Disable(t.Context(), operator, a)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := change(operator, "staff", "@Ada", "ada.2", " ADA ")
	if err != nil || !slices.Equal(out.Changed, []string{"ada.2"}) || !slices.Equal(out.Already, []string{"ada"}) {
		t.Errorf("%+v, %v", out, err)
	}
}
