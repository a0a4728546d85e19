// Command build makes the list of common passwords that package password embeds. Run it from the repository's root
// after the source has changed:
//
//	go run ./internal/password/build
//
// It owns the source, which is common-passwords.txt.gz of Django 5.2.19 (BSD 3-clause, see LICENSE beside it): the
// passwords that people had most often in leaked lists, collected by Royce Williams. Its test fails when the list that
// is shipped is out of date.
package main

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/exeunt/exeunt/internal/password"
)

const file = "internal/password/common.bin"

//go:embed common-passwords.txt.gz
var source []byte

func main() {
	list, err := build()
	if err == nil {
		err = os.WriteFile(file, list, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot make the list of common passwords:", err)
		os.Exit(1)
	}
	fmt.Println("wrote", file)
}

// passwords returns those of the source that are not refused for their length already.
func passwords() (out []string, err error) {
	r, err := gzip.NewReader(bytes.NewReader(source))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); utf8.RuneCountInString(line) >= password.MinLen {
			out = append(out, line)
		}
	}
	return out, nil
}

// build returns the digests of the passwords, sorted, one after the other.
func build() ([]byte, error) {
	list, err := passwords()
	if err != nil {
		return nil, err
	}
	var digests []password.Digest
	for _, p := range list {
		digests = append(digests, password.DigestOf(p))
	}
	slices.SortFunc(digests, func(a, b password.Digest) int { return bytes.Compare(a[:], b[:]) })
	var out []byte
	for _, d := range slices.Compact(digests) {
		out = append(out, d[:]...)
	}
	return out, nil
}
