package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/presets"
)

type sitesCommand struct {
	Snippet snippetCommand `cmd:"" help:"Print the configuration of a proxy in front of sites."`
}

type snippetCommand struct {
	Host   []string `arg:"" help:"The site's host, as in the configuration file; several for one proxy of them all."`
	Proxy  string   `required:"" help:"${site_proxies}" placeholder:"PROXY"`
	Config string   `required:"" help:"Configuration file (TOML)." env:"EXEUNT_CONFIG"`
	App    []string `help:"Where the proxy reaches the app, for each host in turn." default:"http://127.0.0.1:8081" placeholder:"URL"`
	Exeunt string   `help:"Where the proxy reaches Exeunt; by default where the configuration has it listen." placeholder:"URL"`
}

var siteHelp = "One of " + strings.Join(presets.Proxies(), ", ") + "."

// Run prints the configuration. It needs no running node.
func (c *snippetCommand) Run() error {
	conf, err := config.Load(config.Sources{File: c.Config, Getenv: os.LookupEnv, Environ: os.Environ()})
	if err != nil {
		return err
	}
	var sites []presets.Proxied
	for i, host := range c.Host {
		site, ok := conf.Site(host)
		if !ok {
			return fmt.Errorf("%s has no site %s: use a host of its [[sites]], with its port if it has one", c.Config, host)
		}
		sites = append(sites, presets.Proxied{Site: site, App: c.App[min(i, len(c.App)-1)]})
	}
	if c.Exeunt == "" {
		if c.Exeunt, err = reachedAt(conf); err != nil {
			return err
		}
	}
	text, err := presets.ProxyConfig(c.Proxy, c.Exeunt, sites)
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(text)
	return err
}

// reachedAt is where programs of this machine reach the node.
func reachedAt(c config.Config) (string, error) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return "", fmt.Errorf("addr: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if c.TLS.Terminates() {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}
