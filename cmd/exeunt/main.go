// Command exeunt runs the session authority and speaks to a running one.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Serve    serveCommand    `cmd:"" help:"Run the authority."`
	Demo     demoCommand     `cmd:"" help:"Run the authority with the sample app Chirp beside it, and play a tour."`
	Status   statusCommand   `cmd:"" help:"Show how the running node is."`
	Sessions sessionsCommand `cmd:"" help:"List, show and end sessions."`
	Accounts accountsCommand `cmd:"" help:"List, add, disable and enable accounts."`
	Clients  clientsCommand  `cmd:"" help:"Make secret keys for apps."`
	Migrate  migrateCommand  `cmd:"" help:"Bring a database's schema up to date and do nothing else."`
	Copy     copyCommand     `cmd:"" help:"Copy everything from a file to an empty PostgreSQL database."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Must(&c, kong.Name("exeunt"), kong.UsageOnError(),
		kong.Description("A session authority: when somebody signs out, they are signed out."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.BindTo(ctx, (*context.Context)(nil)))
	parsed, err := k.Parse(os.Args[1:])
	k.FatalIfErrorf(err)
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "exeunt:", err)
		os.Exit(1)
	}
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Println(version())
	return nil
}

// version is that of the module, or the revision it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "development"
}
