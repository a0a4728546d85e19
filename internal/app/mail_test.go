package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/mailbox"
	"github.com/exeunt/exeunt/internal/notify"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/ui"
)

// mailsUntilKilled is, in the environment, the port of the mail server of a program that queues mails until it is
// killed.
const mailsUntilKilled = "EXEUNT_TEST_KILLED_MAILS"

func smtpAt(port string) config.SMTP {
	n, _ := strconv.Atoi(port)
	return config.SMTP{Host: "127.0.0.1", Port: n, TLS: config.SMTPPlain, From: "no-reply@example.com"}
}

// mailUntilKilled says "queued ADDRESS" for each mail that is on disk.
func mailUntilKilled(ctx context.Context, n *Node) error {
	failed := make(chan error)
	var out sync.Mutex
	for range 3 {
		go func() {
			for {
				to := strings.ToLower(rand.Text()) + "@example.com"
				if err := n.Notify.Queue(ctx, notify.Message{To: to, Template: ui.MailTest}); err != nil {
					failed <- err
					return
				}
				out.Lock()
				fmt.Println("queued", to)
				out.Unlock()
			}
		}()
	}
	return <-failed
}

// mails is a mail server on loopback.
type mails struct {
	*mailbox.Box
	port string

	mu   sync.Mutex
	seen int
	got  map[string][]string // the Message-IDs that an address got and that were accepted
}

func newMails(t *testing.T, answer func(n int) error) *mails {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	m := &mails{Box: mailbox.New(), got: map[string][]string{}}
	_, m.port, _ = net.SplitHostPort(l.Addr().String())
	m.Received = func(v mailbox.Message) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.seen++
		if err := answer(m.seen); err != nil {
			return err
		}
		m.got[v.To] = append(m.got[v.To], v.MessageID)
		return nil
	}
	served := make(chan error, 1)
	go func() { served <- m.Serve(l) }()
	t.Cleanup(func() { m.Close(); <-served })
	return m
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in two minutes: %s", what)
		}
	}
}

// A node is killed again and again while it queues mails and sends them: between the two and in the middle of either.
// Each mail that was on disk arrives, once or repeated with the same Message-ID.
func TestKilledWhileMailing(t *testing.T) {
	c := site(t)
	var calm bool
	m := newMails(t, func(n int) error {
		if !calm && n%7 == 0 {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Busy"}
		}
		return nil
	})
	queued := map[string]bool{}
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		n := 0
		killOn(t, c, func(line string) bool {
			to, ok := strings.CutPrefix(line, "queued ")
			queued[to] = ok
			n++
			return n == 5+round*4
		}, mailsUntilKilled+"="+m.port)
	}
	m.mu.Lock()
	calm = true
	lost := 0
	for to := range queued {
		if len(m.got[to]) == 0 {
			lost++
		}
	}
	m.mu.Unlock()
	if lost == 0 {
		t.Error("every mail had been sent: no kill came between")
	}
	c.SMTP = smtpAt(m.port)
	n, err := New(context.Background(), c, Options{Log: slog.New(slog.DiscardHandler),
		Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1},
		Now:     func() time.Time { return time.Now().Add(time.Hour) }}) // when every lease and pause is over
	must(t, err)
	defer n.Close()
	eventually(t, "every mail to be sent", func() bool {
		totals, err := n.Notify.Totals(t.Context())
		must(t, err)
		if totals.Failed.Count > 0 {
			t.Fatalf("%d failed", totals.Failed.Count)
		}
		return totals.Pending.Count == 0
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	for to := range queued {
		got := m.got[to]
		if len(got) == 0 {
			t.Errorf("the mail to %s is lost", to)
			continue
		}
		for _, id := range got {
			if id != got[0] {
				t.Errorf("%s got different mails: %v", to, got)
			}
		}
	}
	t.Logf("%d mails, %d of them unsent at the last kill", len(queued), lost)
}

// A new password is told to the account's confirmed address, whether its owner changed it or a link did, and to no
// address that nobody has confirmed. Without a mail server nothing is queued, and the node says so once.
func TestANewPasswordIsTold(t *testing.T) {
	m := newMails(t, func(int) error { return nil })
	c := config.Default()
	c.Addr, c.URL, c.Development = "127.0.0.1:0", "http://exeunt.localhost", true
	c.Data = filepath.Join(t.TempDir(), "node")
	c.SMTP = smtpAt(m.port)
	r, said := startLoud(t, c)
	ctx := t.Context()
	const p = "ada@example.com"
	_, err := r.Accounts.AddAccount(ctx, exeunt.Actor{Kind: exeunt.ActorOperator},
		account.NewAccount{Handle: "ada", Password: adasPassword, Email: p}, false)
	must(t, err)
	ada, err := r.Authority.AccountByHandle(ctx, "ada")
	must(t, err)
	change := func(from, to string) {
		t.Helper()
		proof, err := signin.Proof(r.SignIn.Password(ctx, "ada", from, netip.Addr{}))
		must(t, err)
		token, s, err := r.Authority.Start(ctx, authority.SignIn{Proof: proof, Kind: exeunt.KindKept})
		must(t, err)
		by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: ada.ID, Session: s.ID}
		_, _, err = r.Accounts.ChangePassword(ctx, by, token, rand.Text(), to,
			func(context.Context) (exeunt.Proof, error) { return proof, nil })
		must(t, err)
	}
	queued := func() []notify.Queued {
		t.Helper()
		p, err := r.Notify.Mails(ctx, exeunt.MailFilter{})
		must(t, err)
		return p.Items
	}
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "test"}
	change(adasPassword, "a first new password 1")
	if list := queued(); len(list) > 0 {
		t.Errorf("told to an address that nobody has confirmed: %+v", list)
	}
	_, err = r.Accounts.ConfirmEmail(ctx, operator, ada.ID, p)
	must(t, err)
	change("a first new password 1", "a second new password 2")
	link, err := r.Accounts.OfferReset(ctx, operator, ada)
	must(t, err)
	_, err = r.Accounts.Reset(ctx, link, "a third new password 3", netip.Addr{})
	must(t, err)
	eventually(t, "both mails", func() bool { return len(m.Messages()) == 2 })
	for _, v := range m.Messages() {
		if v.To != p || !strings.Contains(v.Subject, "password") || !strings.Contains(v.Text, "@ada") {
			t.Errorf("told: %+v", v)
		}
	}
	if strings.Contains(said.String(), "no mail server") {
		t.Error("it says that there is no mail server")
	}
	r.stop()
	c.SMTP = config.SMTP{TLS: config.SMTPStartTLS}
	r, said = startLoud(t, c)
	change("a third new password 3", "a fourth new password 4")
	if list := queued(); len(list) != 2 {
		t.Errorf("without a mail server it is queued: %+v", list)
	}
	if n := bytes.Count(said.Bytes(), []byte("no mail server is configured")); n != 1 {
		t.Errorf("that there is none is said %d times", n)
	}
}
