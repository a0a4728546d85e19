package app

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/config"
)

// The file with the first account's link goes when there is an account, however that came to be.
func TestTheFirstAccountsLinkIsRemoved(t *testing.T) {
	c := config.Default()
	c.Addr, c.URL, c.Development = "127.0.0.1:0", "http://exeunt.localhost", true
	c.Data = filepath.Join(t.TempDir(), "node")
	r := start(t, c)
	defer r.stop()
	link, err := r.FirstAccountLink(t.Context())
	must(t, err)
	if content := string(read(t, r.LinkFile())); content != link+"\n" {
		t.Fatalf("the file has %q", content)
	}
	token, err := exeunt.ParseToken(link[strings.LastIndexByte(link, '/')+1:])
	must(t, err)
	_, err = r.Accounts.Redeem(t.Context(), token, account.NewAccount{Handle: "x", Password: adasPassword}, netip.Addr{})
	if err == nil {
		t.Fatal("an invalid handle is taken")
	}
	read(t, r.LinkFile()) // it is still of use
	_, err = r.Accounts.Redeem(t.Context(), token, account.NewAccount{Handle: "ada", Password: adasPassword}, netip.Addr{})
	must(t, err)
	if _, err := os.Stat(r.LinkFile()); !os.IsNotExist(err) {
		t.Errorf("the file is there: %v", err)
	}
}
