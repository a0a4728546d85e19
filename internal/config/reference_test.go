package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every setting is in the reference and in the documentation's table, and nothing else is.
func TestTheReferenceIsComplete(t *testing.T) {
	var described []string
	for _, m := range meanings {
		described = append(described, m.setting)
		if m.meaning == "" || strings.Contains(m.meaning, "\n") {
			t.Errorf("%s is not described in one line", m.setting)
		}
	}
	names := Names()
	slices.Sort(described)
	slices.Sort(names)
	if !slices.Equal(described, names) {
		t.Errorf("described are\n%v\nbut the settings are\n%v", described, names)
	}
	page, err := os.ReadFile("../../docs/running.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		last := name[strings.LastIndex(name, ".")+1:]
		if !strings.Contains(string(page), "`"+name+"`") && !strings.Contains(string(page), "."+last+"`") {
			t.Errorf("docs/running.md does not name %s", name)
		}
	}
}

// The reference's file says the defaults: with every line in effect, the configuration is what it is without a file.
func TestTheReferenceSaysTheDefaults(t *testing.T) {
	text := regexp.MustCompile(`(?m)^# ([a-z_]+ = )`).ReplaceAllString(Reference(), "$1")
	file := filepath.Join(t.TempDir(), "all.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set := map[string]string{"url": "https://id.example.com", "data": "/nowhere", "trusted_proxies": "127.0.0.1"}
	none := func(string) (string, bool) { return "", false }
	want, err := Load(Sources{Getenv: none, Flags: set})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(Sources{File: file, Getenv: none, Flags: set})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	// An empty list is as good as none.
	if len(got.Kiosk.Addresses) == 0 {
		got.Kiosk.Addresses = want.Kiosk.Addresses
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the file gives\n%+v\nand no file\n%+v", got, want)
	}
}
