package ui

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MailTemplate names a mail. Names are stored: they do not change.
type MailTemplate string

// The mails.
const (
	MailTest             MailTemplate = "test"
	MailPasswordChanged  MailTemplate = "password_changed"
	MailPasswordReset    MailTemplate = "password_reset"     // Link sets a new password
	MailInvitation       MailTemplate = "invitation"         // of an account that was imported; Link sets the first password
	MailConfirmAddress   MailTemplate = "confirm_address"    // Link confirms Address
	MailAddressChanged   MailTemplate = "address_changed"    // to the old one; Link undoes it
	MailAddressRemoved   MailTemplate = "address_removed"    // to the removed one; Link undoes it
	MailAddressUndone    MailTemplate = "address_undone"     // to the one that is the account's no more
	MailUnfamiliarSignIn MailTemplate = "unfamiliar_sign_in" // Link is for somebody who did not sign in
	MailFactorAdded      MailTemplate = "factor_added"       // Factor
	MailFactorRemoved    MailTemplate = "factor_removed"     // Factor
	MailCodesMade        MailTemplate = "codes_made"         // new recovery codes
	MailReviewReminder   MailTemplate = "review_reminder"    // Link is the review, Days since the last one
	MailSecured          MailTemplate = "secured"            // Ended sessions
	MailAccountDeleting  MailTemplate = "account_deleting"   // Until when it can be kept
	MailAccountKept      MailTemplate = "account_kept"
)

// MailTemplates are all of them.
var MailTemplates = []MailTemplate{MailTest, MailPasswordChanged, MailPasswordReset, MailInvitation,
	MailConfirmAddress, MailAddressChanged, MailAddressRemoved, MailAddressUndone, MailUnfamiliarSignIn, MailFactorAdded,
	MailFactorRemoved,
	MailCodesMade, MailReviewReminder, MailSecured, MailAccountDeleting, MailAccountKept}

// MailData is what a mail tells. A mail that needs a value and has none is not rendered.
type MailData struct {
	Site    string // the authority's address
	Handle  string // of the account
	Link    string
	Life    time.Duration // for how long the link works
	Address string        // the new e-mail address
	Factor  string        // what it is called
	Days    int
	Ended   int

	// What the mail says of the moment; what is empty is left out.
	At      time.Time
	Until   time.Time
	Browser string // with the system, as "Firefox on Linux"
	Place   string // about where that was
	Network netip.Addr
}

// MailText is a rendered mail. Text and HTML say the same.
type MailText struct{ Subject, Text, HTML string }

// mailShape is what the layout is filled with. The plain text is made of the same.
type mailShape struct {
	Lang, Dir      string
	Subject, Title template.HTML
	Lead           []template.HTML
	Facts          []mailFact
	Do             template.HTML // what the link does; "" without
	Link           string
	LinkNote       template.HTML
	NotYou         template.HTML // what to do if it was somebody else; "" when nothing needs to be done
	Why            template.HTML // why it came
}

type mailFact struct{ Name, Value template.HTML }

// withLink are the mails that make no sense without one.
var withLink = []MailTemplate{MailPasswordReset, MailInvitation, MailConfirmAddress, MailAddressChanged, MailAddressRemoved,
	MailUnfamiliarSignIn, MailReviewReminder}

// withLife are the mails that say for how long their link works.
var withLife = []MailTemplate{MailPasswordReset, MailInvitation, MailConfirmAddress, MailAddressChanged, MailAddressRemoved}

// Mail renders a mail in the language that an Accept-Language header asks for, by default English.
func (u *UI) Mail(lang string, name MailTemplate, d MailData) (MailText, error) {
	l := u.language(lang)
	shape, err := l.words.mail(name, d)
	if err != nil {
		return MailText{}, fmt.Errorf("mail %s: %w", name, err)
	}
	var page bytes.Buffer
	if err := l.mail.Execute(&page, shape); err != nil {
		return MailText{}, fmt.Errorf("mail %s: %w", name, err)
	}
	return MailText{Subject: plainText(shape.Subject), Text: shape.text(), HTML: page.String()}, nil
}

func (w *words) mail(name MailTemplate, d MailData) (s mailShape, err error) {
	site, err := url.Parse(d.Site)
	switch {
	case err != nil || site.Host == "":
		return s, fmt.Errorf("invalid address of the site %q", d.Site)
	case !slices.Contains(MailTemplates, name):
		return s, fmt.Errorf("there is no such mail")
	case slices.Contains(withLink, name) != (d.Link != ""):
		return s, fmt.Errorf("a link is missing, or has no place")
	case d.Link != "" && !strings.HasPrefix(d.Link, d.Site+"/"):
		return s, fmt.Errorf("the link does not lead to %s", d.Site)
	case d.Handle == "" && name != MailTest:
		return s, fmt.Errorf("the account is missing")
	case d.Address == "" && (name == MailConfirmAddress || name == MailAddressChanged),
		d.Until.IsZero() && name == MailAccountDeleting,
		d.Factor == "" && (name == MailFactorAdded || name == MailFactorRemoved),
		d.Life == 0 && slices.Contains(withLife, name):
		return s, fmt.Errorf("a value is missing")
	}
	life, err := w.duration(d.Life)
	values := []any{"Host", site.Host, "Handle", "@" + d.Handle, "Address", d.Address, "Factor", d.Factor,
		"Life", life, "Help", d.Site + "/help", "Forgot", d.Site + "/forgot"}
	say := func(part string, n ...int) (text template.HTML) {
		key := "mail." + string(name) + "." + part
		switch {
		case err != nil || !w.has(key) && part != "subject" && part != "title" && part != "lead":
		case len(n) > 0:
			text, err = w.tn(key, n[0], values...)
		default:
			text, err = w.t(key, values...)
		}
		return text
	}
	key := func(key string) (text template.HTML) {
		if err == nil {
			text, err = w.t(key, values...)
		}
		return text
	}
	s.Lang, s.Dir, s.Link = w.tag.String(), w.direction(), d.Link
	s.Subject, s.Title = say("subject"), say("title")
	switch name {
	case MailReviewReminder:
		s.Lead = append(s.Lead, say("lead", d.Days))
	case MailSecured:
		s.Lead = append(s.Lead, say("lead", d.Ended))
	default:
		s.Lead = append(s.Lead, say("lead"))
	}
	if more := say("more"); more != "" {
		s.Lead = append(s.Lead, more)
	}
	fact := func(name string, value template.HTML) {
		if value != "" {
			s.Facts = append(s.Facts, mailFact{key("mail.fact." + name), value})
		}
	}
	if !d.At.IsZero() && err == nil {
		var when template.HTML
		when, err = w.moment(d.At)
		fact("when", when)
	}
	if !d.Until.IsZero() && err == nil {
		var until template.HTML
		until, err = w.moment(d.Until)
		fact("until", until)
	}
	fact("browser", template.HTML(escaped(w.apart(w.called(d.Browser)))))
	if d.Place != "" {
		values = append(values, "Place", d.Place)
		fact("place", key("mail.about"))
	}
	if d.Network.IsValid() {
		fact("network", template.HTML(d.Network.String()))
	}
	s.Do, s.LinkNote, s.NotYou = say("do"), say("link_note"), say("not_you")
	if s.Why = say("why"); s.Why == "" {
		s.Why = key("mail.why")
	}
	return s, err
}

// plainText is a text of the catalogue as it was before it was escaped.
func plainText(text template.HTML) string { return html.UnescapeString(string(text)) }

// text writes the same as the layout does.
func (s *mailShape) text() string {
	var out []string
	add := func(paragraph string) {
		if paragraph != "" {
			out = append(out, wrapped(paragraph))
		}
	}
	add(plainText(s.Title))
	for _, p := range s.Lead {
		add(plainText(p))
	}
	var facts []string
	for _, f := range s.Facts {
		facts = append(facts, "  "+plainText(f.Name)+": "+plainText(f.Value))
	}
	if len(facts) > 0 {
		out = append(out, strings.Join(facts, "\n"))
	}
	if s.Link != "" {
		add(plainText(s.Do))
		out = append(out, s.Link) // on a line of its own, and never broken
		add(plainText(s.LinkNote))
	}
	add(plainText(s.NotYou))
	out = append(out, "-- \n"+wrapped(plainText(s.Why)))
	return strings.Join(out, "\n\n") + "\n"
}

// wrapped breaks lines as mails have them (RFC 5322 section 2.1.1).
func wrapped(text string) string {
	const width = 72
	var out strings.Builder
	n := 0
	for _, word := range strings.Fields(text) {
		switch l := utf8.RuneCountInString(word); {
		case n == 0:
			n = l
		case n+1+l > width:
			out.WriteByte('\n')
			n = l
		default:
			out.WriteByte(' ')
			n += 1 + l
		}
		out.WriteString(word)
	}
	return out.String()
}
