package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/examples/chirp"
	"github.com/exeunt/exeunt/examples/gazette"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/mailbox"
)

// Options say where and how the demo runs.
type Options struct {
	Data    string
	Addr    string // of the authority, on loopback
	AppAddr string // of Chirp, on loopback
	// GazetteAddr is Gazette's address, on loopback.
	GazetteAddr string
	// MailboxAddr is the mailbox's address, on loopback.
	MailboxAddr string
	Policy      config.Policy
	SignUp      config.SignUp
	// Open opens a node.
	Open func(context.Context, config.Config, NodeOptions) (*Node, error)
	NodeOptions
	// Nodes is how many to run. Several need a PostgreSQL Database, which is empty or
	// was the demo's before.
	Nodes    int
	Database config.Secret

	masterKey string // shared by the nodes on one database
}

// Stage is the authority and two apps, open side by side: Chirp, which is written with our
// SDK, and Gazette, which is not. Beside them is a mailbox with all mails that they cause.
type Stage struct {
	ExeuntURL  string // the issuer too
	ChirpURL   string
	GazetteURL string
	MailboxURL string
	Node       *Node
	Chirp      *chirp.App

	opt     Options
	others  []extraNode
	exeunt  net.Listener
	chirp   sampleApp
	gazette sampleApp
	mailbox sampleMailbox
}

// sampleApp is an app of the stage.
type sampleApp struct {
	l      net.Listener
	secret exeunt.Token // its client_secret, new with each start
	server *http.Server
}

// sampleMailbox takes all mails, and shows them.
type sampleMailbox struct {
	box    *mailbox.Box
	smtp   net.Listener
	l      net.Listener
	server *http.Server
}

// The apps' client IDs, and Chirp's database in the data folder.
const (
	chirpID   = "chirp"
	gazetteID = "gazette"
	chirpFile = "chirp.db"
)

// App is an app of the stage, as it is registered.
type App struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	URL  string `json:"url"`
}

// Apps lists the apps.
func (s *Stage) Apps() []App {
	return []App{{chirpID, "Chirp", s.ChirpURL}, {gazetteID, "Gazette", s.GazetteURL}}
}

// Open opens all three on their addresses. Serve answers requests.
func Open(ctx context.Context, opt Options) (*Stage, error) {
	s := &Stage{opt: opt}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stage) open(ctx context.Context) (err error) {
	if s.exeunt, err = config.Listen(s.opt.Addr, "--addr"); err != nil {
		return err
	}
	if s.chirp, err = newSampleApp(s.opt.AppAddr, "--app-addr"); err != nil {
		return err
	}
	if s.gazette, err = newSampleApp(s.opt.GazetteAddr, "--gazette-addr"); err != nil {
		return err
	}
	if s.mailbox, err = newSampleMailbox(s.opt.MailboxAddr); err != nil {
		return err
	}
	for _, l := range []net.Listener{s.exeunt, s.chirp.l, s.gazette.l, s.mailbox.l} {
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			return fmt.Errorf("%s is not a loopback address: use one, since the demo has no TLS", l.Addr())
		}
	}
	s.ExeuntURL, s.ChirpURL = localURL("exeunt", s.exeunt), localURL("chirp", s.chirp.l)
	s.GazetteURL, s.MailboxURL = localURL("gazette", s.gazette.l), localURL("mailbox", s.mailbox.l)
	if s.Node, err = s.opt.Open(ctx, s.config(), s.opt.NodeOptions); err != nil {
		return err
	}
	if err := s.openOthers(ctx); err != nil {
		return err
	}
	s.Chirp, err = chirp.New(chirp.Config{
		Authority: s.ExeuntURL, URL: s.ChirpURL, ClientID: chirpID, Key: client.NewSecret(s.chirp.secret.Reveal()),
		Database: filepath.Join(s.opt.Data, chirpFile), Log: s.opt.Log, Now: s.opt.Now,
	})
	if err != nil {
		return err
	}
	s.chirp.server.Handler = s.Chirp
	s.chirp.server.RegisterOnShutdown(s.Chirp.Shutdown)
	s.gazette.server.Handler = gazette.New(gazette.Config{
		Issuer: s.ExeuntURL, URL: s.GazetteURL, ClientID: gazetteID, Secret: s.gazette.secret.Reveal(),
		HTTP: &http.Client{Timeout: 10 * time.Second, Transport: client.NewTransport()}, Log: s.opt.Log, Now: s.opt.Now,
	})
	return nil
}

func newSampleApp(addr, flag string) (sampleApp, error) {
	l, err := config.Listen(addr, flag)
	return sampleApp{l, exeunt.NewToken(exeunt.UseClient),
		&http.Server{ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second}}, err
}

func newSampleMailbox(addr string) (m sampleMailbox, err error) {
	if m.l, err = config.Listen(addr, "--mailbox-addr"); err != nil {
		return m, err
	}
	m.box = mailbox.New()
	m.server = &http.Server{Handler: m.box.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second}
	m.smtp, err = net.Listen("tcp", "127.0.0.1:0")
	return m, err
}

// config registers the apps: Chirp as our own, which learns who somebody is without asking
// them, and Gazette as anybody's, which asks and is told of sign-outs.
func (s *Stage) config() config.Config {
	c := stageConfig(s.opt, s.exeunt.Addr().String(), s.ExeuntURL)
	c.Clients = []config.Client{{
		ID: chirpID, Name: "Chirp", HomeURL: s.ChirpURL, RedirectURIs: []string{s.ChirpURL + "/exeunt/callback"},
		KeySHA256: []string{s.chirp.secret.Hash().String()}, FirstParty: true, Checked: true,
	}, {
		ID: gazetteID, Name: "Gazette", HomeURL: s.GazetteURL, RedirectURIs: []string{s.GazetteURL + "/callback"},
		KeySHA256: []string{s.gazette.secret.Hash().String()}, PostLogoutURIs: []string{s.GazetteURL + "/signed-out"},
		// By its number, because not every system resolves names below localhost.
		BackchannelURI: "http://" + s.gazette.l.Addr().String() + "/backchannel-logout",
	}}
	c.SMTP = config.SMTP{Host: "127.0.0.1", Port: s.mailbox.smtp.Addr().(*net.TCPAddr).Port, TLS: config.SMTPPlain,
		From: "no-reply@exeunt.localhost", FromName: "Exeunt"}
	return c
}

func stageConfig(opt Options, addr, exeuntURL string) config.Config {
	c := config.Default()
	c.Addr, c.URL, c.Data, c.Development = addr, exeuntURL, opt.Data, true
	c.SignUp = opt.SignUp
	if c.Database = opt.Database; c.Database != "" {
		c.MasterKey = config.Secret(opt.masterKey)
	}
	if opt.Policy.Kept.Idle != 0 {
		c.Policy = opt.Policy
	}
	return c
}

// localURL gives a listener a host of its own under .localhost: browsers separate the
// cookies of two hosts, but not those of two ports of one host.
func localURL(name string, l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String()) // a listener's address is well formed
	return "http://" + name + ".localhost:" + port
}

// Serve answers requests until ctx is done.
func (s *Stage) Serve(ctx context.Context) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	apps := []sampleApp{s.chirp, s.gazette}
	elsewhere := make([]error, len(apps)+len(s.others))
	wg.Go(func() { _ = s.mailbox.box.Serve(s.mailbox.smtp) }) // closed at the end
	wg.Go(func() { _ = s.mailbox.server.Serve(s.mailbox.l) })
	for i, a := range apps {
		wg.Go(func() {
			if err := a.server.Serve(a.l); !errors.Is(err, http.ErrServerClosed) {
				elsewhere[i] = fmt.Errorf("%s: %w", a.l.Addr(), err)
				stop()
			}
		})
	}
	for i, o := range s.others {
		wg.Go(func() {
			defer stop()
			elsewhere[len(apps)+i] = o.node.Serve(inner, o.l)
		})
	}
	// Chirp stops first, since its verifier logs a warning when the node goes away.
	node, stopNode := context.WithCancel(context.WithoutCancel(ctx))
	defer stopNode()
	defer context.AfterFunc(inner, func() {
		s.Chirp.Shutdown()
		stopNode()
	})()
	err := s.Node.Serve(node, s.exeunt)
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, a := range apps {
		err = errors.Join(err, a.server.Shutdown(limit))
	}
	stop()
	err = errors.Join(err, s.mailbox.box.Close(), s.mailbox.server.Close())
	wg.Wait()
	return errors.Join(err, errors.Join(elsewhere...))
}

// Close closes what Open opened.
func (s *Stage) Close() error {
	var errs []error
	for _, l := range []net.Listener{s.exeunt, s.chirp.l, s.gazette.l, s.mailbox.l, s.mailbox.smtp} {
		if l != nil {
			l.Close() // closed already once Serve has run
		}
	}
	if s.Chirp != nil {
		errs = append(errs, s.Chirp.Close())
	}
	for _, o := range s.others {
		o.l.Close()
		errs = append(errs, o.node.Close())
	}
	if s.Node != nil {
		errs = append(errs, s.Node.Close())
	}
	return errors.Join(errs...)
}
