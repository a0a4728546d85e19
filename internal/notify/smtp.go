package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	netmail "net/mail"
	"net/url"
	"strings"

	"github.com/wneessen/go-mail"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
)

// message is the mail as the server gets it. Two attempts have the same Message-ID and Date, so that whoever gets both
// can tell that they are one (RFC 5322 section 3.6.4).
func (s *Service) message(m *exeunt.Mail, to string, text ui.MailText) (*mail.Msg, error) {
	out := mail.NewMsg(mail.WithNoDefaultUserAgent())
	out.FromMailAddress(&netmail.Address{Name: s.Server.From.Name, Address: s.Server.From.Address})
	if err := out.To(to); err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(s.Server.From.Address, "@")
	out.SetMessageIDWithValue(m.ID.String() + "@" + domain)
	out.SetDateWithValue(m.Created)
	out.Subject(text.Subject)
	// Nobody's absence notice answers it (RFC 3834 section 5, and what Exchange reads instead).
	out.SetGenHeader("Auto-Submitted", "auto-generated")
	out.SetGenHeader("X-Auto-Response-Suppress", "All")
	if site, err := url.Parse(s.Site); err == nil { // people sort by it (RFC 2919)
		out.SetGenHeaderPreformatted("List-Id", "<account."+site.Hostname()+">")
	}
	out.SetBodyString(mail.TypeTextPlain, text.Text)
	out.AddAlternativeString(mail.TypeTextHTML, text.HTML)
	return out, nil
}

// deliver hands a mail to the server, before ctx is done.
func (s *Service) deliver(ctx context.Context, m *exeunt.Mail, to string, text ui.MailText) outcome {
	msg, err := s.message(m, to, text)
	if err != nil {
		return outcome{final: true, err: "the address cannot be written to"}
	}
	c, err := s.client(ctx)
	if err != nil {
		return outcome{err: why(err), away: true}
	}
	conn, err := c.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return outcome{err: why(err), away: true}
	}
	err = c.SendWithSMTPClient(conn, msg)
	if msg.IsDelivered() {
		_ = c.CloseWithSMTPClient(conn) // it has the mail
		return outcome{sent: true}
	}
	var sent *mail.SendError
	if !errors.As(err, &sent) || sent.ErrorCode() == 0 {
		_ = conn.Close() // without QUIT: half a mail must not look like a whole one
		return outcome{err: why(err), away: true}
	}
	_ = c.CloseWithSMTPClient(conn)
	return outcome{final: refusal(sent.ErrorCode()), err: answerOf(err)}
}

// Reach connects to the mail server and signs in there, as for a mail. Its error is what mails meet.
func (s *Service) Reach(ctx context.Context) error {
	if !s.Enabled() {
		return ErrNoServer
	}
	c, err := s.client(ctx)
	if err != nil {
		return errors.New(why(err))
	}
	conn, err := c.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return errors.New(why(err))
	}
	_ = c.CloseWithSMTPClient(conn) // nothing was sent
	return nil
}

// refusal reports whether an answer is final. One that asks for another way to sign in is not: whoever runs the site can
// put that right (RFC 4954 section 6).
func refusal(code int) bool {
	switch code {
	case 530, 534, 535, 538:
		return false
	}
	return code >= 500
}

// answerOf is what the server answered, without our words around it, which name the address.
func answerOf(err error) string {
	var sent *mail.SendError
	if !errors.As(err, &sent) {
		return err.Error()
	}
	text := sent.Error()
	if i := strings.Index(text, ", affected "); i >= 0 {
		text = text[:i]
	}
	return text
}

// why says what keeps us from using the server, and for the usual mistakes what would be right.
func why(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	switch {
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &host):
		return "the mail server's certificate is not valid, so nothing is sent to it: " + err.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, net.ErrClosed):
		return "the mail server did not answer in time"
	}
	return answerOf(err)
}

// client is for one attempt. Its connection is cut off when ctx is done.
func (s *Service) client(ctx context.Context) (*mail.Client, error) {
	v := s.Server
	config := &tls.Config{ServerName: v.Host, MinVersion: tls.VersionTLS12, RootCAs: s.Roots}
	policy := mail.TLSMandatory
	if v.Plain || v.TLS {
		policy = mail.NoTLS
	}
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		var conn net.Conn
		var err error
		if v.TLS {
			conn, err = (&tls.Dialer{Config: config}).DialContext(dialing, network, address)
		} else {
			conn, err = new(net.Dialer).DialContext(dialing, network, address)
		}
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	}
	options := []mail.Option{mail.WithPort(v.Port), mail.WithTimeout(s.Patience), mail.WithTLSPolicy(policy),
		mail.WithTLSConfig(config), mail.WithDialContextFunc(dial), mail.WithoutNoop()}
	if v.User != "" {
		ways := []mail.SMTPAuthType{mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin}
		if v.Plain { // to this machine
			ways = []mail.SMTPAuthType{mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlainNoEnc, mail.SMTPAuthLoginNoEnc}
		}
		options = append(options, mail.WithUsername(v.User), mail.WithPassword(string(v.Password)),
			mail.WithOpportunisticSMTPAuth(ways...))
	}
	return mail.NewClient(v.Host, options...)
}
