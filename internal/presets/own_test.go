package presets_test

import (
	"os"
	"strings"
	"testing"

	"github.com/exeunt/exeunt/internal/presets"
)

// What is printed for Exeunt itself is what docs/proxies.md has, whose configurations are tested with real proxies.
func TestOurOwnProxyIsThatOfTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, proxy := range []string{"caddy", "nginx"} {
		text, err := presets.OwnConfig(proxy, "https://id.example.com", "http://127.0.0.1:8443")
		if err != nil || text == "" {
			t.Fatalf("%s: %v", proxy, err)
		}
		for _, block := range strings.Split(text, "\n\n") {
			block = strings.TrimSpace(block)
			if strings.Contains(block, "listen 80") {
				block = strings.Replace(block, "id.example.com;", "id.example.com app.example.com;", 1) // there it has both
			}
			if !strings.Contains(string(page), block) && !strings.Contains(string(page), strings.TrimPrefix(block, "server {\n")) {
				t.Errorf("%s: the documentation does not have\n%s", proxy, block)
			}
		}
	}
	if text, err := presets.OwnConfig("traefik", "https://id.example.com", "http://127.0.0.1:8443"); text != "" || err != nil {
		t.Errorf("traefik: %q, %v", text, err)
	}
	if _, err := presets.OwnConfig("caddy", "id.example.com", "http://127.0.0.1:8443"); err == nil {
		t.Error("an address without a scheme is accepted")
	}
}
