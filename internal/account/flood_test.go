package account

import (
	"errors"
	"testing"

	"github.com/exeunt/exeunt"
)

// A profile that stays as it is records nothing, and one that changes has a rate.
func TestProfileChangesAreBounded(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "ada@example.com", false)
	_, session := d.signInFrom("ada", home)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: id, Session: session.ID, Address: home}
	operator := exeunt.Actor{Kind: exeunt.ActorOperator}
	head := func() int64 {
		t.Helper()
		n, err := d.Store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	display := func(i int) error {
		return d.ChangeDisplay(t.Context(), by, []exeunt.Display{exeunt.DisplayDark, exeunt.DisplayLight}[i%2])
	}
	before := head()
	for range 2 * perProfile.Burst {
		if err := errors.Join(d.ChangeDisplay(t.Context(), by, exeunt.DisplaySystem), d.ChangeProfile(t.Context(), by, exeunt.Token{},
			Profile{Name: "ada", Email: "ada@example.com"}, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if after := head(); after != before {
		t.Errorf("what was equal made %d events", after-before)
	}
	for i := range perProfile.Burst {
		if err := display(i); err != nil {
			t.Fatalf("change %d: %v", i+1, err)
		}
	}
	var e *exeunt.ThrottledError
	for i := range 3 {
		if err := display(i); !errors.As(err, &e) || e.Limit != exeunt.LimitProfileChanges || e.RetryAfter > perProfile.Every {
			// (The display that is set changes nothing, and is not refused.)
			if i%2 == 1 && err == nil {
				continue
			}
			t.Errorf("beyond the rate: %v", err)
		}
	}
	if after := head(); after != before+int64(perProfile.Burst) {
		t.Errorf("%d events, want %d", after-before, perProfile.Burst)
	}
	if _, err := d.ConfirmEmail(t.Context(), operator, id, "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	before = head()
	if _, err := d.ConfirmEmail(t.Context(), operator, id, "ada@example.com"); err != nil || head() != before {
		t.Errorf("an address confirmed twice makes %d events (%v)", head()-before, err)
	}
}
