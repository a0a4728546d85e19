package main

import (
	"fmt"

	"github.com/exeunt/exeunt"
)

type clientsCommand struct {
	NewKey newKeyCommand `cmd:"" help:"Print a new secret key for an app, and the line for the configuration."`
}

type newKeyCommand struct{}

// Run prints a new key, which is stored nowhere. The configuration has its hash, so
// that whoever reads that cannot pass for the app.
func (newKeyCommand) Run() error {
	key := exeunt.NewToken(exeunt.UseClient)
	fmt.Printf(`The app's secret key. It is shown only now; give it to the app's server, and to nobody else:

  %s

Add this line to the app's [[clients]] in the configuration, and restart the node:

  key_sha256 = "%s"

An app with a key is told when any session ends. Give keys only to apps that you run yourself.
`, key.Reveal(), key.Hash())
	return nil
}
