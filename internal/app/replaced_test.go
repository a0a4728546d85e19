package app

import (
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/signin"
)

// A session that another one replaces has its line in the log like any that ends.
func TestAReplacedSessionIsLogged(t *testing.T) {
	r, said := startLoud(t, site(t))
	_, first := r.signIn()
	proof, err := signin.Proof(r.SignIn.Password(t.Context(), "ada", adasPassword, exeunt.System().Address))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Authority.Start(t.Context(), authority.SignIn{Proof: proof, Kind: exeunt.KindKept,
		Replaces: first.ID}); err != nil {
		t.Fatal(err)
	}
	r.stop()
	want := "reason=replaced by=system"
	if !strings.Contains(said.String(), want) || !strings.Contains(said.String(), "session="+first.ID.String()) {
		t.Errorf("the log says\n%s", said)
	}
}
