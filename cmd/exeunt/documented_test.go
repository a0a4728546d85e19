package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Every command of the program that the README or a page of the documentation shows works
// as it is written there, one after the other, for somebody whose data is elsewhere.
func TestDocumentedCommands(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if commands := documented(string(text)); len(commands) > 0 {
			name := strings.TrimSuffix(filepath.Base(page), ".md")
			file := filepath.Join(t.TempDir(), name+".txtar")
			if err := os.WriteFile(file, []byte(asScript(name, commands, configured(string(text)))), 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	if len(files) < 2 {
		t.Fatalf("commands found in %v only: the README and docs/running.md have some", files)
	}
	cert := newCertificate(t)
	testscript.Run(t, testscript.Params{Files: files, Setup: cert.setUp, Cmds: cert.commands()})
}

// From nothing to a signed-in browser it takes at most five commands: those of the first block of the page on installing,
// which script/install-test runs. They name the files that the newest release has.
func TestInstallingTakesFiveCommands(t *testing.T) {
	page, err := os.ReadFile("../../docs/installing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "\n```sh\n")
	block, rest, _ := strings.Cut(block, "\n```")
	commands := strings.Split(strings.TrimSpace(block), "\n")
	if n := len(commands); n < 3 || n > 5 || strings.ContainsAny(block, ";&|\\") {
		t.Errorf("the page has %d commands, not 3 to 5 lines of one each:\n%s", n, block)
	}
	if !strings.Contains(rest, "You are signed in") {
		t.Error("the page does not say that one is signed in then")
	}
	changes, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	newest := regexp.MustCompile(`(?m)^## (\S+) \(`).FindSubmatch(changes)
	if newest == nil {
		t.Fatal("CHANGELOG.md has no version")
	}
	for _, found := range regexp.MustCompile(`exeunt[-_](?:chart-)?(\d+\.\d+\.\d+)`).FindAllStringSubmatch(string(page), -1) {
		if found[1] != string(newest[1]) {
			t.Errorf("the page has %s, and the newest version is %s", found[0], newest[1])
		}
	}
}

// comment is what follows a command in its line.
var comment = regexp.MustCompile(`\s+# .*$`)

// documented returns the lines of a page's shell examples that run the program or set its variables.
func documented(page string) (out []string) {
	for i, part := range strings.Split("\n"+page, "\n```") {
		lines := strings.Split(part, "\n")
		if i%2 == 0 || lines[0] != "sh" {
			continue
		}
		for _, line := range lines[1:] {
			line = strings.TrimPrefix(comment.ReplaceAllString(line, ""), "./")
			if strings.HasPrefix(line, "exeunt ") || strings.HasPrefix(line, "export EXEUNT_") {
				out = append(out, line)
			}
		}
	}
	return out
}

// configured is a configuration file with the first example of a page.
func configured(page string) string {
	_, block, _ := strings.Cut(page, "\n```toml\n")
	block, _, _ = strings.Cut(block, "\n```")
	return "url = \"https://id.example.com\"\ndata = \"data\"\ntrusted_proxies = [\"127.0.0.1\"]\n\n" + block + "\n"
}

// asScript makes a test script of the commands. A node whose database is to be copied or replaced is stopped first, as the page says.
func asScript(page string, commands []string, config string) string {
	here := strings.NewReplacer("/var/lib/exeunt", "$DATA", "/var/backups/", "", "chain.pem", "cert.pem").Replace
	out := []string{"# The commands in " + page + ".md.", "listen ADDR"}
	running, serve := false, ""
	for _, line := range commands {
		variable, isVariable := strings.CutPrefix(here(line), "export ")
		switch {
		case isVariable:
			out = append(out, "env "+variable)
		case strings.HasPrefix(line, "exeunt init "):
			out = append(out, "exec "+line+" --config $WORK/made/exeunt.toml --data $WORK/made/data")
		case strings.HasPrefix(line, "exeunt serve "):
			serve = "exec " + here(line) + " --addr $ADDR &node&"
			out = append(out, serve, "ready", "stdin ada.txt",
				"exec exeunt accounts add ada --email ada@example.com --password-stdin --data $DATA")
			running = true
		case strings.HasPrefix(line, "exeunt copy "):
			out = append(out, "kill -INT node", "wait node", "database SERVER", "write server.url $SERVER", "exec "+here(line))
			running = false
		case strings.HasPrefix(line, "exeunt doctor "): // which finds that the example's host is nobody's
			out = append(out, "! exec "+here(line), "stdout 'FAULT    certificate of id.example.com'")
		case strings.HasPrefix(line, "exeunt restore "):
			out = append(out, "kill -INT node", "wait node", "exec "+here(line), "listen ADDR", serve, "ready")
		default:
			out = append(out, "exec "+here(line))
		}
	}
	if running {
		out = append(out, "kill -INT node", "wait node")
	}
	return strings.Join(out, "\n") + "\n\n-- ada.txt --\na long walk by the canal\n-- users_database.yml --\nusers:\n  john:\n" +
		"    password: '$2y$05$dTvvy9a0wRbzeVpr.1jAUOOWDzESdsX6Ezv20WI/kqKBjJIvB5Uq6'\n-- exeunt.toml --\n" + config
}
