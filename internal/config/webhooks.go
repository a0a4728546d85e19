package config

import (
	"fmt"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client/webhook"
)

// Webhook is an address that is told of what happens.
type Webhook struct {
	Name       string   `koanf:"name"`
	URL        string   `koanf:"url"`
	Events     []string `koanf:"events"`
	Secret     Secret   `koanf:"secret"`
	SecretFile string   `koanf:"secret_file"`
	// OldSecret is one that Secret replaces: messages are signed by both until it is removed here.
	OldSecret     Secret `koanf:"old_secret"`
	OldSecretFile string `koanf:"old_secret_file"`
}

// Target returns the webhook without its secrets.
func (w *Webhook) Target() exeunt.Webhook {
	out := exeunt.Webhook{Name: exeunt.WebhookName(w.Name), URL: w.URL}
	for _, t := range w.Events {
		out.Events = append(out.Events, exeunt.MessageType(t))
	}
	return out
}

// Secrets returns what messages are signed by, the newest first. No error has a secret.
func (w *Webhook) Secrets() (out []webhook.Secret, err error) {
	if w.Secret == "" {
		return nil, fmt.Errorf("webhook %s: secret is not set: name the file that has it as secret_file; make one with "+
			"`echo whsec_$(openssl rand -base64 32)`", w.Name)
	}
	for _, s := range []struct {
		name string
		text Secret
	}{{"secret", w.Secret}, {"old_secret", w.OldSecret}} {
		if s.text == "" {
			continue
		}
		parsed, err := webhook.ParseSecret(string(s.text))
		if err != nil {
			return nil, fmt.Errorf("webhook %s: %s: %w", w.Name, s.name, err)
		}
		out = append(out, parsed)
	}
	return out, nil
}

func (c *Config) validateWebhooks() (errs []error) {
	if len(c.Webhooks) > exeunt.MaxWebhooks {
		errs = append(errs, fmt.Errorf("there are %d webhooks: use up to %d", len(c.Webhooks), exeunt.MaxWebhooks))
	}
	seen := map[string]bool{}
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		target := w.Target()
		_, secrets := w.Secrets()
		switch err := target.Validate(); {
		case err != nil:
			errs = append(errs, err)
		case seen[w.Name]:
			errs = append(errs, fmt.Errorf("webhook %s is configured twice: give each a name of its own", w.Name))
		case secrets != nil:
			errs = append(errs, secrets)
		case w.Secret == w.OldSecret:
			errs = append(errs, fmt.Errorf("webhook %s: secret and old_secret are the same: make a new secret, or remove "+
				"old_secret", w.Name))
		}
		seen[w.Name] = true
	}
	return errs
}
