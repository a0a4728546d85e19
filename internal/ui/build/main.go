// Command build makes the assets that package ui embeds: it bundles and
// minifies the styles and scripts into dist/, which is committed so that
// building the product needs only Go. Run it from the repository's root:
//
//	go run ./internal/ui/build
//
// It owns how assets are made, not what is in them. Its test fails when dist/ is out of date.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	files, err := bundle(".")
	if err == nil {
		err = write("internal/ui/dist", files)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot build the assets:", err)
		os.Exit(1)
	}
}

// write replaces the folder's files.
func write(folder string, files map[string][]byte) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	old, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range old {
		if _, keep := files[entry.Name()]; !keep {
			if err := os.Remove(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
		fmt.Printf("%-12s %6d bytes\n", name, len(content))
	}
	return nil
}
