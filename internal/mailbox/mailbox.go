// Package mailbox is a mail server that keeps what it is sent in memory and shows it on a page, for the demo and for
// tests.
//
// It owns how mails are received, taken apart and shown. It passes none on, keeps a bounded number, and knows nothing
// of what they are about.
package mailbox

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Limits of what is kept.
const (
	maxMessages  = 200
	maxMessage   = 1 << 20
	maxRecipient = 10
	maxLinks     = 50
)

// Message is a mail that was received.
type Message struct {
	ID      string    `json:"id"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
	Links   []string  `json:"links"` // in the text, in order
	At      time.Time `json:"at"`

	MessageID string         `json:"message_id"`
	Header    netmail.Header `json:"-"`
}

// Box is a mailbox for any address. It is safe for concurrent use. Call Serve.
type Box struct {
	// Received, if not nil, is called with each mail before it is accepted. An error refuses it: a *smtp.SMTPError has
	// its answer.
	Received func(Message) error
	// User and Password, if not "", must be given.
	User, Password string
	Server         *smtp.Server // for its TLSConfig, before Serve

	mu   sync.Mutex
	list []Message // oldest first
	last int
}

// New returns an empty mailbox.
func New() *Box {
	b := &Box{}
	b.Server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{box: b}, nil }))
	b.Server.Domain, b.Server.MaxMessageBytes, b.Server.MaxRecipients = "localhost", maxMessage, maxRecipient
	b.Server.ReadTimeout, b.Server.WriteTimeout = time.Minute, time.Minute
	b.Server.ErrorLog = log.New(io.Discard, "", 0)
	return b
}

// Serve receives mails by SMTP until Close.
func (b *Box) Serve(l net.Listener) error {
	if err := b.Server.Serve(l); !errors.Is(err, smtp.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends Serve and its connections.
func (b *Box) Close() error {
	if err := b.Server.Close(); !errors.Is(err, smtp.ErrServerClosed) {
		return err
	}
	return nil
}

// Messages returns the mails, latest first.
func (b *Box) Messages() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := append([]Message{}, b.list...)
	slices.Reverse(out)
	return out
}

// Clear deletes all mails.
func (b *Box) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = nil
}

func (b *Box) find(id string) (Message, bool) {
	for _, m := range b.Messages() {
		if m.ID == id {
			return m, true
		}
	}
	return Message{}, false
}

func (b *Box) receive(m Message) error {
	if b.Received != nil {
		if err := b.Received(m); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	m.ID = strconv.Itoa(b.last)
	if b.list = append(b.list, m); len(b.list) > maxMessages {
		b.list = slices.Delete(b.list, 0, len(b.list)-maxMessages)
	}
	return nil
}

// session is an SMTP connection.
type session struct {
	box    *Box
	signed bool // in
	from   string
	to     []string
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) AuthMechanisms() []string {
	if s.box.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.box.User || password != s.box.Password {
			return smtp.ErrAuthFailed
		}
		s.signed = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.box.User != "" && !s.signed {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Sign in first"}
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := parse(raw)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Not a readable mail"}
	}
	m.To, m.At = strings.Join(s.to, ", "), time.Now()
	if m.From == "" {
		m.From = s.from
	}
	return s.box.receive(m)
}

// parse takes a mail apart.
func parse(raw []byte) (m Message, err error) {
	in, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return m, err
	}
	m.Header, m.From = in.Header, decoded(in.Header.Get("From"))
	m.Subject, m.MessageID = decoded(in.Header.Get("Subject")), in.Header.Get("Message-Id")
	if err := m.part(in.Header.Get("Content-Type"), in.Header.Get("Content-Transfer-Encoding"), in.Body, 0); err != nil {
		return m, err
	}
	m.Links = links(m.Text)
	return m, nil
}

func decoded(header string) string {
	if text, err := new(mime.WordDecoder).DecodeHeader(header); err == nil {
		return text
	}
	return header
}

// part reads a part of a mail and those within it.
func (m *Message) part(contentType, encoding string, body io.Reader, depth int) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") && depth < 5 {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err == nil {
				err = m.part(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p, depth+1)
			}
			if err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	switch {
	case err != nil:
		return err
	case kind == "text/plain" && m.Text == "":
		m.Text = strings.ReplaceAll(string(text), "\r\n", "\n")
	case kind == "text/html" && m.HTML == "":
		m.HTML = strings.ReplaceAll(string(text), "\r\n", "\n")
	}
	return nil
}

var address = regexp.MustCompile(`https?://[^\s<>"]+`)

func links(text string) []string {
	out := []string{}
	for _, link := range address.FindAllString(text, maxLinks) {
		if link = strings.TrimRight(link, ".,;:!?)"); !slices.Contains(out, link) {
			out = append(out, link)
		}
	}
	return out
}
