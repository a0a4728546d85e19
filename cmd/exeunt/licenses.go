package main

import (
	"fmt"

	"github.com/exeunt/exeunt/internal/licenses"
)

type licensesCommand struct{}

// Run prints the license and the notices of what is built in.
func (licensesCommand) Run() error {
	_, err := fmt.Print(licenses.Text)
	return err
}
