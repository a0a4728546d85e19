package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
)

// loadClient loads a configuration whose one client has the given line more.
func loadClient(t *testing.T, line string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "exeunt.toml")
	text := `
url = "https://id.example.com"
data = "/var/lib/exeunt"
trusted_proxies = ["10.0.0.5"]
[[clients]]
id = "chirp"
name = "Chirp"
home_url = "https://chirp.example"
redirect_uris = ["https://chirp.example/exeunt/callback"]
` + line
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Sources{File: file, Getenv: func(string) (string, bool) { return "", false }})
}

func TestClientKeys(t *testing.T) {
	one, two := exeunt.NewToken(exeunt.UseClient).Hash(), exeunt.NewToken(exeunt.UseClient).Hash()
	for line, want := range map[string][]exeunt.TokenHash{
		`auth = "none"`:                       nil,
		`key_sha256 = "` + one.String() + `"`: {one},
		`key_sha256 = ["` + one.String() + `", "` + two.String() + `"]`: {one, two},
	} {
		c, err := loadClient(t, line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		got := c.RegisteredClients()[0]
		if len(got.Keys) != len(want) {
			t.Errorf("%s: %d keys", line, len(got.Keys))
		}
		for _, h := range []exeunt.TokenHash{one, two, {}} {
			registered := false
			for _, w := range want {
				registered = registered || w == h
			}
			if got.HasKey(h) != registered {
				t.Errorf("%s: HasKey(%v) is %v", line, h, !registered)
			}
		}
	}
	for _, bad := range []string{"x", one.String()[:62], one.String() + "00", exeunt.NewToken(exeunt.UseClient).Reveal()} {
		_, err := loadClient(t, `key_sha256 = "`+bad+`"`)
		if err == nil || !strings.Contains(err.Error(), "key_sha256") || strings.Contains(err.Error(), bad+" ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
