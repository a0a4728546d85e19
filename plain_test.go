package exeunt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The program is plain Go: no assembly, C, unsafe or go:linkname of ours.
func TestTheProgramIsPlainGo(t *testing.T) {
	const fields = "ImportPath,Dir,Module,GoFiles,CgoFiles,SFiles,SysoFiles,IgnoredGoFiles,IgnoredOtherFiles"
	out, err := exec.Command("go", "list", "-deps", "-json="+fields, "./cmd/exeunt").Output()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir                                                         string
			Module                                                                  *struct{ Path string }
			GoFiles, CgoFiles, SFiles, SysoFiles, IgnoredGoFiles, IgnoredOtherFiles []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || p.Module.Path != module {
			continue
		}
		checked++
		for _, name := range slices.Concat(p.SFiles, p.SysoFiles, p.CgoFiles, p.IgnoredOtherFiles) {
			t.Errorf("%s has %s, which is not plain Go", p.ImportPath, name)
		}
		for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles) { // those for other systems, too
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, what := range []string{`"unsafe"`, "//go:linkname"} {
				if !strings.HasSuffix(name, "_test.go") && strings.Contains(string(text), what) {
					t.Errorf("%s: %s contains %s", p.ImportPath, name, what)
				}
			}
		}
	}
	if checked < 15 {
		t.Errorf("only %d packages were looked at", checked)
	}
}
