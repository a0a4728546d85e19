package exeunt_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shortWait matches limits of seconds on what a test waits for. On a busy machine a wait
// must not fail because it is short: it lasts minutes, and ends by the event.
var shortWait = regexp.MustCompile(
	`(?:until|deadline)\s*:?=\s*time\.Now\(\)\.Add\((?:\d+\s*\*\s*)?time\.(?:Milli)?[sS]econd` +
		`|case <-time\.After\(\d+\s*\*\s*time\.Second\)` +
		`|--test-timeout=\d{1,5}\b` +
		`|setDefaultTimeout\((?:\d_?){1,5}\)`)

func TestNoTestWaitsForSecondsOnly(t *testing.T) {
	looked := 0
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".mjs") && path != "script/test" ||
			path == "waits_test.go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		looked++
		for i, line := range strings.Split(string(text), "\n") {
			if shortWait.MatchString(line) {
				t.Errorf("%s:%d waits for seconds only: %s", path, i+1, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil || looked < 100 {
		t.Errorf("%d files were looked at, %v", looked, err)
	}
	for _, line := range []string{"for until := time.Now().Add(10 * time.Second); ;", "page.setDefaultTimeout(30_000)",
		"case <-time.After(20 * time.Second):", "deadline := time.Now().Add(time.Second)"} {
		if !shortWait.MatchString(line) {
			t.Errorf("%q would not have been found", line)
		}
	}
}
