package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func env(m map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
}

func write(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "exeunt.toml")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

const good = `
url = "https://id.example.com"
data = "/var/lib/exeunt"
trusted_proxies = ["10.0.0.0/8", "192.0.2.1"]
[policy.shared]
idle = "90s"
[policy.kept]
idle = "14d"
[[clients]]
id = "chirp"
name = "Chirp"
home_url = "https://chirp.example.com"
redirect_uris = ["https://chirp.example.com/exeunt/callback"]
auth = "none"
`

func TestLaterSourcesWin(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Sources{
		File:   write(t, good),
		Getenv: env(map[string]string{"EXEUNT_POLICY_KEPT_IDLE": "10d", "EXEUNT_SIGN_UP": "open", "EXEUNT_MASTER_KEY_FILE": secret, "EXEUNT_ADDR": "127.0.0.1:1"}),
		Flags:  map[string]string{"addr": "127.0.0.1:2", "trusted_proxies": "10.1.1.1,10.2.2.2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case c.Policy.Kept.Idle != 10*24*time.Hour:
		t.Errorf("kept idle is %v, want the variable's 10d", c.Policy.Kept.Idle)
	case c.Policy.Shared.Idle != 90*time.Second:
		t.Errorf("shared idle is %v, want the file's 90s", c.Policy.Shared.Idle)
	case c.Policy.Shared.Absolute != 4*time.Hour:
		t.Errorf("shared absolute is %v, want the default 4h", c.Policy.Shared.Absolute)
	case c.Addr != "127.0.0.1:2":
		t.Errorf("addr is %v, want the flag's", c.Addr)
	case len(c.TrustedProxies) != 2 || c.TrustedProxies[1] != "10.2.2.2":
		t.Errorf("trusted proxies are %q", c.TrustedProxies)
	case c.MasterKey != "from-a-file":
		t.Errorf("master key was not read from its file")
	case len(c.Clients) != 1 || c.Clients[0].Name != "Chirp":
		t.Errorf("clients are %v", c.Clients)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, c); strings.Contains(s, "from-a-file") {
			t.Errorf("%s prints the master key: %s", verb, s)
		}
	}
}

// Each message must name the setting and say which values are valid.
func TestInvalidSettings(t *testing.T) {
	base := map[string]string{"url": "https://id.example.com", "data": "/d", "trusted_proxies": "10.0.0.1"}
	for _, c := range []struct {
		name, setting, value, want string
	}{
		{"no TLS and no proxy", "trusted_proxies", "", "tls.cert and tls.key, or name the proxy"},
		{"plain http", "url", "http://id.example.com", "https://"},
		{"development cannot be set", "url", "http://exeunt.localhost:8080", "https://"},
		{"a path in the address", "url", "https://id.example.com/x", "only scheme and host"},
		{"the default port", "url", "https://id.example.com:443", "leave out :443"},
		{"a fragment", "url", "https://id.example.com#x", "only scheme and host"},
		{"half of TLS", "tls.cert", "/c.pem", "set both"},
		{"a directory without TLS", "tls.acme", "http://ca.example.com/dir", "https:// address of another CA"},
		{"a word for a directory", "tls.acme", "yes", "use true for Let's Encrypt"},
		{"an address for nobody", "tls.acme_email", "a@example.com", "tls.acme is not"},
		{"a listener for nothing", "tls.http_listen", ":80", "does not terminate TLS"},
		{"a bad proxy", "trusted_proxies", "everybody", "10.0.0.0/8"},
		{"a bad kiosk", "kiosk.addresses", "library", "invalid kiosk.addresses"},
		{"a kiosk too short", "kiosk.idle", "5s", "at least 1m"},
		{"a kiosk shorter than idle", "kiosk.absolute", "2m", "at least kiosk.idle"},
		{"sign-up", "sign_up", "maybe", "open or closed"},
		{"too few connections", "max_connections", "1", "at least 64"},
		{"too few sessions", "max_sessions", "1", "at least 10"},
		{"too few tokens", "max_tokens", "10", "at least 1000"},
		{"a time without unit", "policy.kept.idle", "30", "use a number and s, m, h or d"},
		{"a preset", "policy.preset", "aal9", "aal1, aal2 or aal3"},
		{"a factor", "policy.factor", "always", "optional, required or passkey"},
		{"a proof that is never fresh", "policy.fresh", "0s", "1s to 24h"},
		{"idle too short", "policy.shared.idle", "10ms", "shortest is 1s"},
		{"warning above idle", "policy.shared.warning", "20m", "below the idle timeout"},
		{"absolute below idle", "policy.shared.absolute", "1m", "shorter than its idle"},
		{"address", "addr", "8080", "host:port"},
		{"an audit shorter than what it explains", "retention.audit", "30d", "at least as long"},
		{"no data folder", "data", "", "name the folder"},
		{"log level", "log.level", "loud", "debug, info"},
		{"a secret in a flag", "master_key", "hunter2", "EXEUNT_MASTER_KEY_FILE"},
		{"a URL with a password in a flag", "database", "postgres://a:hunter2@h/n", "EXEUNT_DATABASE_FILE"},
		{"a mail password in a flag", "smtp.password", "hunter2", "EXEUNT_SMTP_PASSWORD_FILE"},
		{"a mail server without a name", "smtp.from", "a@example.com", "smtp.host is not set"},
		{"a mail server without a sender", "smtp.host", "mail.example.com", "like no-reply@example.com"},
		{"unknown setting", "colour", "blue", `unknown setting "colour"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			flags := map[string]string{}
			for k, v := range base {
				flags[k] = v
			}
			flags[c.setting] = c.value
			_, err := Load(Sources{Getenv: env(nil), Flags: flags})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v; want one with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

func TestUnknownSettingInFile(t *testing.T) {
	_, err := Load(Sources{File: write(t, good+"\n[policy.kept2]\nidle = \"1d\"\n"), Getenv: env(nil)})
	if err == nil || !strings.Contains(err.Error(), "kept2") {
		t.Errorf("error is %v; want one that names kept2", err)
	}
}

func TestDevelopmentIsForLoopbackOnly(t *testing.T) {
	c := Default()
	c.Data, c.URL, c.Development = "/d", "http://exeunt.localhost:8080", true
	c.Addr = "127.0.0.1:8080"
	if err := c.Validate(); err != nil {
		t.Errorf("a loopback address under .localhost: %v", err)
	}
	for _, bad := range []struct{ addr, url string }{{"0.0.0.0:8080", c.URL}, {c.Addr, "http://id.example.com"}, {":8080", c.URL}} {
		d := c
		d.Addr, d.URL = bad.addr, bad.url
		if d.Validate() == nil {
			t.Errorf("%v is allowed without TLS", bad)
		}
	}
}

// Whoever misspells something is told where.
func TestMistakesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"url = \"https://id.example.com\"\nsign_upp = \"open\"\n":         ":2: unknown setting \"sign_upp\": did you mean sign_up?",
		"[policy.shared]\nidle = \"5m\"\n\n[policy.kept]\nidel = \"1d\"":  ":5: unknown setting \"policy.kept.idel\": did you mean policy.kept.idle?",
		"url = https://id.example.com\n":                                  ":1:",
		"[tls]\ncert = \"a\"\ncert = \"b\"\n":                             "cert is already defined",
		"[policy.shared]\nidle = 5\n":                                     "policy.shared.idle",
		"[[clients]]\nid = \"x\"\n[[clients]]\nid = \"y\"\nnme = \"X\"\n": ":5: unknown setting \"nme\" of a client: did you mean name?",
		"[[clients]]\nid = \"x\"\n[[clients]]\nid = \"y\"\ncolour = \"X\"\n": ":5: unknown setting \"colour\" of a client: use " +
			"one of id, name, home_url, redirect_uris, key_sha256",
		"clients = [{id = \"x\", nme = \"X\"}]\n": ":1: unknown setting \"nme\" of a client: did you mean name?",
	} {
		path := write(t, text)
		_, err := Load(Sources{File: path, Getenv: env(nil)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") ||
			strings.HasPrefix(want, ":") && !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want %q in one line", text, err, want)
		}
	}
	_, err := Load(Sources{File: "/nowhere/at-all.toml", Getenv: env(nil)})
	if err == nil || err.Error() != "there is no configuration file /nowhere/at-all.toml" {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Load(Sources{Getenv: env(nil)}); err == nil || !strings.Contains(err.Error(), "url is not set") {
		t.Errorf("no address: %v", err)
	}
}

func TestUnknownVariablesAreRefused(t *testing.T) {
	for name, refused := range map[string]bool{
		"EXEUNT_SIGNUP": true, "EXEUNT_DEVELOPMENT": true, "EXEUNT_POLICY_SHARED_IDEL": true,
		"EXEUNT_SIGN_UP": false, "EXEUNT_MASTER_KEY_FILE": false, "EXEUNT_CONFIG": false, "HOME": false, "NOT_EXEUNT_X": false,
		"EXEUNT_SERVICE_HOST": false, "EXEUNT_PORT_8443_TCP_ADDR": false, "EXEUNT_PORT": false, // set by Kubernetes
	} {
		err := checkEnviron([]string{"PATH=/bin", name + "=x"})
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What strangers cannot take is what is set, and the names in the host's.
func TestReservedHandles(t *testing.T) {
	c := Default()
	c.URL = "https://id.example.com:8443"
	got := c.Reserved()
	for _, h := range []string{"admin", "root", "support", "postmaster", "noreply", "exeunt", "operator", "id", "example",
		"id.example.com", "example.com"} {
		if !slices.Contains(got, h) {
			t.Errorf("%s is not reserved", h)
		}
	}
	if slices.Contains(got, "com") {
		t.Error("the top-level domain is reserved")
	}
	c.ReservedHandles = []string{"no handle"}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "no handle") {
		t.Errorf("%v", err)
	}
}

// What is wrong with the settings of the mail server is said, and what would be right.
func TestSMTP(t *testing.T) {
	good := SMTP{Host: "mail.example.com", TLS: SMTPStartTLS, From: "no-reply@example.com"}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // in the error; "" is none
	}{
		"starttls":                    {func(*Config) {}, ""},
		"an address":                  {func(c *Config) { c.SMTP.Host = "::1" }, ""},
		"a server that signs in":      {func(c *Config) { c.SMTP.User, c.SMTP.Password = "exeunt", "hunter2" }, ""},
		"without TLS, here":           {func(c *Config) { c.SMTP.Host, c.SMTP.TLS = "127.0.0.1", SMTPPlain }, ""},
		"without TLS, by name":        {func(c *Config) { c.SMTP.Host, c.SMTP.TLS = "localhost", SMTPPlain }, ""},
		"without TLS, elsewhere":      {func(c *Config) { c.SMTP.TLS = SMTPPlain }, "use starttls or tls"},
		"without TLS, a name like it": {func(c *Config) { c.SMTP.Host, c.SMTP.TLS = "localhost.example", SMTPPlain }, "use starttls or tls"},
		"another TLS":                 {func(c *Config) { c.SMTP.TLS = "ssl" }, "use starttls, tls or none"},
		"a port in the host":          {func(c *Config) { c.SMTP.Host = "mail.example.com:25" }, "put the port in smtp.port"},
		"a port too high":             {func(c *Config) { c.SMTP.Port = 70000 }, "1 to 65535"},
		"a user without a password":   {func(c *Config) { c.SMTP.User = "exeunt" }, "set both"},
		"a sender with a name":        {func(c *Config) { c.SMTP.From = "Exeunt <a@example.com>" }, "plain address"},
		"a sender of two lines":       {func(c *Config) { c.SMTP.FromName = "Exeunt\r\nBcc: b@example.com" }, "one line"},
	} {
		conf := Config{SMTP: good}
		c.change(&conf)
		err := conf.validateSMTP()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if text := fmt.Sprintf("%v %+v %#v", conf, conf, conf); strings.Contains(text, "hunter2") {
			t.Errorf("%s: the password is printed", name)
		}
	}
	for tls, port := range map[SMTPTLS]int{SMTPStartTLS: 587, SMTPOverTLS: 465, SMTPPlain: 25} {
		if s := (SMTP{TLS: tls}); s.PortOrUsual() != port {
			t.Errorf("%s: port %d", tls, s.PortOrUsual())
		}
	}
}

func TestPolicySettings(t *testing.T) {
	const groups = `
[policy]
preset = "aal2"
fresh = "5m"
[[policy.groups]]
name = "admins"
idle = "10m"
max_sessions = 2
factor = "passkey"
`
	head, clients, _ := strings.Cut(good, "[policy.shared]")
	_, clients, _ = strings.Cut(clients, "[[clients]]")
	c, err := Load(Sources{File: write(t, head+groups+"[[clients]]\nrequire_factor = true\n"+clients), Getenv: env(nil)})
	if err != nil {
		t.Fatal(err)
	}
	p := c.SessionPolicy()
	if p.Preset != "aal2" || p.Fresh != 5*time.Minute || p.Factor != exeunt.AnyFactor || p.Kept.Idle != time.Hour ||
		p.Kept.Absolute != 24*time.Hour || p.MaxSessions != 1000 || !c.RegisteredClients()[0].RequireFactor {
		t.Errorf("%+v", p)
	}
	if of := p.Of([]string{"admins"}); of.Kept.Idle != 10*time.Minute || of.MaxSessions != 2 ||
		of.Factor != exeunt.OnlyPasskey {
		t.Errorf("%+v", of)
	}
	for setting, value := range map[string]string{"policy.kept.absolute": "25h", "policy.app.idle": "61m"} {
		_, err := Load(Sources{File: write(t, head+groups), Getenv: env(nil), Flags: map[string]string{setting: value}})
		if err == nil || !strings.Contains(err.Error(), setting) || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%s: %v", setting, err)
		}
	}
}
