package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

func TestCommittedAssetsAreCurrent(t *testing.T) {
	const root = "../../.."
	files, err := bundle(root)
	if err != nil {
		t.Fatal(err)
	}
	dist := filepath.Join(root, "internal", "ui", "dist")
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dist, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("dist/%s is not what its sources make (%v): run go run ./internal/ui/build", name, err)
		}
	}
	committed, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	if len(committed) != len(files) {
		t.Errorf("dist has %d files, the sources make %d: run go run ./internal/ui/build", len(committed), len(files))
	}
}

// A page is its HTML, these files, and nothing else; together they stay under 60 kB
// as they are sent. The HTML's share is tested where it is made.
func TestAssetsLeaveRoomForThePage(t *testing.T) {
	files, err := bundle("../../..")
	if err != nil {
		t.Fatal(err)
	}
	var sent bytes.Buffer
	for name, content := range files {
		if name == "locked.js" || name == "picture.js" { // of the scripts of single pages none has two, and check.js is larger
			continue
		}
		z := gzip.NewWriter(&sent)
		if _, err := z.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if sent.Len() > 28_200 {
		t.Errorf("the assets weigh %d bytes compressed; a page has 60,000 for everything", sent.Len())
	}
}
