package pages

import (
	"errors"
	"net/http"
	"testing"

	"github.com/exeunt/exeunt"
)

// An operator removes what somebody has lost: every session ends, and the password alone signs in.
func TestAnOperatorRemovesFactors(t *testing.T) {
	for _, all := range []bool{true, false} {
		n := newNode(t)
		_, _, b := n.withApp()
		a, err := n.AccountByHandle(t.Context(), "ada")
		n.must(err)
		by := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}
		if _, _, err := n.Accounts.DropFactors(t.Context(), exeunt.Actor{Kind: exeunt.ActorPerson, Account: a.ID}, a,
			exeunt.FactorID{}); !errors.Is(err, exeunt.ErrForbidden) {
			t.Errorf("somebody who is no operator: %v", err)
		}
		if _, _, err := n.Accounts.DropFactors(t.Context(), by, a, exeunt.NewFactorID()); !errors.Is(err, exeunt.ErrNotFound) {
			t.Errorf("a factor of nobody: %v", err)
		}
		var id exeunt.FactorID
		if !all {
			id = n.factors()[0].ID
		}
		removed, out, err := n.Accounts.DropFactors(t.Context(), by, a, id)
		n.must(err)
		if len(removed) != 1 || out.Ended != 1 || len(n.factors()) != 0 || len(n.live("ada")) != 0 {
			t.Errorf("all %v: removed %v, ended %d; %d factors and %d sessions are left", all, removed, out.Ended,
				len(n.factors()), len(n.live("ada")))
		}
		b.send(http.MethodGet, "/", nil).leadsTo("/ended")
		if _, codes, err := n.SignIn.Factors(t.Context(), a.ID); err != nil || codes.Total != 0 {
			t.Errorf("recovery codes are left: %+v %v", codes, err)
		}
		log, err := n.Audit(t.Context(), exeunt.AuditFilter{Account: a.ID})
		n.must(err)
		told := false
		for _, e := range log.Items {
			told = told || e.Action == exeunt.AuditFactorRemoved && e.By.Kind == exeunt.ActorOperator && e.By.Label == "root"
		}
		if !told {
			t.Errorf("the audit does not name the operator: %+v", log.Items)
		}
		if _, _, err := n.Accounts.DropFactors(t.Context(), by, a, exeunt.FactorID{}); !errors.Is(err, exeunt.ErrNotFound) {
			t.Errorf("removed again: %v", err)
		}
		newBrowser(n).signIn("ada", "kept")
	}
}
