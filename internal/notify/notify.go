// Package notify sends mails to people.
//
// It owns the queue's work: sealing what a mail says, the attempts to send it, and what is told to operators. Mails are
// queued in the database, in the transaction of what they tell, so nothing is lost between; the mail server is reached
// by SMTP in the background, so no page waits for it. How a mail looks belongs to ui. What is told to whom belongs to
// the callers.
package notify

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"strings"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/ui"
)

// Server is the mail server that takes our mails.
type Server struct {
	Host string
	Port int
	// Plain is without TLS, and TLS from the first byte on. Otherwise the connection is raised to TLS, or not used.
	Plain, TLS bool
	User       string // "": without signing in
	Password   Password
	From       mail.Address
}

// Password is masked when it is printed.
type Password string

// String masks the password.
func (Password) String() string { return "…" }

// GoString masks the password.
func (Password) GoString() string { return "…" }

// Config is what a Service is made of. Without a Server nothing is sent.
type Config struct {
	Store *store.Store
	UI    *ui.UI
	// Seal encrypts and authenticates a text by a key that is not in the database, and Open opens it with the same
	// purpose.
	Seal func(purpose string, text []byte) ([]byte, error)
	Open func(purpose string, sealed []byte) ([]byte, error)
	// Sum is a keyed hash, which no dump of the database can be searched with.
	Sum    func(text string) [sha256.Size]byte
	Site   string // the authority's address
	Server *Server
	Now    func() time.Time
	Log    *slog.Logger

	Roots    *x509.CertPool // that the mail server's certificate must come from; nil: the system's
	Patience time.Duration  // how long an attempt may take; 0: two minutes (RFC 5321 section 4.5.3.2 has minutes)
}

// Service is safe for concurrent use. A nil one is not enabled. Call Run.
type Service struct {
	Config

	mu      sync.Mutex
	failing bool // the last attempt did not reach the server
}

// New returns a service.
func New(c Config) *Service {
	if c.Patience == 0 {
		c.Patience = 2 * time.Minute
	}
	return &Service{Config: c}
}

// Enabled reports whether mails can be sent. Otherwise pages do not offer what needs them.
func (s *Service) Enabled() bool { return s != nil && s.Server != nil }

// Message is a mail to one address.
type Message struct {
	Account  exeunt.AccountID // whom it is for; zero: a test
	To       string           // a plain address
	Locale   string           // the account's language, "" is English
	Template ui.MailTemplate
	Data     ui.MailData // its Site is filled in
	Until    time.Time   // when it is of no use any more, as a link in it; zero: after a day
}

// sealed is what is stored of a message, encrypted.
type sealed struct {
	To     string
	Locale string
	Data   ui.MailData
}

// Prepare seals messages, to be queued in the transaction of what they tell. There are none without a mail server. It
// refuses a message that could not be rendered.
func (s *Service) Prepare(list ...Message) (out []store.NewMail, err error) {
	if !s.Enabled() {
		return nil, nil
	}
	for _, m := range list {
		m.Data.Site = s.Site
		if _, err := s.UI.Mail(m.Locale, m.Template, m.Data); err != nil {
			return nil, err
		}
		text, err := json.Marshal(sealed{m.To, m.Locale, m.Data})
		if err != nil {
			return nil, err
		}
		n := store.NewMail{ID: exeunt.NewMailID(), Account: m.Account, Template: string(m.Template),
			Recipient: s.recipient(m.To), GiveUp: m.Until}
		if n.Sealed, err = s.Seal(purpose(n.ID, n.Account, n.Template), text); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// ForAccount is Prepare for a message about an account to its address, if that is confirmed: otherwise it may be
// somebody else's, and there is none.
func (s *Service) ForAccount(a exeunt.Account, template ui.MailTemplate, d ui.MailData) ([]store.NewMail, error) {
	if !a.EmailConfirmed || a.Email == "" {
		return nil, nil
	}
	d.Handle = a.Handle
	return s.Prepare(Message{Account: a.ID, To: a.Email, Locale: a.Language, Template: template, Data: d})
}

// Queue queues messages by themselves. Besides the store's errors it may return store.ErrManyMails.
func (s *Service) Queue(ctx context.Context, list ...Message) error {
	mails, err := s.Prepare(list...)
	if err != nil || len(mails) == 0 {
		return err
	}
	return s.Store.QueueMails(ctx, s.Now(), mails...)
}

// purpose binds what is sealed to its row: in another row it cannot be opened.
func purpose(id exeunt.MailID, account exeunt.AccountID, template string) string {
	return "mail " + id.String() + " " + account.String() + " " + template
}

// recipient is what mails to one address are counted by.
func (s *Service) recipient(address string) []byte {
	sum := s.Sum("mail " + strings.ToLower(address))
	return sum[:16]
}

func (s *Service) open(m *store.SealedMail) (v sealed, err error) {
	text, err := s.Open(purpose(m.ID, m.Account, m.Template), m.Sealed)
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	return v, err
}

// Queued is a mail as operators see it.
type Queued struct {
	exeunt.Mail
	To     string // "" once it was sent, or if the master key was replaced
	Handle string // of the account; "" for a test
}

// Mails lists mails.
func (s *Service) Mails(ctx context.Context, f exeunt.MailFilter) (p exeunt.Page[Queued], err error) {
	list, err := s.Store.Mails(ctx, f)
	p.Next = list.Next
	for i := range list.Items {
		p.Items = append(p.Items, s.queued(&list.Items[i]))
	}
	return p, err
}

// Mail returns one mail, or ErrNotFound.
func (s *Service) Mail(ctx context.Context, id exeunt.MailID) (Queued, error) {
	m, err := s.Store.Mail(ctx, id)
	if err != nil {
		return Queued{}, err
	}
	return s.queued(&m), nil
}

func (s *Service) queued(m *store.SealedMail) Queued {
	v, _ := s.open(m) // there is nothing left of a sent one
	return Queued{m.Mail, v.To, v.Data.Handle}
}

// Totals says how many mails are pending, and how many have failed in the last days.
func (s *Service) Totals(ctx context.Context) (t exeunt.MailTotals, err error) {
	if s == nil {
		return t, nil
	}
	if t.Pending, err = s.Store.CountMails(ctx, exeunt.MailPending); err == nil {
		t.Failed, err = s.Store.CountMails(ctx, exeunt.MailRefused, exeunt.MailGaveUp)
	}
	return t, err
}

// ErrNoServer says that no mail server is configured.
var ErrNoServer = &exeunt.Error{Code: "no_mail_server",
	Message: "no mail server is configured: set smtp.host and smtp.from, and start the node again"}

// Test queues a test to an address and returns its ID. It may return ErrNoServer and ErrBadRequest.
func (s *Service) Test(ctx context.Context, address string) (exeunt.MailID, error) {
	if !s.Enabled() {
		return exeunt.MailID{}, ErrNoServer
	}
	if a, err := mail.ParseAddress(address); err != nil || a.Address != address {
		return exeunt.MailID{}, fmt.Errorf("%q is no plain e-mail address like name@example.com: %w", address,
			exeunt.ErrBadRequest)
	}
	mails, err := s.Prepare(Message{To: address, Template: ui.MailTest})
	if err != nil {
		return exeunt.MailID{}, err
	}
	err = s.Store.QueueMails(ctx, s.Now(), mails...)
	if errors.Is(err, store.ErrManyMails) {
		err = &exeunt.ThrottledError{RetryAfter: time.Hour}
	}
	return mails[0].ID, err
}

// Retry makes a mail that has failed pending again. It may return ErrNoServer and ErrNotFound.
func (s *Service) Retry(ctx context.Context, id exeunt.MailID) error {
	if !s.Enabled() {
		return ErrNoServer
	}
	return s.Store.RetryMail(ctx, id, s.Now())
}
