package testnode

import (
	"crypto/sha256"
	"net"
	"net/mail"
	"testing"
	"time"

	"github.com/exeunt/exeunt/internal/mailbox"
	"github.com/exeunt/exeunt/internal/notify"
	"github.com/exeunt/exeunt/internal/ui"
)

// mails makes what sends mails: to a real server on loopback, if the options want one.
func mails(t testing.TB, o Options, n *Node) *notify.Service {
	t.Helper()
	if !o.Mails {
		return nil
	}
	u, err := ui.New()
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	n.Mailbox = mailbox.New()
	served := make(chan error, 1)
	go func() { served <- n.Mailbox.Serve(l) }()
	t.Cleanup(func() { n.Mailbox.Close(); <-served })
	m := master(t)
	s := notify.New(notify.Config{Store: n.Store, UI: u, Seal: m.Seal, Open: m.Open, Site: Issuer, Now: n.Now, Log: n.Log,
		Sum: func(text string) [32]byte { return sha256.Sum256([]byte(text)) },
		Server: &notify.Server{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Plain: true,
			From: mail.Address{Address: "no-reply@example.com"}}})
	inBackground(t, s.Run)
	return s
}

// Mail waits for the mail to that address that is number n, counted from 1, and returns it.
func (n *Node) Mail(t testing.TB, to string, number int) mailbox.Message {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		list := n.Mailbox.Messages()
		for i, left := len(list)-1, number; i >= 0; i-- {
			if list[i].To != to {
				continue
			}
			if left--; left == 0 {
				return list[i]
			}
		}
	}
	t.Fatalf("waited %v for mail %d to %s", patience, number, to)
	return mailbox.Message{}
}
