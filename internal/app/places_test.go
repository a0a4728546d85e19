package app

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/signin"
)

// With a file of places, the mail about an unfamiliar sign-in says about where it was; a broken file keeps a node from
// starting.
func TestAMailSaysAboutWhere(t *testing.T) {
	m := newMails(t, func(int) error { return nil })
	c := config.Default()
	c.Addr, c.URL, c.Development = "127.0.0.1:0", "http://exeunt.localhost", true
	c.Data, c.SMTP = filepath.Join(t.TempDir(), "node"), smtpAt(m.port)
	c.Places.File = filepath.Join(t.TempDir(), "places.mmdb")
	whole, err := os.ReadFile("../places/testdata/small.mmdb")
	must(t, err)
	must(t, os.WriteFile(c.Places.File, whole[:len(whole)/2], 0o600))
	if n, err := New(context.Background(), c, Options{Log: slog.New(slog.DiscardHandler)}); err == nil ||
		!strings.Contains(err.Error(), "places.file") {
		t.Errorf("a broken file: %v", err)
		n.Close()
	}
	must(t, os.WriteFile(c.Places.File, whole, 0o600))
	r, _ := startLoud(t, c)
	ctx := t.Context()
	id, err := r.Accounts.AddAccount(ctx, exeunt.Actor{Kind: exeunt.ActorOperator},
		account.NewAccount{Handle: "ada", Password: adasPassword, Email: "ada@example.com"}, true)
	must(t, err)
	for i, from := range []string{"198.51.100.7", "203.0.113.9"} {
		address := netip.MustParseAddr(from)
		proof, err := signin.Proof(r.SignIn.Password(ctx, "ada", adasPassword, address))
		must(t, err)
		in := authority.SignIn{Proof: proof, Kind: exeunt.KindKept, Label: "Firefox on Linux", Address: address}
		in.Recognised, err = r.Accounts.Recognise(ctx, id, account.Arrival{Kind: in.Kind, Address: address, Agent: in.Label,
			Label: in.Label, Device: exeunt.NewToken(exeunt.UseDevice)})
		must(t, err)
		_, _, err = r.Authority.Start(ctx, in)
		must(t, err)
		if told := in.Recognised.Notice != nil; told != (i == 1) {
			t.Errorf("from %s: told %v", from, told)
		}
	}
	eventually(t, "the mail", func() bool { return len(m.Messages()) == 1 })
	v := m.Messages()[0]
	for _, says := range []string{"Where: about Lisbon, Portugal", "Network address: 203.0.113.9", "Browser: Firefox on Linux",
		"http://exeunt.localhost/not-me/exl_"} {
		if !strings.Contains(v.Text, says) {
			t.Errorf("the mail does not say %q: %s", says, v.Text)
		}
	}
	// What is stored has no token that works.
	for _, link := range v.Links {
		_, token, _ := strings.Cut(link, "/not-me/")
		raw, err := os.ReadFile(filepath.Join(c.Data, "exeunt.db"))
		must(t, err)
		if token != "" && strings.Contains(string(raw), token) {
			t.Error("the database has the link's token")
		}
	}
}
