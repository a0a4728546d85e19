package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client/webhook"
)

const (
	oneSecret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	otherSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

const goodWebhook = `[[webhooks]]
name = "siem"
url = "https://siem.example/hook?of=exeunt"
events = ["session.started", "session.ended", "account.secured"]
`

func TestWebhooks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(oneSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadClient(t, "auth = \"none\"\n"+goodWebhook+"secret = \""+otherSecret+"\"\nold_secret_file = \""+file+"\"")
	if err != nil {
		t.Fatal(err)
	}
	w := c.Webhooks[0]
	if got := w.Target(); got.Name != "siem" || got.URL != "https://siem.example/hook?of=exeunt" || len(got.Events) != 3 ||
		!got.Wants(exeunt.MessageSecured) {
		t.Errorf("%+v", got)
	}
	secrets, err := w.Secrets()
	want := []string{otherSecret, oneSecret}
	for i, text := range want {
		s, _ := webhook.ParseSecret(text)
		if err != nil || len(secrets) != 2 || webhook.Sign("m", time.Unix(1, 0), nil, secrets[i]) != webhook.Sign("m", time.Unix(1, 0), nil, s) {
			t.Fatalf("secrets: %d, %v", len(secrets), err)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(text, "MfKQ9r8") || strings.Contains(text, "AAECAwQ") {
		t.Errorf("it prints %s", text)
	}
}

// Each error says what is wrong, then what would be right, and has no secret in it.
func TestInvalidWebhooks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(oneSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := "secret = \"" + oneSecret + "\"\n"
	with := func(old, new string) string { return strings.Replace(goodWebhook, old, new, 1) + secret }
	many := ""
	for i := range exeunt.MaxWebhooks + 1 {
		many += with("siem", fmt.Sprint("siem", i))
	}
	for text, want := range map[string]string{
		goodWebhook: `webhook siem: secret is not set: name the file that has it as secret_file; make one with`,
		goodWebhook + `secret = "whsec_MfKQ9r8GKYq"`:                                 "webhook siem: secret: invalid secret: use whsec_ and the base64 of 24 to 64 random bytes",
		goodWebhook + secret + `old_secret = "MfKQ9r8GKYqrTwjUPD8"`:                  "webhook siem: old_secret: invalid secret",
		goodWebhook + secret + `old_secret = "` + oneSecret + `"`:                    "webhook siem: secret and old_secret are the same",
		goodWebhook + secret + `secret_file = "` + file + `"`:                        "webhook siem: secret and secret_file are both set; set one",
		goodWebhook + `secret_file = "` + file + `.not"`:                             "webhook siem: secret_file: open ",
		goodWebhook + secret + `retries = 3`:                                         `unknown setting "retries" of a webhook: use one of name, url, events, secret`,
		goodWebhook + secret + goodWebhook + secret:                                  "webhook siem is configured twice: give each a name of its own",
		with(`"session.started", `, `"session.begun", `):                             `webhook siem: unknown event "session.begun": use session.started, session.ended, account.secured`,
		with(`"session.started", `, `"session.ended", `):                             `webhook siem: event "session.ended" is named twice`,
		with(`events = ["session.started", "session.ended", "account.secured"]`, ""): "webhook siem: events is not set: name some of session.started",
		with(`siem"`, `The SIEM"`):                                                   `webhook: invalid name "The SIEM": use a letter`,
		with("https://", "ftp://"):                                                   "webhook siem: invalid url: use http or https",
		with("siem.example", "ops:MfKQ9r8@siem.example"):                             "webhook siem: invalid url",
		with("?of=exeunt", "#there"):                                                 "webhook siem: invalid url",
		many:                                                                         "there are 9 webhooks: use up to 8",
	} {
		_, err := loadClient(t, "auth = \"none\"\n"+text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "MfKQ9r8") {
			t.Errorf("a secret is in %v", err)
		}
	}
	w := Webhook{Name: "siem", Secret: "MfKQ9r8"}
	if _, err := w.Secrets(); !errors.Is(err, webhook.ErrSecret) {
		t.Error(err)
	}
}
