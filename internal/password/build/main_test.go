package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/password"
)

func TestTheListIsMadeFromItsSource(t *testing.T) {
	want, err := build()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("../../..", file))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not made from common-passwords.txt.gz (%v): run go run ./internal/password/build", file, err)
	}
	if len(want) < 8000*len(password.Digest{}) {
		t.Errorf("the list has %d bytes", len(want))
	}
}

// Every password of the list is refused, whatever the case of its letters, and with it what zxcvbn takes for strong.
func TestEveryPasswordOfTheListIsRefused(t *testing.T) {
	list, err := passwords()
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range list {
		if !password.Common(p) || !password.Common(strings.ToUpper(p)) {
			t.Fatalf("%q is not taken for a common password", p)
		}
		if i%100 == 0 && password.Judge(p) == nil {
			t.Errorf("%q is accepted", p)
		}
	}
	for _, p := range []string{"n8zgt5p0shw=", "pe#5gz29ptzmse", "PE#5gz29ptzmse", "yfdbufnjh10305070", "telechargement"} {
		var f *exeunt.FieldError
		if err := password.Judge(p); !errors.As(err, &f) || f.Code != "common" {
			t.Errorf("%q: %v", p, err)
		}
	}
}
