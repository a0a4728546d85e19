package account_test

import (
	"net/netip"
	"regexp"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/testnode"
)

var from = netip.MustParseAddr("198.51.100.7")

var linkInMail = regexp.MustCompile(`/reset/(exi_\S+)`)

// With mail, whoever has an address gets the link by it, and the operator the others' links.
func TestImportInvitesByMail(t *testing.T) {
	n := testnode.New(t, testnode.Options{Mails: true})
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}
	out, err := n.Accounts.ImportAccounts(t.Context(), operator, []account.ImportRow{
		{Line: 2, Handle: "ada", Email: "ada@example.com", NoHash: true}, {Line: 3, Handle: "lin", NoHash: true},
	}, account.ImportHow{Apply: true, Mail: true})
	if err != nil || len(out) != 2 || !out[0].Mailed || !out[0].Link.IsZero() || out[1].Mailed || out[1].Link.IsZero() {
		t.Fatalf("%+v, %v", out, err)
	}
	var text string
	for deadline := time.Now().Add(2 * time.Minute); text == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no mail has come")
		}
		for _, m := range n.Mailbox.Messages() {
			text = m.Text
		}
	}
	found := linkInMail.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("the mail has no link:\n%s", text)
	}
	link, err := exeunt.ParseToken(found[1])
	if err != nil {
		t.Fatal(err)
	}
	const chosen = "seven wrens on a wire"
	if _, err := n.Accounts.Reset(t.Context(), link, chosen, from); err != nil {
		t.Fatal(err)
	}
	if _, err := signin.Proof(n.SignIn.Password(t.Context(), "ada", chosen, from)); err != nil {
		t.Error(err)
	}
}
