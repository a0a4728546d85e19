package main

import (
	"fmt"

	"github.com/exeunt/exeunt"
)

type clientsCommand struct {
	NewKey newKeyCommand `cmd:"" help:"Print a new secret key for an app, and the line that makes it known."`
}

type newKeyCommand struct{}

// Run draws a key. It is shown this once and kept nowhere; the configuration
// takes its hash, so that whoever reads that cannot pass for the app.
func (newKeyCommand) Run() error {
	key := exeunt.NewToken(exeunt.UseClient)
	fmt.Printf(`The app's secret key. It is shown only now; give it to the app's server, and to nobody else:

  %s

Put this line under the app's [[clients]] in the configuration, and start the node again:

  key_sha256 = "%s"

An app with a key is told of the end of everybody's sessions. It is for apps that you run yourself.
`, key.Reveal(), key.Hash())
	return nil
}
