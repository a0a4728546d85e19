package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/demo"
)

// Where the apps are unless another address is given.
const (
	usualChirp   = "127.0.0.1:8081"
	usualGazette = "127.0.0.1:8082"
	usualMailbox = "127.0.0.1:8083"
)

type demoCommand struct {
	Addr         string `help:"The authority's loopback address." default:"127.0.0.1:8080"`
	AppAddr      string `help:"Chirp's loopback address." default:"127.0.0.1:8081"`
	GazetteAddr  string `help:"Gazette's loopback address: 127.0.0.1:8082, or any free port if --app-addr is given."`
	MailboxAddr  string `help:"The mailbox's loopback address: 127.0.0.1:8083, or any free port if --app-addr is given."`
	Data         string `help:"Keep the data in this folder; without it a temporary one is deleted at the end."`
	Nodes        int    `help:"How many nodes to run on one --database." default:"1"`
	Database     string `help:"URL of an empty PostgreSQL database, instead of a file." env:"EXEUNT_DATABASE"`
	DatabaseFile string `help:"File with the URL, so that no password is on the command line." env:"EXEUNT_DATABASE_FILE"`
	Once         bool   `help:"Stop after the tour, with status 0 only if every step held."`
	JSON         bool   `help:"Print addresses and credentials as one line of JSON, and the tour to standard error."`
}

// Run seeds and serves the demo, plays the tour and goes on serving.
func (c *demoCommand) Run(ctx context.Context) (err error) {
	var out io.Writer = os.Stdout
	if c.JSON {
		out = os.Stderr
	}
	database, err := givenURL(c.Database, c.DatabaseFile, "--database")
	if err != nil {
		return err
	}
	if c.Nodes > 1 && database == "" {
		return errors.New("several nodes need a shared database: use --database postgres://USER@HOST/NAME, " +
			"or --database-file FILE if the URL has a password")
	}
	dir, cleanUp, err := c.folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cleanUp()) }()
	fmt.Fprintln(out, "Exeunt demo: starting the authority and two sample apps, Chirp and Gazette.")
	if database != "" {
		// A variable may have named it for another purpose.
		fmt.Fprintln(out, "Sessions are stored in the PostgreSQL database that you named. It must be empty, or this demo's own.")
	}
	log := app.Logger(os.Stderr, config.Log{Level: "warn", Format: "text"})
	slog.SetDefault(app.ForLibraries(log))
	if c.GazetteAddr == "" {
		c.GazetteAddr = "127.0.0.1:0"
		if c.AppAddr == usualChirp {
			c.GazetteAddr = usualGazette
		}
	}
	if c.MailboxAddr == "" {
		c.MailboxAddr = "127.0.0.1:0"
		if c.AppAddr == usualChirp {
			c.MailboxAddr = usualMailbox
		}
	}
	stage, accounts, err := demo.Start(ctx, demo.Options{
		Data: dir, Addr: c.Addr, AppAddr: c.AppAddr, GazetteAddr: c.GazetteAddr,
		MailboxAddr: c.MailboxAddr, SignUp: config.SignUpOpen,
		Nodes: c.Nodes, Database: config.Secret(database), Open: openNode,
		NodeOptions: demo.NodeOptions{Version: version(), Log: log},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- stage.Serve(serving) }()

	fmt.Fprintln(out, "\nThe tour, on an account of its own, over HTTP:")
	start := time.Now()
	held, err := stage.Tour(serving, accounts, out)
	switch {
	case err != nil && ctx.Err() == nil:
		stop()
		return errors.Join(fmt.Errorf("play the tour: %w", err), <-served)
	case held:
		fmt.Fprintf(out, "Every step held (%v).\n", time.Since(start).Round(time.Millisecond))
	case ctx.Err() == nil:
		fmt.Fprintln(out, "Not every step held.")
	}
	if c.Once {
		if c.JSON {
			if err := c.announce(out, stage, accounts, dir); err != nil {
				return err
			}
		}
		stop()
		if err := <-served; err != nil {
			return err
		}
		if !held {
			return errors.New("not every step of the tour held")
		}
		return nil
	}
	if err := c.announce(out, stage, accounts, dir); err != nil {
		return err
	}
	return <-served
}

// folder returns the data folder, and a function to call at the end.
func (c *demoCommand) folder() (dir string, cleanUp func() error, err error) {
	if c.Data != "" {
		return c.Data, func() error { return nil }, os.MkdirAll(c.Data, 0o700)
	}
	dir, err = os.MkdirTemp("", "exeunt-demo-")
	return dir, func() error { return os.RemoveAll(dir) }, err
}

func (c *demoCommand) announce(out io.Writer, s *demo.Stage, a demo.Accounts, dir string) error {
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(struct {
			Exeunt   string         `json:"exeunt"`
			Chirp    string         `json:"chirp"`
			Accounts []demo.Account `json:"accounts"`
			Issuer   string         `json:"issuer"`
			Apps     []demo.App     `json:"apps"`
			Mailbox  string         `json:"mailbox"`
		}{s.ExeuntURL, s.ChirpURL, a.Accounts, s.ExeuntURL, s.Apps(), s.MailboxURL})
	}
	fmt.Fprintf(out, "\n  %-8s %s\n", "Exeunt", s.ExeuntURL)
	for _, app := range s.Apps() {
		fmt.Fprintf(out, "  %-8s %s\n", app.Name, app.URL)
	}
	fmt.Fprintf(out, "  %-8s %s\n", "Mailbox", s.MailboxURL)
	fmt.Fprint(out, "\n  sign in as\n")
	for _, account := range a.Accounts {
		fmt.Fprintf(out, "    %-6s password %s\n", account.Handle, account.Password)
	}
	stays := "and is deleted on exit; --data DIR keeps it"
	if c.Data != "" {
		stays = "and stays there"
	}
	_, err := fmt.Fprintf(out, "\nData is in %s %s. Stop with Ctrl-C.\n", dir, stays)
	return err
}

// openNode opens a node for the demo.
func openNode(ctx context.Context, c config.Config, opt demo.NodeOptions) (*demo.Node, error) {
	n, err := app.New(ctx, c, app.Options{Log: opt.Log, Version: opt.Version, Now: opt.Now, Hashing: opt.Hashing})
	if err != nil {
		return nil, err
	}
	return &demo.Node{
		Authority: n.Authority, SignIn: n.SignIn, Accounts: n.Accounts, Serve: n.Serve, Close: n.Close,
	}, nil
}
