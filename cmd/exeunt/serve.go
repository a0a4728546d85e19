package main

import (
	"context"
	"fmt"
	"os"

	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
)

type serveCommand struct {
	Config       string            `help:"Configuration file (TOML)." type:"existingfile" env:"EXEUNT_CONFIG"`
	Addr         string            `help:"Where to listen, host:port."`
	URL          string            `help:"The address browsers use, like https://id.example.com."`
	Data         string            `help:"The data folder."`
	SignUp       string            `help:"Whether strangers may make accounts: open or closed."`
	TLSCert      string            `name:"tls-cert" help:"Certificate chain file."`
	TLSKey       string            `name:"tls-key" help:"Key file of the certificate."`
	TrustedProxy string            `help:"Addresses or prefixes of the proxy that terminates TLS, separated by commas."`
	Set          map[string]string `help:"Any other setting, as in --set policy.shared.idle=5m."`
}

// flags returns the settings given as flags, by setting name.
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
	conf, err := config.Load(config.Sources{File: c.Config, Getenv: os.LookupEnv, Flags: c.flags()})
	if err != nil {
		return err
	}
	node, err := app.New(ctx, conf, app.Options{Log: app.Logger(os.Stderr, conf.Log), Version: version()})
	if err != nil {
		return err
	}
	defer node.Close()
	link, err := node.FirstAccountLink(ctx)
	if err != nil {
		return err
	}
	if link != "" {
		// To the terminal and a file for the owner alone, never to the log:
		// whoever has the link becomes the first account.
		fmt.Fprintf(os.Stderr, "\nThere is no account yet. Make the first one within a day at\n\n  %s\n\nThe link works once. It is also in %s.\n\n", link, node.LinkFile())
	}
	return node.ListenAndServe(ctx)
}
