package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
)

type serveCommand struct {
	Config       string            `help:"Configuration file (TOML)." env:"EXEUNT_CONFIG"`
	Addr         string            `help:"Address to listen on, host:port; default 127.0.0.1:8443."`
	URL          string            `help:"Address that browsers use, like https://id.example.com."`
	Data         string            `help:"The data folder."`
	SignUp       string            `help:"Whether strangers may sign up: open or closed (default)."`
	TLSCert      string            `name:"tls-cert" help:"Certificate chain file."`
	TLSKey       string            `name:"tls-key" help:"Key file of the certificate."`
	TrustedProxy string            `help:"Addresses or prefixes of proxies that terminate TLS, separated by commas."`
	Set          map[string]string `help:"Any other setting, as in --set policy.shared.idle=5m."`
	NewKeys      bool              `help:"Create new keys, once, if the master key is lost; every browser must then sign in again."`

	EndSessions   bool `help:"End every session once, and delete unused one-time links: after the database was restored from a backup." xor:"restored"`
	TrustDatabase bool `help:"Go on, once, with a database that was restored or copied, as it is." xor:"restored"`
}

// Help is printed below the flags.
func (c *serveCommand) Help() string {
	return "Every setting can be in the file, in a variable, or in a flag; a later one of these overrides an earlier one. " +
		"The variable of policy.shared.idle is EXEUNT_POLICY_SHARED_IDLE; EXEUNT_MASTER_KEY_FILE names a file with master_key. " +
		"The settings are " + strings.Join(config.Names(), ", ") + ", and clients, sites, connectors and webhooks in the file. " +
		"The documentation describes them and their defaults."
}

// flags returns the settings that are given as flags, by setting name.
func (c *serveCommand) flags() map[string]string {
	out := map[string]string{}
	for name, value := range map[string]string{
		"addr": c.Addr, "url": c.URL, "data": c.Data, "sign_up": c.SignUp,
		"tls.cert": c.TLSCert, "tls.key": c.TLSKey, "trusted_proxies": c.TrustedProxy,
	} {
		if value != "" {
			out[name] = value
		}
	}
	for name, value := range c.Set {
		out[name] = value
	}
	return out
}

// Run serves until it is told to stop.
func (c *serveCommand) Run(ctx context.Context) error {
	conf, err := config.Load(config.Sources{File: c.Config, Getenv: os.LookupEnv, Environ: os.Environ(), Flags: c.flags()})
	if err != nil {
		return err
	}
	// Listen first, so that a start that fails here creates and announces nothing.
	l, err := config.Listen(conf.Addr, "--addr")
	if err != nil {
		return err
	}
	defer l.Close()
	opt := app.Options{Log: app.Logger(os.Stderr, conf.Log), Version: version(), NewKeys: c.NewKeys}
	if conf.TLS.HTTPListen != "" {
		if opt.Plain, err = config.Listen(conf.TLS.HTTPListen, "--set tls.http_listen"); err != nil {
			return err
		}
		defer opt.Plain.Close()
	}
	slog.SetDefault(app.ForLibraries(opt.Log))
	switch {
	case c.EndSessions:
		opt.Decision = app.EndSessions
	case c.TrustDatabase:
		opt.Decision = app.TrustDatabase
	}
	node, err := app.New(ctx, conf, opt)
	if err != nil {
		return err
	}
	defer node.Close()
	link, err := node.FirstAccountLink(ctx)
	if err != nil {
		return err
	}
	if link != "" {
		announceFirst(link, node.LinkFile(), conf.Log, opt.Log)
	}
	return node.Serve(ctx, l)
}

// announceFirst says what to do next when there is no account, in three lines. The link itself is written to a
// terminal and to a file that only its owner can read, and not where a service's output is logged: whoever has it can
// create the first account.
//
// Among lines of JSON, or where nobody watches a terminal, they are lines of the log.
func announceFirst(link, file string, how config.Log, log *slog.Logger) {
	info, err := os.Stderr.Stat()
	if how.Format == "json" || err != nil || info.Mode()&os.ModeCharDevice == 0 {
		log.Warn("there is no account yet: create the first one within a day at the address in this file; it works once",
			"file", file)
		log.Info("then put apps behind it: `exeunt clients add --help` registers one that signs people in itself, " +
			"[[sites]] of the configuration any other")
		log.Info("keep a copy of the data folder's master.key elsewhere; `exeunt status` says how the node is", "folder",
			filepath.Dir(file))
		return
	}
	fmt.Fprintf(os.Stderr, "\n1. Create the first account, within a day; the link works once, and is also in %s: %s\n"+
		"2. Put apps behind it: `exeunt clients add --help`, or [[sites]] in the configuration.\n"+
		"3. Keep a copy of master.key elsewhere; `exeunt status --data %s` says how the node is.\n\n",
		file, link, filepath.Dir(file))
}
