package exeunt

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testName   = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`")
	testWith   = regexp.MustCompile("e2e `([a-z_]+)`")
	scriptWith = regexp.MustCompile("script `([a-z_]+)`")
)

// Whoever reads that a requirement is met must find what shows it.
func TestSecurityPagesNameTestsThatExist(t *testing.T) {
	pages, err := filepath.Glob("docs/security/*.md")
	if err != nil || len(pages) < 2 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	var all strings.Builder
	err = filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
			if named++; !strings.Contains(all.String(), "\nfunc "+m[1]+"(") {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
		for pattern, file := range map[*regexp.Regexp]string{testWith: "e2e/%.test.mjs",
			scriptWith: "cmd/exeunt/testdata/script/%.txtar"} {
			for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
				if _, err := os.Stat(strings.Replace(file, "%", m[1], 1)); err != nil {
					t.Errorf("%s names %s, which is not there", page, m[1])
				}
			}
		}
	}
	if named < 50 {
		t.Errorf("the pages name %d tests", named)
	}
}
