package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCommittedLicensesAreCurrent(t *testing.T) {
	const root = "../../.."
	want, err := collect(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, file))
	if err != nil || string(got) != want {
		t.Errorf("%s does not have the licenses of the modules in go.mod (%v): run go run ./internal/licenses/build", file, err)
	}
}
