package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/control"
)

// installation is where the database of an installation is, without a running node.
type installation struct {
	Config       string `help:"Configuration file (TOML) that says where the data folder and the database are." env:"EXEUNT_CONFIG"`
	Data         string `help:"The data folder." env:"EXEUNT_DATA"`
	Database     string `help:"URL of the database, if it is a server's." env:"EXEUNT_DATABASE"`
	DatabaseFile string `help:"File with that URL, so that no password is on the command line." env:"EXEUNT_DATABASE_FILE"`
}

// find returns the data folder and the URL of a server, "" if the database is a file in the folder.
func (c *installation) find() (conf config.Config, err error) {
	conf = config.Default()
	if c.Config != "" {
		if conf, err = config.Load(config.Sources{File: c.Config, Getenv: os.LookupEnv, Environ: os.Environ()}); err != nil {
			return conf, err
		}
	} else if text, file := os.Getenv("EXEUNT_MASTER_KEY"), os.Getenv("EXEUNT_MASTER_KEY_FILE"); text != "" || file != "" {
		key, err := givenURL(text, file, "EXEUNT_MASTER_KEY")
		if err != nil {
			return conf, err
		}
		conf.MasterKey = config.Secret(key)
	}
	url, err := givenURL(c.Database, c.DatabaseFile, "--database")
	if err != nil {
		return conf, err
	}
	if url != "" {
		conf.Database = config.Secret(url)
	}
	if c.Data != "" {
		conf.Data = c.Data
	}
	if conf.Data == "" && conf.Database == "" {
		err = errors.New("the database is not named: give --config FILE, --data FOLDER, or a server by --database-file")
	}
	return conf, err
}

type backupCommand struct {
	File string `arg:"" help:"The file to make, or a folder, in which it is named after the time."`
	installation
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is printed below the flags.
func (*backupCommand) Help() string {
	return "Nodes go on meanwhile, and everything that they confirmed before the backup began is in it. The file has its name only " +
		"once it is whole and verified. It has the mode 600, and no key: keep master.key elsewhere."
}

// Run makes a backup.
func (c *backupCommand) Run(ctx context.Context) error {
	conf, err := c.find()
	if err != nil {
		return err
	}
	if info, err := os.Stat(c.File); err == nil && info.IsDir() {
		c.File = filepath.Join(c.File, "exeunt-"+time.Now().UTC().Format("20060102T150405Z")+".db")
	}
	bar := &progress{}
	b, err := app.BackUp(ctx, app.DatabaseURL(conf), c.File, bar.told)
	bar.end()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(struct {
			File string `json:"file"`
			held
		}{c.File, heldBy(b)})
	}
	fmt.Printf("%s holds %s.\nKeep the master key apart from it: the backup is of no use without the key, and the key of none without a backup.\n",
		c.File, summaryOf(b))
	return nil
}

// held is what a backup holds, as JSON.
type held struct {
	Accounts int64 `json:"accounts"`
	Sessions int64 `json:"sessions"`
	Events   int64 `json:"events"`
	Bytes    int64 `json:"bytes"`
}

func heldBy(b app.Backup) held {
	return held{Accounts: b.Accounts, Sessions: b.Sessions, Events: b.Events, Bytes: b.Bytes}
}

type restoreCommand struct {
	File string `arg:"" help:"A file that exeunt backup has made, or another copy of a node's file that is whole."`
	installation
	Replace bool `help:"Move a database that is in the data folder aside."`
	JSON    bool `name:"json" help:"Print JSON."`
}

// Help is printed below the flags.
func (*restoreCommand) Help() string {
	return "Stop the node first. Every session in the backup is ended, and unused one-time links are deleted, because the backup does not " +
		"know what was signed out and used since it was made: everybody signs in again. A server's database must be empty. " +
		"A backup of either engine is restored to either."
}

// Run restores a backup.
func (c *restoreCommand) Run(ctx context.Context) error {
	conf, err := c.find()
	if err != nil {
		return err
	}
	bar := &progress{}
	done, err := app.Restore(ctx, app.Restoring{
		File: c.File, Data: conf.Data, Database: string(conf.Database), Replace: c.Replace, MasterKey: string(conf.MasterKey),
		Now: app.Clock()(), By: control.Operator(os.Getuid()), Told: bar.told,
	})
	bar.end()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(struct {
			held
			Ended     int64        `json:"accounts_ended"`
			Aside     string       `json:"aside,omitempty"`
			MasterKey app.FoundKey `json:"master_key"`
		}{heldBy(done.Backup), done.Ended, done.Aside, done.MasterKey})
	}
	fmt.Printf("Restored %s.\n", summaryOf(done.Backup))
	fmt.Printf("Every session in it was ended, of %d accounts, and unused one-time links were deleted: nothing that was signed out after the\n"+
		"backup is signed in again. Accounts, passwords and groups are those of the backup.\n", done.Ended)
	if done.Aside != "" {
		fmt.Printf("The database that was there is now %s.\n", done.Aside)
	}
	switch done.MasterKey {
	case app.KeyMissing:
		fmt.Println("There is no master key here yet: put the one that belongs to the backup in its place before you start the node.")
	case app.KeyWrong:
		fmt.Println("The master key that is here does not open what is sealed in the backup: put the one that belongs to it in its place\n" +
			"before you start the node.")
	}
	if conf.Database != "" && conf.Data == "" {
		fmt.Println("Start the first node once with --trust-database: its data folder does not know this database yet.")
	}
	return nil
}

func summaryOf(b app.Backup) string {
	return fmt.Sprintf("%d accounts and %d live sessions, as of event %d of the log (%d bytes)", b.Accounts, b.Sessions, b.Events, b.Bytes)
}

// progress draws how far a copy is.
type progress struct {
	bar *progressbar.ProgressBar
	at  app.Copied
}

// drawEvery is after how many rows, or pages of a file, the bar is drawn again.
const drawEvery = 1000

func (p *progress) told(at app.Copied) {
	drawn := p.at.Rows
	if at.Rows-drawn < drawEvery && at.Rest > 0 {
		return
	}
	p.at = at
	// The bar is created when its length is known: without one it draws itself from a goroutine that races with ours.
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(at.Rows+at.Rest, progressbar.OptionSetWriter(os.Stderr),
			progressbar.OptionShowCount(), progressbar.OptionShowIts())
	}
	p.bar.Describe(at.Table)
	_ = p.bar.Set64(at.Rows) // a failure to draw must not stop the copy
}

// end leaves the line of the bar.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Exit()
		fmt.Fprintln(os.Stderr)
	}
}
