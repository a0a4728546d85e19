package demo

import (
	"bytes"
	"strings"
	"testing"

	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/testpg"
)

// The tour holds on three nodes as on one, and what one has ended the others
// refuse within the bound.
func TestTourOnThreeNodes(t *testing.T) {
	server := testpg.New(t)
	opt := testOptions(privateDir(t))
	opt.Nodes, opt.Database = 3, config.Secret(server.URL("postgres"))
	stage, accounts, _ := performWith(t, opt)
	var out bytes.Buffer
	held, err := stage.Tour(t.Context(), accounts, &out)
	if err != nil || !held || !strings.Contains(out.String(), "times on 3 nodes") {
		t.Errorf("held %v, %v:\n%s", held, err, out.String())
	}
	t.Log(out.String())
	// Another demo must not be played on top of it.
	opt.Data = privateDir(t)
	if _, _, err := Start(t.Context(), opt); err == nil || !strings.Contains(err.Error(), "the database must be empty") {
		t.Errorf("got %v", err)
	}
}
