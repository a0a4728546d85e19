package exeunt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/exeunt/exeunt"

// The rooms of all modules, and which of ours each may import. Arrows point down only; a room
// that is not listed here is a room nobody has thought about.
var rooms = map[string][]string{
	"":                   {},
	"client":             {},
	"client/receipt":     {"client"},
	"client/verify":      {"client"},
	"client/webapp":      {"client"},
	"client/webhook":     {},
	"js":                 {},
	"internal/live":      {""},
	"internal/feed":      {""},
	"internal/names":     {},
	"internal/store":     {"", "internal/names"},
	"internal/keys":      {"", "internal/store"},
	"internal/throttle":  {},
	"internal/authority": {"", "internal/live", "internal/feed", "internal/names", "internal/store", "internal/throttle"},
	"internal/fanout":    {"", "client/webhook", "internal/store"},
	"internal/notify":    {"", "internal/store", "internal/ui"},
	"internal/mailbox":   {},
	"internal/places":    {},
	"internal/picture":   {""},
	"internal/operate":   {"", "internal/authority", "internal/fanout", "internal/notify", "internal/store"},
	"internal/oauth":     {"", "client/receipt", "internal/authority", "internal/keys", "internal/store", "internal/throttle"},
	"internal/password":  {""},
	"internal/factor":    {""},
	"internal/passkey":   {""},
	"internal/signin":    {"", "internal/factor", "internal/keys", "internal/names", "internal/passkey", "internal/password", "internal/store", "internal/throttle"},
	"internal/account":   {"", "internal/authority", "internal/factor", "internal/keys", "internal/names", "internal/notify", "internal/passkey", "internal/password", "internal/picture", "internal/store", "internal/throttle", "internal/ui"},
	"internal/config":    {"", "client/webhook", "internal/nearest"},
	"internal/nearest":   {},
	"internal/licenses":  {},
	"internal/presets":   {"", "client"},
	"internal/imports":   {"", "internal/names"},

	"internal/certificates": {""},

	"internal/web":     {"", "client", "internal/authority", "internal/keys"},
	"internal/ui":      {"", "js"},
	"internal/pages":   {"", "client", "client/receipt", "internal/account", "internal/authority", "internal/factor", "internal/names", "internal/oauth", "internal/signin", "internal/ui", "internal/web"},
	"internal/api":     {"", "client", "internal/account", "internal/authority", "internal/oauth", "internal/signin", "internal/web"},
	"internal/oidc":    {"", "client/receipt", "internal/authority", "internal/oauth", "internal/web"},
	"internal/gate":    {"", "client", "internal/authority", "internal/keys", "internal/oauth", "internal/web"},
	"internal/stream":  {"", "client", "internal/authority", "internal/oauth", "internal/web"},
	"internal/control": {"", "internal/account", "internal/fanout", "internal/nearest", "internal/notify", "internal/operate", "internal/web"},
	"internal/doctor":  {"internal/config", "internal/control", "internal/store", "internal/web"},
	"internal/app": {"", "client", "internal/account", "internal/api", "internal/authority", "internal/certificates", "internal/config", "internal/control", "internal/fanout",
		"internal/feed", "internal/gate", "internal/keys", "internal/live", "internal/notify", "internal/oauth", "internal/oidc", "internal/operate", "internal/pages", "internal/passkey", "internal/password", "internal/places", "internal/signin", "internal/store",
		"internal/stream", "internal/throttle", "internal/ui", "internal/web"},

	// For tests: no room may import them.
	"internal/testpg":   {},
	"internal/fault":    {},
	"internal/testsite": {"", "client", "internal/api", "internal/gate", "internal/oidc", "internal/stream", "internal/testnode", "internal/web"},
	"internal/testnode": {"", "internal/account", "internal/authority", "internal/factor", "internal/feed", "internal/keys", "internal/live", "internal/mailbox", "internal/notify", "internal/oauth",
		"internal/passkey", "internal/password", "internal/signin", "internal/store", "internal/ui", "internal/web"},

	"examples/chirp":           {"client", "client/verify", "client/webapp", "client/webhook", "js"},
	"examples/chirp/cmd/chirp": {"client", "examples/chirp"},

	"examples/gazette":             {},
	"examples/gazette/cmd/gazette": {"examples/gazette"},

	"internal/demo": {"", "client", "examples/chirp", "examples/gazette", "internal/account", "internal/authority", "internal/config", "internal/mailbox", "internal/password", "internal/signin", "internal/store"},
	"cmd/exeunt": {"", "client/receipt", "internal/app", "internal/config", "internal/control", "internal/demo", "internal/doctor", "internal/imports", "internal/licenses",
		"internal/presets"},
	"e2e/node":     {"", "internal/account", "internal/app", "internal/authority", "internal/config", "internal/demo", "internal/password", "internal/signin", "internal/testpg"},
	"e2e/postgres": {"internal/testpg"},
	"bench": {"", "client", "client/verify", "internal/account", "internal/app", "internal/authority", "internal/config", "internal/live", "internal/password",
		"internal/oauth", "internal/signin", "internal/store", "internal/testpg"},
	"cluster":           {"", "client", "examples/chirp", "internal/config", "internal/demo"},
	"site":              {"internal/api"},
	"release":           {},
	"release/confine":   {},
	"internal/ui/build": {"internal/ui", "js"},

	"internal/licenses/build": {},
	"internal/password/build": {"internal/password"},
}

// What others build on must not make them build on more than Go itself.
var standardLibraryOnly = []string{"", "client", "client/receipt", "client/verify", "client/webapp", "js"}

type goPackage struct {
	ImportPath string
	Doc        string
	Imports    []string
	Standard   bool
}

// maxDepth is how many rooms at most a program is above the lowest that it is built
// on: whoever follows a call must not lose the way.
const maxDepth = 6

func TestImportDepth(t *testing.T) {
	var depth func(room string) int
	depth = func(room string) (deepest int) {
		for _, below := range rooms[room] {
			deepest = max(deepest, 1+depth(below))
		}
		return deepest
	}
	for room := range rooms {
		if d := depth(room); d > maxDepth {
			t.Errorf("%q is %d rooms above the lowest it is built on, more than %d", room, d, maxDepth)
		}
	}
}

func TestImportMap(t *testing.T) {
	for _, folder := range []string{".", "bench", "cluster", "site", "release"} { // a module each
		list := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", "./...")
		list.Dir = folder
		out, err := list.Output()
		if err != nil {
			t.Fatalf("go list in %s: %v", folder, err)
		}
		checkImports(t, out)
	}
}

func checkImports(t *testing.T, list []byte) {
	d := json.NewDecoder(bytes.NewReader(list))
	for {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		may, known := rooms[name]
		if !known {
			t.Errorf("%q is not in the map of rooms; add it with what it may import", name)
		}
		if p.Doc == "" {
			t.Errorf("%q has no package comment: say what it owns and what it does not", name)
		}
		for _, imported := range p.Imports {
			ours, isOurs := strings.CutPrefix(imported, module)
			ours = strings.TrimPrefix(ours, "/")
			switch {
			case isOurs && !slices.Contains(may, ours):
				t.Errorf("%q imports %q, which the map of rooms does not allow", name, ours)
			case !isOurs && slices.Contains(standardLibraryOnly, name) && strings.Contains(strings.Split(imported, "/")[0], "."):
				t.Errorf("%q imports %s; it may use only the standard library", name, imported)
			}
		}
	}
}
