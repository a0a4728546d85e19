package presets_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/presets"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Both sides of each preset are as they were looked at last, and ours is valid.
func TestBothSidesOfEachPreset(t *testing.T) {
	for _, name := range presets.Names() {
		p, err := presets.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Client("app", "https://app.example.com")
		if err != nil {
			t.Fatal(err)
		}
		if !c.Public() {
			c.Keys = []exeunt.TokenHash{{1}}
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		guide, err := p.Guide("app", "exk_SECRET", "https://id.example.com", "https://app.example.com/")
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("name %s\nhome %s\nredirect %q\nafter a sign-out %q\nback-channel %q\n"+
			"auth %s, PKCE %v, %s, tokens for %v\n\n%s",
			c.Name, c.Home(), c.RedirectURIs, c.PostLogoutURIs, c.BackchannelURI,
			c.AuthMethod(), !c.NoPKCE, c.Alg(), c.LifeOfTokens(), guide)
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("%s is now\n%s\n%v; look at it, then write it with -update", golden, got, err)
		}
		for _, line := range strings.Split(guide, "\n") {
			if placeholder(line) {
				t.Errorf("%s: a placeholder is left in %q", name, line)
			}
		}
		if strings.Contains(fmt.Sprint(c), "SECRET") {
			t.Errorf("%s: the client's settings have the secret", name)
		}
	}
	if files, err := filepath.Glob("testdata/*.txt"); err != nil || len(files) != len(presets.Names()) {
		t.Errorf("%d golden files of %d presets, %v", len(files), len(presets.Names()), err)
	}
	if names := presets.Names(); !slices.IsSorted(names) || len(slices.Compact(names)) != len(presets.Names()) {
		t.Errorf("the presets are not in order: %v", names)
	}
}

// placeholder reports whether one of ours is left, not one of the app's own: those have two braces. Connectors have
// their own, and an empty object.
func placeholder(line string) bool {
	line = strings.NewReplacer("{{", "", "}}", "", "{handle}", "", "{email}", "", "{found}", "", "{secret}", "",
		"{secret_base64}", "", `"{}"`, "").Replace(line)
	return strings.ContainsAny(line, "{}") && !strings.Contains(line, `{"`)
}

// An address that would be more than an address where it is pasted is refused, and so is a name that nobody knows.
func TestPresetsRefuse(t *testing.T) {
	if _, err := presets.Named("none"); err == nil || !strings.Contains(err.Error(), "immich") {
		t.Errorf("the error does not list the presets: %v", err)
	}
	p, err := presets.Named("gitea")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "app.example.com", "https://", "ftp://a.example", "https://a.example/$(id)",
		"https://a.example/'", "https://a.example/?x=1", "https://a.example/\nx", "https://a@b.example",
		"https://a.example#x", "https://a.example/a b"} {
		if _, err := p.Client("app", address); err == nil {
			t.Errorf("%q is accepted", address)
		}
		if _, err := p.Guide("app", "s", "https://id.example.com", address); err == nil {
			t.Errorf("%q is accepted for the app's side", address)
		}
	}
	for _, address := range []string{"https://a.example", "https://a.example:8443/", "https://a.example/git//",
		"http://[::1]:3000", "http://127.0.0.1:3000/git"} {
		if c, err := p.Client("app", address); err != nil || strings.Contains(c.RedirectURIs[0][8:], "//") {
			t.Errorf("%q: %v, %v", address, c.RedirectURIs, err)
		}
	}
}

// The pages about apps are made from what `exeunt clients add --preset` prints, and name the versions that `make apps` runs.
func TestRecipesAreCurrent(t *testing.T) {
	const folder = "../../docs/apps"
	overview, err := os.ReadFile(folder + ".md")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := os.ReadFile("../../foreign/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range presets.Names() {
		p, err := presets.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Recipe()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, name+".md")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got != string(want) {
			t.Errorf("%s is not current, %v; look at it, then write it with -update", file, err)
		}
		for _, part := range []string{"## On this side", "## What a sign-out reaches", "**What stays**: "} {
			if !strings.Contains(got, part) {
				t.Errorf("%s lacks %q", name, part)
			}
		}
		if !strings.Contains(string(overview), "](apps/"+name+".md)") {
			t.Errorf("%s.md has no link to %s", folder, name)
		}
		if _, rest, ok := strings.Cut(got, "**Tried**: version "); ok {
			version, _, _ := strings.Cut(rest, ",")
			if !strings.Contains(string(modules), " v"+version+" ") {
				t.Errorf("%s was tried in version %s, and `make apps` has another", name, version)
			}
		}
	}
	if files, err := filepath.Glob(folder + "/*.md"); err != nil || len(files) != len(presets.Names()) {
		t.Errorf("%d pages of %d presets, %v", len(files), len(presets.Names()), err)
	}
}
