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
	"github.com/exeunt/exeunt/internal/config"
)

// Options say where and how the demo runs.
type Options struct {
	Data    string
	Addr    string // of the authority, on loopback
	AppAddr string // of Chirp, on loopback
	Policy  config.Policy
	SignUp  config.SignUp
	// Open opens a node.
	Open func(context.Context, config.Config, NodeOptions) (*Node, error)
	NodeOptions
	// Nodes is how many to run. Several need a PostgreSQL Database, which is empty or
	// was the demo's before.
	Nodes    int
	Database config.Secret

	masterKey string // shared by the nodes on one database
}

// Stage is the authority and Chirp, open side by side.
type Stage struct {
	ExeuntURL string
	ChirpURL  string
	Node      *Node
	Chirp     *chirp.App

	opt      Options
	others   []extraNode
	key      exeunt.Token // Chirp's, new with each start
	exeunt   net.Listener
	app      net.Listener
	appError chan error
	server   *http.Server
}

// Chirp's client ID, and its database in the data folder.
const (
	chirpID   = "chirp"
	chirpFile = "chirp.db"
)

// Open opens both on their addresses. Serve answers requests.
func Open(ctx context.Context, opt Options) (*Stage, error) {
	s := &Stage{opt: opt, key: exeunt.NewToken(exeunt.UseClient), appError: make(chan error, 1)}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stage) open(ctx context.Context) (err error) {
	if s.exeunt, err = config.Listen(s.opt.Addr, "--addr"); err != nil {
		return err
	}
	if s.app, err = config.Listen(s.opt.AppAddr, "--app-addr"); err != nil {
		return err
	}
	for _, l := range []net.Listener{s.exeunt, s.app} {
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			return fmt.Errorf("%s is not a loopback address: use one, since the demo has no TLS", l.Addr())
		}
	}
	s.ExeuntURL, s.ChirpURL = localURL("exeunt", s.exeunt), localURL("chirp", s.app)
	if s.Node, err = s.opt.Open(ctx, s.config(), s.opt.NodeOptions); err != nil {
		return err
	}
	if err := s.openOthers(ctx); err != nil {
		return err
	}
	s.Chirp, err = chirp.New(chirp.Config{
		Authority: s.ExeuntURL, URL: s.ChirpURL, ClientID: chirpID, Key: client.NewSecret(s.key.Reveal()),
		Database: filepath.Join(s.opt.Data, chirpFile), Log: s.opt.Log, Now: s.opt.Now,
	})
	return err
}

func (s *Stage) config() config.Config {
	return stageConfig(s.opt, s.exeunt.Addr().String(), s.ExeuntURL, s.ChirpURL, s.key)
}

func stageConfig(opt Options, addr, exeuntURL, chirpURL string, key exeunt.Token) config.Config {
	c := config.Default()
	c.Addr, c.URL, c.Data, c.Development = addr, exeuntURL, opt.Data, true
	c.SignUp = opt.SignUp
	if c.Database = opt.Database; c.Database != "" {
		c.MasterKey = config.Secret(opt.masterKey)
	}
	if opt.Policy != (config.Policy{}) {
		c.Policy = opt.Policy
	}
	c.Clients = []config.Client{{
		ID: chirpID, Name: "Chirp", HomeURL: chirpURL, RedirectURIs: []string{chirpURL + "/exeunt/callback"},
		KeySHA256: []string{key.Hash().String()}, Checked: true, FirstParty: true,
	}}
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
	s.server = &http.Server{Handler: s.Chirp, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second}
	s.server.RegisterOnShutdown(s.Chirp.Shutdown)
	inner, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.server.Serve(s.app); !errors.Is(err, http.ErrServerClosed) {
			s.appError <- fmt.Errorf("chirp: %w", err)
			stop()
		}
	})
	elsewhere := make([]error, len(s.others))
	for i, o := range s.others {
		wg.Go(func() {
			defer stop()
			elsewhere[i] = o.node.Serve(inner, o.l)
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
	err = errors.Join(err, s.server.Shutdown(limit))
	stop()
	wg.Wait()
	err = errors.Join(err, errors.Join(elsewhere...))
	select {
	case failed := <-s.appError:
		err = errors.Join(err, failed)
	default:
	}
	return err
}

// Close closes what Open opened.
func (s *Stage) Close() error {
	var errs []error
	for _, l := range []net.Listener{s.exeunt, s.app} {
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
