package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Every command has help with an example, and the example is one that the program takes.
func TestEveryCommandHasAnExample(t *testing.T) {
	t.Setenv("EXEUNT_DATA", t.TempDir())
	var known []string
	for _, node := range parser(t.Context()).Model.Leaves(false) {
		name := commandName(node)
		known = append(known, name)
		example := examples[name]
		if example == "" {
			t.Errorf("exeunt %s has no example: add one to the table", name)
			continue
		}
		var help bytes.Buffer
		k := parser(t.Context())
		k.Stdout = &help
		k.Exit = func(int) { panic("printed") }
		func() {
			defer func() { _ = recover() }()
			_, _ = k.Parse(append(strings.Fields(name), "--help"))
		}()
		if node.Help == "" || !strings.Contains(help.String(), "Example:") || !strings.Contains(help.String(), example) {
			t.Errorf("the help of exeunt %s does not show its example:\n%s", name, help.String())
		}
		line, _, _ := strings.Cut(strings.TrimPrefix(example, "exeunt "), " >")
		parsed, err := parser(t.Context()).Parse(strings.Fields(line))
		if err != nil {
			t.Errorf("%s: %v", example, err)
		} else if got := commandName(parsed.Selected()); got != name {
			t.Errorf("the example of exeunt %s is one of exeunt %s", name, got)
		}
	}
	if len(known) < 40 {
		t.Errorf("only %d commands were looked at: %v", len(known), known)
	}
}

// shells run a script that prints what is completed after words. Each is told in its own way.
func completed(t *testing.T, shell, file, typed string) string {
	t.Helper()
	var c *exec.Cmd
	switch shell {
	case "bash":
		words := strings.Split(typed, " ")
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, shellQuoted(w))
		}
		c = exec.Command("bash", "--norc", "-c", `source "$1"; COMP_WORDS=(`+strings.Join(quoted, " ")+
			`); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _exeunt; printf '%s\n' "${COMPREPLY[@]}"`, "-", file)
	case "fish":
		c = exec.Command("fish", "--no-config", "-c", `source $argv[1]; complete -C $argv[2] | string replace -r '\t.*' ''`, file, typed)
		c.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir())
	case "zsh":
		// Its completion runs only in an editor, so what it would show is caught.
		c = exec.Command("zsh", "-f", "-c", `compdef() { : }; source "$1"; _files() { print FILES }
			_describe() { [[ $1 == -o ]] && shift; for item in "${(@P)2}"; do print -r -- "${item%%:*}"; done }
			words=(${(s: :)2}); [[ $2 == *" " ]] && words+=(""); CURRENT=$#words; PREFIX=$words[-1]; _exeunt`, "-", file, typed)
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", shell, err, out)
	}
	var kept []string
	for _, line := range strings.Split(string(out), "\n") { // zsh itself chooses those that begin so
		if strings.HasPrefix(line, typed[strings.LastIndex(typed, " ")+1:]) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, " ") + " "
}

// The shells complete what the program has, and nothing else.
func TestShellsComplete(t *testing.T) {
	root := parser(t.Context()).Model.Node
	for shell, script := range map[string]string{
		"bash": bashCompletion(root), "zsh": zshCompletion(root), "fish": fishCompletion(root),
	} {
		file := filepath.Join(t.TempDir(), "completion")
		if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(shell, "-n", file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s does not read its completion (is it installed?): %v\n%s", shell, err, out)
			continue
		}
		for typed, want := range map[string]struct{ has, hasNot string }{
			"exeunt ":                 {"serve", "manual"},
			"exeunt acc":              {"accounts", "serve"},
			"exeunt accounts ":        {"confirm-email", "serve"},
			"exeunt accounts sh":      {"show", "list"},
			"exeunt accounts show --": {"--json", "--now"},
			"exeunt accounts --data /tmp show ada --": {"--json", "--now"},
			"exeunt accounts delete --n":              {"--now", "--json"},
			"exeunt serve --trusted":                  {"--trusted-proxy", "--data"},
		} {
			got := " " + completed(t, shell, file, typed)
			if !strings.Contains(got, " "+want.has+" ") || strings.Contains(got, " "+want.hasNot+" ") {
				t.Errorf("%s: after %q there is %q, want %s and not %s", shell, typed, got, want.has, want.hasNot)
			}
		}
		for _, node := range root.Leaves(true) {
			for _, flag := range flagNames(node) {
				if !strings.Contains(script, strings.TrimPrefix(flag, "--")) {
					t.Errorf("%s: %s of exeunt %s is missing", shell, flag, commandName(node))
				}
			}
		}
	}
}

func flagNames(node *kong.Node) (out []string) {
	_, flags := wordsAt(node)
	for _, f := range flags {
		out = append(out, f.text)
	}
	return out
}

// The manual's pages name every command and flag, and have no mistakes of form.
func TestManual(t *testing.T) {
	folder := t.TempDir()
	root := parser(t.Context()).Model.Node
	if err := (&manualCommand{Folder: folder}).Run(parser(t.Context())); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(folder, "*.1"))
	if err != nil || len(pages) < 15 {
		t.Fatalf("there are %d pages, %v", len(pages), err)
	}
	lint := exec.Command("mandoc", append([]string{"-T", "lint", "-W", "warning"}, pages...)...)
	out, _ := lint.CombinedOutput()
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		if line != "" && !strings.Contains(line, "missing date") { // the same program makes the same pages
			t.Error(line)
		}
	}
	if lint.ProcessState == nil {
		t.Error("mandoc is not installed")
	}
	shown := regexp.MustCompile(`.\x08`)
	for _, node := range root.Leaves(true) {
		top, _, _ := strings.Cut(commandName(node), " ")
		page := filepath.Join(folder, "exeunt-"+top+".1")
		text, err := exec.Command("mandoc", "-T", "ascii", page).Output()
		if err != nil {
			t.Fatal(err)
		}
		plain := shown.ReplaceAllString(string(text), "")
		for _, flag := range flagNames(node) {
			if flag != "--help" && !strings.Contains(plain, flag) {
				t.Errorf("the manual of exeunt %s does not have %s", commandName(node), flag)
			}
		}
	}
}
