// Command build writes the text that package licenses embeds: our license, then those of the
// modules in the program. Run it from the repository's root after a dependency has changed:
//
//	go run ./internal/licenses/build
//
// It owns where licenses are found. Its test fails when the text is out of date.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const file = "internal/licenses/licenses.txt"

func main() {
	text, err := collect(".")
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot collect the licenses:", err)
		os.Exit(1)
	}
	fmt.Println("wrote", file)
}

type module struct {
	Path, Version, Dir string
	Main               bool
}

// licenseFile matches the files in which modules state their terms. Lists of authors are not among
// them, nor the terms of logos, which we do not ship.
var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|unlicense)`)

// collect returns our license and those of the modules of ./cmd/exeunt. A text that several share is given once.
func collect(root string) (string, error) {
	modules, err := modulesIn(root)
	if err != nil {
		return "", err
	}
	own, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return "", err
	}
	var order []string
	of := map[string][]string{}
	add := func(text, name string) {
		if of[text] == nil {
			order = append(order, text)
		}
		of[text] = append(of[text], name)
	}
	for _, m := range modules {
		texts, err := terms(m.Dir)
		if err != nil {
			return "", err
		}
		if len(texts) == 0 {
			return "", fmt.Errorf("%s has no license in its folder: find out its terms before it ships", m.Path)
		}
		for _, text := range texts {
			if m.Path == "golang.org/x/sys" {
				add(text, "The Go standard library") // under the same terms
			}
			add(text, m.Path+" "+m.Version)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "internal/password/build/LICENSE"))
	if err != nil {
		return "", err
	}
	add(strings.Trim(string(text), "\n"), "The list of common passwords, from Django 5.2.19, collected by Royce Williams")
	var out strings.Builder
	out.WriteString("Exeunt is under the following license. After it come the notices of what is built into the program.\n\n")
	out.Write(own)
	for _, text := range order {
		fmt.Fprintf(&out, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(of[text], "\n"), text)
	}
	return out.String(), nil
}

// terms returns the texts of a module's license files.
func terms(dir string) (out []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || !licenseFile.MatchString(e.Name()) || strings.Contains(e.Name(), "LOGO") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		text := strings.ReplaceAll(string(b), "\r\n", "\n")
		out = append(out, strings.Trim(text, "\n"))
	}
	return out, nil
}

// modulesIn returns the modules of which the program has packages, ours excepted.
func modulesIn(root string) ([]module, error) {
	list := exec.Command("go", "list", "-deps", "-json=Module", "./cmd/exeunt")
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var modules []module
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ Module *module }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Module != nil && !p.Module.Main && !slices.Contains(modules, *p.Module) {
			modules = append(modules, *p.Module)
		}
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	return modules, nil
}
