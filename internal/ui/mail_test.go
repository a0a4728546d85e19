package ui

import (
	"html"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// mailExamples has one of each mail, with all that it may say.
func mailExamples() map[MailTemplate]MailData {
	const site = "https://id.example.com"
	out := map[MailTemplate]MailData{}
	for _, name := range MailTemplates {
		d := MailData{Site: site, Handle: "ada"}
		switch name {
		case MailTest:
			d.Handle = ""
		case MailPasswordChanged, MailSecured:
			d.At, d.Ended = testNow, 3
		case MailPasswordReset:
			d.Link, d.Life = site+"/reset/exl_TOKEN", 30*time.Minute
		case MailInvitation:
			d.Link, d.Life = site+"/reset/exl_TOKEN", 7*day
		case MailConfirmAddress:
			d.Link, d.Life, d.Address = site+"/confirm/exl_TOKEN", 30*time.Minute, "new@example.com"
		case MailAddressChanged:
			d.Link, d.Life, d.Address, d.At = site+"/undo/exl_TOKEN", 7*day, "new@example.com", testNow
		case MailAddressRemoved:
			d.Link, d.Life, d.At = site+"/undo/exl_TOKEN", 7*day, testNow
		case MailAddressUndone:
			d.At = testNow
		case MailUnfamiliarSignIn:
			d.Link, d.At, d.Browser, d.Place = site+"/not-me/exl_TOKEN?a=1&b=2", testNow, "Firefox on Linux", "Lisbon"
			d.Network = netip.MustParseAddr("2001:db8::7")
		case MailFactorAdded, MailFactorRemoved:
			d.Factor, d.At, d.Browser = `<b>"Ada's" phone & key</b>`, testNow, "Firefox on Linux"
		case MailAccountDeleting:
			d.At, d.Until = testNow, testNow.Add(7*day)
		case MailAccountKept:
			d.At = testNow
		case MailReviewReminder:
			d.Link, d.Days = site+"/review", 91
		}
		out[name] = d
	}
	return out
}

var (
	mailTag   = regexp.MustCompile(`(?s)<style>.*?</style>|<title>.*?</title>|<[^>]*>`)
	mailWords = regexp.MustCompile(`\S+`)
)

// Every mail has the same content as text and as HTML, loads nothing, and no value is markup.
func TestMails(t *testing.T) {
	u := newUI(t)
	for name, d := range mailExamples() {
		t.Run(string(name), func(t *testing.T) {
			m, err := u.Mail("", name, d)
			if err != nil {
				t.Fatal(err)
			}
			for ending, got := range map[string]string{"txt": "Subject: " + m.Subject + "\n\n" + m.Text, "html": m.HTML} {
				file := filepath.Join("testdata", "mail", string(name)+"."+ending)
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if want, err := os.ReadFile(file); err != nil || got != string(want) {
					t.Errorf("the mail differs from %s (%v); look at it, then run with -update", file, err)
				}
			}
			shown := html.UnescapeString(mailTag.ReplaceAllString(m.HTML, " "))
			asText := strings.NewReplacer("-- \n", "", ": ", " ", ":\n", "\n").Replace(m.Text)
			html := strings.Join(mailWords.FindAllString(strings.ReplaceAll(shown, ": ", " "), -1), " ")
			if text := strings.Join(mailWords.FindAllString(asText, -1), " "); text != html {
				t.Errorf("the text says\n%s\nand the page\n%s", text, html)
			}
			for _, loads := range []string{"<img", "<script", "<link", "src=", "url(", "@import", "<b>"} {
				if strings.Contains(m.HTML, loads) {
					t.Errorf("the page has %q", loads)
				}
			}
			if d.Link != "" && !strings.Contains(m.Text, "\n\n"+d.Link+"\n") {
				t.Error("the link is not on a line of its own")
			}
			if strings.ContainsAny(m.Subject, "\r\n") {
				t.Errorf("the subject is %q", m.Subject)
			}
			for _, line := range strings.Split(m.Text, "\n") {
				if len(line) > 76 && !strings.Contains(line, "https://") {
					t.Errorf("a line has %d characters: %s", len(line), line)
				}
			}
		})
	}
}

// What a mail needs must be there, and its link must lead to this site.
func TestMailsThatAreRefused(t *testing.T) {
	u := newUI(t)
	for what, change := range map[string]func(*MailData){
		"no site":                 func(d *MailData) { d.Site = "" },
		"no account":              func(d *MailData) { d.Handle = "" },
		"no link":                 func(d *MailData) { d.Link = "" },
		"a link to another site":  func(d *MailData) { d.Link = "https://id.example.com.evil.example/reset/x" },
		"a link that runs script": func(d *MailData) { d.Link = "javascript:alert(1)" },
		"no life":                 func(d *MailData) { d.Life = 0 },
	} {
		d := mailExamples()[MailPasswordReset]
		change(&d)
		if _, err := u.Mail("", MailPasswordReset, d); err == nil {
			t.Errorf("a mail with %s is rendered", what)
		}
	}
	if _, err := u.Mail("", "other", MailData{Site: "https://id.example.com", Handle: "ada"}); err == nil {
		t.Error("an unknown mail is rendered")
	}
}
