package config

import (
	"strings"
	"testing"
)

const andSite = `
data = "/d"
[[sites]]
host = "wiki.example.com"
upstream = "http://127.0.0.1:8081"
`

// Who terminates TLS, and which CA is asked.
func TestWhoTerminatesTLS(t *testing.T) {
	for text, want := range map[string]struct {
		directory  string
		terminates bool
		wrong      string
	}{
		"[tls]\nacme = true":                              {LetsEncrypt, true, ""},
		"[tls]\nacme = \"https://ca.example.com/dir\"":    {"https://ca.example.com/dir", true, ""},
		"[tls]\nacme = false\ncert = \"c\"\nkey = \"k\"":  {"", true, ""},
		"[tls]\nacme = true\ncert = \"c\"\nkey = \"k\"":   {LetsEncrypt, true, ""},
		"trusted_proxies = [\"10.0.0.1\"]":                {"", false, ""},
		"[tls]\nacme = false":                             {wrong: "TLS is not set up"},
		"[tls]\nacme = true\nacme_email = \"A <a@b.de>\"": {wrong: "like hostmaster@example.com"},
		"[tls]\nacme = true\nhttp_listen = \"80\"":        {wrong: "as in :80"},
	} {
		settings, table, inTable := strings.Cut(text, "[tls]")
		file := "url = \"https://id.example.com\"\n" + settings + andSite
		if inTable {
			file += "[tls]" + table
		}
		c, err := Load(Sources{File: write(t, file), Getenv: env(nil)})
		switch {
		case want.wrong != "" && (err == nil || !strings.Contains(err.Error(), want.wrong)):
			t.Errorf("%q: %v", text, err)
		case want.wrong == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want.wrong == "" && (c.TLS.Directory() != want.directory || c.TLS.Terminates() != want.terminates):
			t.Errorf("%q: %q, %v", text, c.TLS.Directory(), c.TLS.Terminates())
		}
	}
}

func TestInvalidCertificatesOfSites(t *testing.T) {
	const url = "url = \"https://id.example.com\"\n"
	const own, proxy, acme = "[tls]\ncert = \"c\"\nkey = \"k\"\n", "trusted_proxies = [\"10.0.0.1\"]\n", "[tls]\nacme = true\n"
	for text, want := range map[string]string{
		url + andSite + "cert = \"c\"\n" + own:                                           "only one of cert and key is set",
		url + proxy + andSite + "cert = \"c\"\nkey = \"k\"\n":                            "another program terminates its TLS",
		url + strings.Replace(andSite, "wiki.example.com", "wiki", 1) + acme:             "site wiki: tls.acme needs a host with a dot",
		strings.Replace(url, "id.example.com", "intranet", 1) + andSite + acme:           "a dot in its name in url",
		strings.Replace(url, "id.example.com", "192.0.2.1", 1) + andSite + acme:          "a dot in its name in url",
		url + andSite + "cert = \"c\"\nkey = \"k\"\n" + own:                              "",
		url + strings.Replace(andSite, "wiki.example.com", "wiki", 1) + own:              "",
		url + andSite + "cert = \"c\"\nkey = \"k\"\n" + acme:                             "",
		strings.Replace(url, "id.example.com", "intranet", 1) + andSite + own + acme[6:]: "",
	} {
		_, err := Load(Sources{File: write(t, text), Getenv: env(nil)})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n%v", text, err)
		}
	}
}
