package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/doctor"
)

type doctorCommand struct {
	Config     string `help:"Configuration file (TOML) of the node." env:"EXEUNT_CONFIG"`
	CA         string `name:"ca" help:"File of certificates, in PEM, that browsers here trust besides those of this machine." type:"existingfile"`
	TimeServer string `help:"Host to ask for the time by NTP." placeholder:"HOST"`
	Free       uint64 `help:"How many MB of the data folder's disk must be free." default:"1000" placeholder:"MB"`
	JSON       bool   `name:"json" help:"Print JSON, one finding on each line."`
}

// Help is printed below the flags.
func (*doctorCommand) Help() string {
	return "Looks at the machine, the node, the database, certificates, proxies, cookies and headers as browsers get them, apps and mail. It signs an " +
		"account of its own in and out, by the public addresses, and removes it. Run it on the node's machine, as its user, with its configuration. " +
		"The exit status is 0 if nothing is wrong, 1 if there is a fault, and 2 if the command is wrong."
}

var errFaults = errors.New("the installation has faults")

// Run looks at everything.
func (c *doctorCommand) Run(ctx context.Context) error {
	conf, err := config.Load(config.Sources{File: c.Config, Getenv: os.LookupEnv, Environ: os.Environ()})
	if err != nil {
		return err
	}
	opt := doctor.Options{Config: conf, Version: version(), TimeServer: c.TimeServer, Free: c.Free * 1_000_000, Now: time.Now,
		Log: slog.Default(), Told: printFinding}
	if c.JSON {
		lines := json.NewEncoder(os.Stdout)
		opt.Told = func(f doctor.Finding) { _ = lines.Encode(f) } // whoever reads has gone away
	}
	if c.CA != "" {
		if opt.Roots, err = x509.SystemCertPool(); err != nil {
			return err
		}
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return err
		}
		if !opt.Roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s has no certificate in PEM", c.CA)
		}
	}
	levels, err := doctor.Examine(ctx, opt)
	if err != nil {
		return err
	}
	if !c.JSON {
		fmt.Printf("\n%d fine, %d warnings, %d faults\n", levels[doctor.OK], levels[doctor.Warning], levels[doctor.Fault])
	}
	if levels[doctor.Fault] > 0 {
		return errFaults
	}
	return nil
}

func printFinding(f doctor.Finding) {
	mark := map[doctor.Level]string{doctor.OK: "ok     ", doctor.Warning: "WARNING", doctor.Fault: "FAULT  "}[f.Level]
	fmt.Printf("%s  %s: %s\n", mark, f.Check, f.What)
	if f.Remedy != "" {
		fmt.Printf("         → %s\n", f.Remedy)
	}
}
