package exeunt_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Operators search for what docs/troubleshooting.md quotes, so the program must really say it.
func TestTroubleshootingQuotesWhatTheProgramSays(t *testing.T) {
	page, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	said := programTexts(t)
	foreign := []string{"cache everything", "upstream sent too big header", "cleans", "signed out"} // of other programs, or plain words
	quoted := 0
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(string(page), -1) {
		text := strings.Join(strings.Fields(m[1]), " ")
		if len(strings.Fields(text)) < 3 || strings.Contains(strings.Join(foreign, "|"), text) {
			continue
		}
		quoted++
		if !strings.Contains(said, text) {
			t.Errorf("the program nowhere says %q", text)
		}
	}
	if quoted < 40 {
		t.Errorf("only %d texts were looked for", quoted)
	}
}

// programTexts are the program's sources with their texts in one piece, and the texts of pages.
func programTexts(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	joint := regexp.MustCompile(`" ?\+\s+"`)
	for _, root := range []string{".", "cmd", "internal", "client"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && root == "." && path != "." {
				return fs.SkipDir
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			source, err := os.ReadFile(path)
			all.WriteString(joint.ReplaceAllString(string(source), ""))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	catalogue, err := os.ReadFile("internal/ui/locales/en.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]any
	if err := json.Unmarshal(catalogue, &texts); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if text, ok := text.(string); ok {
			all.WriteString(text + "\n")
		}
	}
	return all.String()
}
