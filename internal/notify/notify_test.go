package notify_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	_ "modernc.org/sqlite"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/mailbox"
	"github.com/exeunt/exeunt/internal/notify"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
	"github.com/exeunt/exeunt/internal/ui"
)

func TestMain(m *testing.M) { testpg.Main(m) }

const (
	link = testnode.Issuer + "/reset/exl_SECRETSECRETSECRET"
	to   = "ada@example.com"
)

// inbox is a mail server on loopback that says when a mail has come.
type inbox struct {
	*mailbox.Box
	l    net.Listener
	came chan mailbox.Message
}

// newInbox starts a server. Each mail is answered by answer, if that is not nil.
func newInbox(t *testing.T, set func(*inbox), answer func(n int) error) *inbox {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b := &inbox{Box: mailbox.New(), l: l, came: make(chan mailbox.Message, 100)}
	var mu sync.Mutex
	n := 0
	b.Received = func(m mailbox.Message) error {
		mu.Lock()
		defer mu.Unlock()
		b.came <- m
		n++
		if answer == nil {
			return nil
		}
		return answer(n - 1)
	}
	if set != nil {
		set(b)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(b.l) }()
	t.Cleanup(func() { b.Close(); <-served })
	return b
}

func (b *inbox) server() *notify.Server {
	a := b.l.Addr().(*net.TCPAddr)
	return &notify.Server{Host: "127.0.0.1", Port: a.Port, Plain: true,
		From: mail.Address{Name: "Exeunt Ω", Address: "no-reply@example.com"}}
}

// certificate is one for 127.0.0.1, and whom to trust for it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, roots
}

// service is one of a node, with a clock that can be moved.
func service(t *testing.T, n *testnode.Node, v *notify.Server, set func(*notify.Config)) *notify.Service {
	t.Helper()
	u, err := ui.New()
	must(t, err)
	m, err := keys.ParseMaster(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	must(t, err)
	c := notify.Config{Store: n.Store, UI: u, Seal: m.Seal, Open: m.Open, Site: testnode.Issuer, Server: v, Now: n.Now,
		Sum: func(text string) [32]byte { return sha256.Sum256([]byte(text)) }, Log: slog.New(slog.DiscardHandler)}
	if set != nil {
		set(&c)
	}
	return notify.New(c)
}

func run(t *testing.T, s *notify.Service) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

// later moves the clock beyond a moment. The service starts again, so that it looks at once.
func later(t *testing.T, n *testnode.Node, s *notify.Service, stop func(), until time.Time) (stopAgain func()) {
	stop()
	n.Clock.Pass(until.Sub(n.Now()) + time.Second)
	return run(t, s)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func reset(account exeunt.AccountID) notify.Message {
	return notify.Message{Account: account, To: to, Template: ui.MailPasswordReset,
		Data: ui.MailData{Handle: "ada", Link: link, Life: 30 * time.Minute}}
}

// settled waits until no mail is pending, or f is true of the one there is.
func settled(t *testing.T, s *notify.Service, f func(notify.Queued) bool) notify.Queued {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		p, err := s.Mails(t.Context(), exeunt.MailFilter{})
		must(t, err)
		if len(p.Items) == 1 && f(p.Items[0]) {
			return p.Items[0]
		}
	}
	p, _ := s.Mails(t.Context(), exeunt.MailFilter{})
	t.Fatalf("not in two minutes: %+v", p.Items)
	return notify.Queued{}
}

func in(state exeunt.MailState) func(notify.Queued) bool {
	return func(q notify.Queued) bool { return q.State == state }
}

func failed(q notify.Queued) bool { return q.State == exeunt.MailPending && q.Error != "" }

// Over each kind of connection a mail arrives once, as good mailers write it.
func TestAMailArrives(t *testing.T) {
	serverTLS, roots := certificate(t)
	withPassword := func(b *inbox) { b.User, b.Password = "exeunt", "hunter2" }
	for name, how := range map[string]struct {
		set    func(*inbox)
		client func(*notify.Server)
	}{
		"starttls": {func(b *inbox) { b.Server.TLSConfig = serverTLS }, func(v *notify.Server) { v.Plain = false }},
		"tls": {func(b *inbox) { b.l = tls.NewListener(b.l, serverTLS) },
			func(v *notify.Server) { v.Plain, v.TLS = false, true }},
		"starttls, signed in": {func(b *inbox) { b.Server.TLSConfig = serverTLS; withPassword(b) },
			func(v *notify.Server) { v.Plain, v.User, v.Password = false, "exeunt", "hunter2" }},
		"on this machine": {nil, func(*notify.Server) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newInbox(t, how.set, nil)
			n := testnode.New(t, testnode.Options{})
			v := b.server()
			how.client(v)
			s := service(t, n, v, func(c *notify.Config) { c.Roots = roots })
			run(t, s)
			must(t, s.Queue(t.Context(), reset(exeunt.NewAccountID())))
			m := <-b.came
			q := settled(t, s, in(exeunt.MailSent))
			if q.To != "" || q.Attempts != 1 {
				t.Errorf("afterwards it is %+v", q)
			}
			if m.To != to || m.Subject != "Set a new password on id.example.com" || len(m.Links) != 1 || m.Links[0] != link ||
				!strings.Contains(m.HTML, link) || !strings.Contains(m.From, "Exeunt Ω") {
				t.Errorf("it is %+v", m)
			}
			for name, want := range map[string]string{"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All",
				"Message-Id": "<" + q.ID.String() + "@example.com>", "List-Id": "<account.id.example.com>", "User-Agent": ""} {
				if got := m.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if date, err := m.Header.Date(); err != nil || date.Unix() != q.Created.Unix() {
				t.Errorf("its date is %v, %v", date, err)
			}
		})
	}
}

// Nothing is sent to a server whose certificate is not trusted, nor without TLS where it is asked for, nor without the
// password; the mail waits, and an operator reads why.
func TestAServerThatIsNotTrusted(t *testing.T) {
	serverTLS, roots := certificate(t)
	for name, how := range map[string]struct {
		set   func(*inbox)
		serve func(*notify.Server)
		roots *x509.CertPool
		why   string
	}{
		"an unknown certificate": {func(b *inbox) { b.Server.TLSConfig = serverTLS }, func(*notify.Server) {},
			x509.NewCertPool(), "certificate is not valid"},
		"an unknown certificate at once": {func(b *inbox) { b.l = tls.NewListener(b.l, serverTLS) },
			func(v *notify.Server) { v.TLS = true }, x509.NewCertPool(), "certificate is not valid"},
		"a certificate of another name": {func(b *inbox) { b.Server.TLSConfig = serverTLS },
			func(v *notify.Server) { v.Host = "localhost" }, roots, "certificate is not valid"},
		"no STARTTLS": {nil, func(*notify.Server) {}, roots, "does not support STARTTLS"},
		"a wrong password": {func(b *inbox) { b.Server.TLSConfig, b.User, b.Password = serverTLS, "exeunt", "other" },
			func(v *notify.Server) { v.User, v.Password = "exeunt", "hunter2" }, roots, "Authentication failed"},
		"no password": {func(b *inbox) { b.Server.TLSConfig, b.User, b.Password = serverTLS, "exeunt", "other" },
			func(*notify.Server) {}, roots, "Sign in first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newInbox(t, how.set, nil)
			n := testnode.New(t, testnode.Options{})
			v := b.server()
			v.Plain = false
			how.serve(v)
			s := service(t, n, v, func(c *notify.Config) { c.Roots = how.roots })
			run(t, s)
			must(t, s.Queue(t.Context(), reset(exeunt.NewAccountID())))
			q := settled(t, s, failed)
			if !strings.Contains(q.Error, how.why) || strings.Contains(q.Error, to) || strings.Contains(q.Error, "hunter2") {
				t.Errorf("an operator reads %q", q.Error)
			}
			if len(b.came) > 0 {
				t.Error("the mail was sent")
			}
		})
	}
}

// A server that is busy is asked again, later and later; the repetition has the same Message-ID. One that refuses is not.
func TestAnswersOfAServer(t *testing.T) {
	busy := func(n int) error {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: fmt.Sprintf("Busy (%d)", n)}
	}
	// met is that attempt n has that outcome, and is not under way.
	met := func(n int) func(notify.Queued) bool {
		return func(q notify.Queued) bool { return strings.Contains(q.Error, fmt.Sprintf("Busy (%d)", n)) }
	}
	no := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}
	t.Run("busy", func(t *testing.T) {
		b := newInbox(t, nil, func(n int) error {
			if n < 3 {
				return busy(n)
			}
			return nil
		})
		n := testnode.New(t, testnode.Options{})
		s := service(t, n, b.server(), nil)
		stop := run(t, s)
		must(t, s.Queue(t.Context(), reset(exeunt.NewAccountID())))
		ids := map[string]int{}
		var last time.Duration
		for attempt := range 4 {
			ids[(<-b.came).MessageID]++
			if attempt == 3 {
				break
			}
			q := settled(t, s, met(attempt))
			if !strings.Contains(q.Error, "451") || strings.Contains(q.Error, to) {
				t.Errorf("an operator reads %q", q.Error)
			}
			pause := q.Due.Sub(n.Now())
			if pause <= last/2 {
				t.Errorf("the pause after attempt %d is %v, after %v", attempt+1, pause, last)
			}
			last = pause
			stop = later(t, n, s, stop, q.Due)
		}
		if settled(t, s, in(exeunt.MailSent)); len(ids) != 1 {
			t.Errorf("the attempts have %d Message-IDs", len(ids))
		}
	})
	t.Run("refused", func(t *testing.T) {
		b := newInbox(t, nil, func(n int) error {
			if n == 0 {
				return no
			}
			return nil
		})
		n := testnode.New(t, testnode.Options{})
		s := service(t, n, b.server(), nil)
		run(t, s)
		must(t, s.Queue(t.Context(), reset(exeunt.NewAccountID())))
		q := settled(t, s, in(exeunt.MailRefused))
		if !strings.Contains(q.Error, "No such user") || q.To != to {
			t.Errorf("an operator reads %+v", q)
		}
		if totals, err := s.Totals(t.Context()); err != nil || totals.Failed.Count != 1 || totals.Pending.Count != 0 {
			t.Errorf("totals: %+v, %v", totals, err)
		}
		must(t, s.Retry(t.Context(), q.ID)) // an operator has made the address
		settled(t, s, in(exeunt.MailSent))
	})
	t.Run("never", func(t *testing.T) { // until a day is over
		b := newInbox(t, nil, busy)
		n := testnode.New(t, testnode.Options{})
		s := service(t, n, b.server(), nil)
		stop := run(t, s)
		m := reset(exeunt.NewAccountID())
		m.Until = n.Now().Add(30 * time.Minute)
		must(t, s.Queue(t.Context(), m))
		for i := 0; ; i++ {
			q := settled(t, s, met(i))
			if q.State == exeunt.MailGaveUp {
				if q.Finished.After(m.Until) || q.Attempts < 4 {
					t.Errorf("it was given up: %+v", q)
				}
				return
			}
			stop = later(t, n, s, stop, q.Due)
		}
	})
}

// A server that never answers, or goes away in the middle of a mail, holds up an attempt for as long as that may take
// and no longer. The mail is sent once the server is well.
func TestAServerThatHangs(t *testing.T) {
	for name, talk := range map[string]func(net.Conn){
		"silent": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"gone": func(c net.Conn) {
			fmt.Fprint(c, "220 here\r\n")
			buf := make([]byte, 4096)
			for said := ""; !strings.Contains(said, "DATA"); {
				k, err := c.Read(buf)
				if err != nil {
					return
				}
				if said = string(buf[:k]); strings.Contains(said, "DATA") {
					fmt.Fprint(c, "354 go on\r\n")
				} else {
					fmt.Fprint(c, "250 ok\r\n")
				}
			}
			_, _ = c.Read(buf[:100])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					c, err := bad.Accept()
					if err != nil {
						return
					}
					talk(c)
					c.Close()
				}
			}()
			n := testnode.New(t, testnode.Options{})
			b := newInbox(t, nil, nil)
			v := b.server()
			good := v.Port
			v.Port = bad.Addr().(*net.TCPAddr).Port
			s := service(t, n, v, func(c *notify.Config) { c.Patience = 300 * time.Millisecond })
			stop := run(t, s)
			must(t, s.Queue(t.Context(), reset(exeunt.NewAccountID())))
			q := settled(t, s, failed)
			stop()
			bad.Close()
			<-done
			v.Port = good
			later(t, n, service(t, n, v, nil), stop, q.Due)
			<-b.came
			settled(t, s, in(exeunt.MailSent))
		})
	}
}

// Nothing in the database tells the link or the address, neither while the mail waits nor afterwards.
func TestADumpHasNoLink(t *testing.T) {
	b := newInbox(t, nil, nil)
	n := testnode.New(t, testnode.Options{})
	s := service(t, n, b.server(), nil)
	must(t, s.Queue(t.Context(), reset(exeunt.NewAccountID())))
	q := settled(t, s, in(exeunt.MailPending))
	if q.To != to || q.Handle != "ada" {
		t.Errorf("an operator sees %+v", q)
	}
	db, err := sql.Open("sqlite", "file:"+n.Path)
	must(t, err)
	defer db.Close()
	dump := func() (out string) {
		rows, err := db.Query(`SELECT * FROM mails`)
		must(t, err)
		defer rows.Close()
		for rows.Next() {
			values := make([]any, 12)
			dest := make([]any, 12)
			for i := range values {
				dest[i] = &values[i]
			}
			must(t, rows.Scan(dest...))
			for _, v := range values {
				if b, is := v.([]byte); is {
					v = string(bytes.Clone(b))
				}
				out += fmt.Sprint(v) + "\n"
			}
		}
		return out
	}
	check := func() {
		t.Helper()
		text := dump()
		if !strings.Contains(text, "password_reset") {
			t.Fatalf("the dump is %q", text)
		}
		for _, secret := range []string{"SECRET", "/reset/", "ada", "example.com"} {
			if strings.Contains(text, secret) {
				t.Errorf("the dump has %q", secret)
			}
		}
	}
	check()
	// In another row it cannot be opened.
	other := reset(exeunt.NewAccountID())
	must(t, s.Queue(t.Context(), other))
	_, err = db.Exec(`UPDATE mails SET sealed = (SELECT sealed FROM mails WHERE id = $1) WHERE id <> $1`, q.ID.Bytes())
	must(t, err)
	p, err := s.Mails(t.Context(), exeunt.MailFilter{})
	must(t, err)
	for _, m := range p.Items {
		if (m.ID == q.ID) != (m.To == to) {
			t.Errorf("after another row got what was sealed: %+v", m)
		}
	}
	_, err = db.Exec(`DELETE FROM mails WHERE id <> $1`, q.ID.Bytes())
	must(t, err)
	run(t, s)
	settled(t, s, in(exeunt.MailSent))
	check()
}

// Two nodes on one server send each mail once.
func TestTwoNodesSendOnce(t *testing.T) {
	url := testpg.NewDatabase(t)
	b := newInbox(t, nil, nil)
	var list []*notify.Service
	for range 2 {
		s := service(t, testnode.New(t, testnode.Options{Database: url}), b.server(), nil)
		list = append(list, s)
		run(t, s)
	}
	const each = 20
	for i := range each {
		for _, s := range list {
			m := notify.Message{To: fmt.Sprintf("p%d@example.com", i), Template: ui.MailTest}
			must(t, s.Queue(t.Context(), m))
		}
	}
	seen := map[string]int{}
	for range 2 * each {
		seen[(<-b.came).MessageID]++
	}
	for {
		n, err := list[0].Store.CountMails(t.Context(), exeunt.MailSent)
		must(t, err)
		if n.Count == 2*each {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if len(seen) != 2*each || len(b.came) > 0 {
		t.Errorf("%d different mails, and %d more", len(seen), len(b.came))
	}
}

// Without a mail server nothing is queued.
func TestWithoutAServer(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	s := service(t, n, nil, nil)
	if s.Enabled() || (*notify.Service)(nil).Enabled() {
		t.Error("enabled without a server")
	}
	must(t, s.Queue(t.Context(), reset(exeunt.NewAccountID())))
	if _, err := s.Test(t.Context(), to); err != notify.ErrNoServer {
		t.Errorf("a test: %v", err)
	}
	p, err := s.Mails(t.Context(), exeunt.MailFilter{})
	if err != nil || len(p.Items) > 0 {
		t.Errorf("queued: %+v, %v", p, err)
	}
}
