package store

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// There is one way to end a session in SQL, for one as for many, on both engines, and one way to record an event.
func TestThereIsOneWayToEndASession(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for what, pattern := range map[string]string{
		"ends sessions":         `UPDATE\s+sessions\s[^;` + "`" + `]*SET[^` + "`" + `]*\bended_at\s*=`,
		"ends app sessions":     `UPDATE\s+app_sessions\s[^;` + "`" + `]*SET[^` + "`" + `]*\bended_at\s*=`,
		"records an event":      `INSERT\s+INTO\s+events\b`,
		"raises the generation": `UPDATE\s+accounts\s+SET\s+generation\b`,
	} {
		if n := len(regexp.MustCompile(pattern).FindAllString(all.String(), -1)); n != 1 {
			t.Errorf("%d statements where there should be the one that %s", n, what)
		}
	}
}
