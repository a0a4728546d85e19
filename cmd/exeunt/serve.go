package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
)

type serveCommand struct {
	Config       string            `help:"Configuration file (TOML)." env:"EXEUNT_CONFIG"`
	Addr         string            `help:"Where to listen, host:port; 127.0.0.1:8443 unless set."`
	URL          string            `help:"The address browsers use, like https://id.example.com."`
	Data         string            `help:"The data folder."`
	SignUp       string            `help:"Whether strangers may make accounts: open or closed; closed unless set."`
	TLSCert      string            `name:"tls-cert" help:"Certificate chain file."`
	TLSKey       string            `name:"tls-key" help:"Key file of the certificate."`
	TrustedProxy string            `help:"Addresses or prefixes of the proxy that terminates TLS, separated by commas."`
	Set          map[string]string `help:"Any other setting, as in --set policy.shared.idle=5m."`
	NewKeys      bool              `help:"Make new keys, once, when the master key is lost; every browser must then sign in again."`
}

// Help is printed below the flags' own lines.
func (c *serveCommand) Help() string {
	return "Every setting can stand in the file, in a variable, or in a flag, each over the one before. " +
		"The variable of policy.shared.idle is EXEUNT_POLICY_SHARED_IDLE; EXEUNT_MASTER_KEY_FILE names a file that holds master_key. " +
		"The settings are " + strings.Join(config.Names(), ", ") + ", and clients in the file; the README says what each means and its default."
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
	conf, err := config.Load(config.Sources{File: c.Config, Getenv: os.LookupEnv, Environ: os.Environ(), Flags: c.flags()})
	if err != nil {
		return err
	}
	// The address first: a start that cannot serve must make and announce nothing.
	l, err := config.Listen(conf.Addr, "--addr")
	if err != nil {
		return err
	}
	defer l.Close()
	node, err := app.New(ctx, conf, app.Options{Log: app.Logger(os.Stderr, conf.Log), Version: version(), NewKeys: c.NewKeys})
	if err != nil {
		return err
	}
	defer node.Close()
	link, err := node.FirstAccountLink(ctx)
	if err != nil {
		return err
	}
	if link != "" {
		announceFirst(link, node.LinkFile())
	}
	return node.Serve(ctx, l)
}

// announceFirst tells whoever starts the node how the first account is made.
// The link itself goes to a terminal and to a file for its owner alone, never
// to where a service's output is logged: whoever has it becomes the first account.
func announceFirst(link, file string) {
	where := "at the address in " + file
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		where = "at\n\n  " + link + "\n\nIt is also in " + file
	}
	fmt.Fprintf(os.Stderr, "\nThere is no account yet. Make the first one within a day %s. The link works once.\n\n", where)
}
