// Command exeunt runs the session authority and speaks to a running one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Init       initCommand       `cmd:"" help:"Write a configuration file, and make the link for the first account."`
	Serve      serveCommand      `cmd:"" help:"Run the authority."`
	Demo       demoCommand       `cmd:"" help:"Run the authority with the sample apps Chirp and Gazette, and play a tour."`
	Status     statusCommand     `cmd:"" help:"Show the state of the running node."`
	Health     healthCommand     `cmd:"" help:"Fail unless the running node is ready: for images and process managers."`
	Doctor     doctorCommand     `cmd:"" help:"Look at everything that sign-outs depend on, and say what to mend."`
	Sessions   sessionsCommand   `cmd:"" help:"List, show and end sessions."`
	Accounts   accountsCommand   `cmd:"" help:"List, show, add, import, export, disable and enable accounts; create links for new passwords."`
	Groups     groupsCommand     `cmd:"" help:"List and show groups; put accounts into them, and take them out."`
	Clients    clientsCommand    `cmd:"" help:"List, register, change and remove apps."`
	Sites      sitesCommand      `cmd:"" help:"Print what proxies in front of sites are told."`
	Mail       mailCommand       `cmd:"" help:"List mails, try one again, and send a test."`
	Receipt    receiptCommand    `cmd:"" help:"Verify receipts of sign-outs."`
	Webhooks   webhooksCommand   `cmd:"" help:"List webhooks, and test one."`
	Migrate    migrateCommand    `cmd:"" help:"Bring a database's schema up to date and do nothing else."`
	Copy       copyCommand       `cmd:"" help:"Copy everything from a file to an empty PostgreSQL database."`
	Backup     backupCommand     `cmd:"" help:"Make a backup while nodes go on."`
	Restore    restoreCommand    `cmd:"" help:"Put a backup in the place of a database, with every session ended."`
	Settings   settingsCommand   `cmd:"" help:"Print every setting with its default, as a configuration file."`
	Completion completionCommand `cmd:"" help:"Print the completion of commands and flags for a shell."`
	Manual     manualCommand     `cmd:"" hidden:"" help:"Write the manual pages into a folder."`
	Version    versionCommand    `cmd:"" help:"Print the version; so does --version."`
	Licenses   licensesCommand   `cmd:"" help:"Print the license, and the notices of what is built in."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM,
		syscall.SIGHUP) // a terminal that closes sends it
	defer stop()
	k := parser(ctx)
	parsed, err := k.Parse(plainArguments(os.Args[1:]))
	if err != nil {
		// Not the whole usage, in which the error would be hard to find.
		fmt.Fprintf(os.Stderr, "exeunt: %v\nexeunt: `%s --help` lists commands and flags\n", err, commandOf(err))
		os.Exit(2)
	}
	if err := parsed.Run(k); err != nil {
		fmt.Fprintln(os.Stderr, "exeunt:", err)
		code := 1
		if told := (interface{ ExitCode() int })(nil); errors.As(err, &told) {
			code = told.ExitCode()
		}
		os.Exit(code)
	}
}

// parser returns what reads the command line, and knows all commands.
func parser(ctx context.Context) *kong.Kong {
	k := kong.Must(new(commands), kong.Name("exeunt"),
		kong.Description("A session authority: when somebody signs out, they are signed out."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.BindTo(ctx, (*context.Context)(nil)), copyHelp,
		clientHelp, kong.Vars{"site_proxies": siteHelp, "init_tls": initTLS})
	withExamples(k.Model.Node)
	return k
}

// plainArguments accepts other usual ways to ask for help and version: `help`, `help
// serve`, `--version`.
func plainArguments(args []string) []string {
	switch {
	case len(args) == 0 || args[0] == "help":
		return append(slices.Clone(args[min(1, len(args)):]), "--help")
	case args[0] == "--version" || args[0] == "-V":
		return []string{"version"}
	}
	return args
}

// commandOf returns the command that was parsed before the error.
func commandOf(err error) string {
	name := "exeunt"
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Command() != "" {
		name += " " + strings.Join(slices.DeleteFunc(strings.Fields(wrong.Context.Command()), func(part string) bool {
			return strings.HasPrefix(part, "<")
		}), " ")
	}
	return name
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Println(version())
	return nil
}

// release is the version of a released program, which the linker sets.
var release string

// version returns the release, the module's version, or the revision that it was built from.
func version() string {
	if release != "" {
		return release
	}
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
