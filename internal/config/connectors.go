package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/exeunt/exeunt"
)

// Connector ends what somebody has in an app by the app's own API for administrators.
type Connector struct {
	Client     string   `koanf:"client"` // the ID of a client or site, also of one that an operator registered
	On         string   `koanf:"on"`     // account or session; "": account
	Headers    []string `koanf:"headers"`
	Secret     Secret   `koanf:"secret"`
	SecretFile string   `koanf:"secret_file"`
	Steps      []Step   `koanf:"steps"`
}

// Step is a request of a connector.
type Step struct {
	Method  string   `koanf:"method"`
	URL     string   `koanf:"url"`
	Headers []string `koanf:"headers"`
	Body    string   `koanf:"body"`
	Success []int    `koanf:"success"`
	Find    string   `koanf:"find"`
	List    string   `koanf:"list"`
	Where   string   `koanf:"where"`
	Equals  string   `koanf:"equals"`
}

// The values of Connector.On.
const (
	onAccount = "account"
	onSession = "session"
)

// App returns the connector without its secret.
func (c *Connector) App() exeunt.Connector {
	out := exeunt.Connector{Client: exeunt.ClientID(c.Client), OnSession: c.On == onSession, Headers: c.Headers}
	for _, s := range c.Steps {
		out.Steps = append(out.Steps, exeunt.Step(s))
	}
	return out
}

// readSecrets reads the files that the secrets of connectors and webhooks are in.
func (c *Config) readSecrets() error {
	var errs []error
	for i := range c.Connectors {
		n := &c.Connectors[i]
		errs = append(errs, n.Secret.readFrom(n.SecretFile, "connector of "+n.Client, "secret"))
	}
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		errs = append(errs, w.Secret.readFrom(w.SecretFile, "webhook "+w.Name, "secret"),
			w.OldSecret.readFrom(w.OldSecretFile, "webhook "+w.Name, "old_secret"))
	}
	return errors.Join(errs...)
}

// readFrom reads a setting of something that may be in a file instead; "" is none.
func (s *Secret) readFrom(file, of, name string) error {
	if file == "" {
		return nil
	}
	if *s != "" {
		return fmt.Errorf("%s: %s and %[2]s_file are both set; set one", of, name)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s: %s_file: %w", of, name, err)
	}
	*s = Secret(strings.TrimSpace(string(b)))
	return nil
}

// maxSecret is how long a connector's secret may be.
const maxSecret = 4096

func (c *Config) validateConnectors() (errs []error) {
	seen := map[string]bool{}
	for i := range c.Connectors {
		n := &c.Connectors[i]
		fail := func(text string) { errs = append(errs, fmt.Errorf("connector of %s: %s", n.Client, text)) }
		app := n.App()
		if err := app.Validate(); err != nil {
			errs = append(errs, err)
			continue
		}
		control := func(r rune) bool { return r < ' ' || r == 0x7f }
		switch {
		case n.On != "" && n.On != onAccount && n.On != onSession:
			fail(fmt.Sprintf("invalid on %q: use %s or %s", n.On, onAccount, onSession))
		case seen[n.Client]:
			fail("is configured twice: put its settings into one table")
		case app.UsesSecret() && n.Secret == "":
			fail("has {secret} but no secret: name the file that has it as secret_file")
		case !app.UsesSecret() && n.Secret != "":
			fail("its secret is used nowhere: put {secret} where it belongs, or remove it")
		case len(n.Secret) > maxSecret || strings.ContainsFunc(string(n.Secret), control):
			fail(fmt.Sprintf("its secret has several lines, or more than %d bytes", maxSecret))
		}
		for _, cl := range c.Clients {
			if cl.ID == n.Client && cl.BackchannelURI != "" {
				fail("the client has a backchannel_uri: remove one of them")
			}
		}
		seen[n.Client] = true
	}
	return errs
}
