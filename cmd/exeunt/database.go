package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"

	"github.com/exeunt/exeunt/internal/app"
)

type migrateCommand struct {
	Database     string `help:"URL of the database." env:"EXEUNT_DATABASE"`
	DatabaseFile string `help:"File that holds the URL, so that no password stands on the command line." env:"EXEUNT_DATABASE_FILE"`
}

// Run brings the schema up to date.
func (c *migrateCommand) Run(ctx context.Context) error {
	url, err := databaseURL(c.Database, c.DatabaseFile, "--database")
	if err != nil {
		return err
	}
	if err := app.Migrate(ctx, url); err != nil {
		return err
	}
	fmt.Println("The schema is up to date.")
	return nil
}

type copyCommand struct {
	From     string `required:"" help:"Where everything is now: sqlite:PATH, the file in the data folder of a node that is stopped."`
	To       string `help:"Where it shall be: postgres://USER:PASSWORD@HOST/NAME, an empty database." xor:"where"`
	ToFile   string `help:"File that holds that URL, so that no password stands on the command line." type:"existingfile" xor:"where"`
	Trial    bool   `help:"Leave the file as it is. Without this no node starts on it afterwards, since it would accept what has ended in the database." xor:"after"`
	TakeBack bool   `help:"Copy nothing, but let nodes start again on a file that was copied. What has ended in the database since is live in the file." xor:"where,after"`
}

// Run copies.
func (c *copyCommand) Run(ctx context.Context) error {
	if c.TakeBack {
		if err := app.TakeBack(ctx, c.From); err != nil {
			return err
		}
		fmt.Println("Nodes may start on the file again. What has ended in the other database since is live in it: start no node there, and end it here again (exeunt sessions end).")
		return nil
	}
	to, err := databaseURL(c.To, c.ToFile, "--to")
	if err != nil {
		return err
	}
	// It is made when its length is known: one without a length draws itself from
	// a goroutine that races with ours.
	var bar *progressbar.ProgressBar
	var rows, drawn int64
	err = app.Copy(ctx, c.From, to, c.Trial, func(at app.Copied) {
		if rows = at.Rows; rows-drawn < drawEvery && at.Rest > 0 {
			return
		}
		drawn = rows
		if bar == nil {
			bar = progressbar.NewOptions64(at.Rows+at.Rest, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowCount(), progressbar.OptionShowIts())
		}
		bar.Describe(at.Table)
		_ = bar.Set64(at.Rows) // a terminal that does not draw is no reason to stop
	})
	if bar != nil {
		_ = bar.Exit()
		fmt.Fprintln(os.Stderr)
	}
	if err != nil {
		return err
	}
	fmt.Printf("Copied %d rows. ", rows)
	if c.Trial {
		fmt.Println("The file is left as it was, and goes its own way: what ends in one is live in the other.")
		return nil
	}
	fmt.Println("Start the nodes with this database and the same master key. No node starts on the file any more.")
	return nil
}

// drawEvery is how many rows the progress bar passes over between two drawings.
const drawEvery = 1000

// databaseURL is givenURL where there must be one.
func databaseURL(given, file, flag string) (string, error) {
	url, err := givenURL(given, file, flag)
	if url == "" && err == nil {
		err = errors.New(flag + " or " + flag + "-file is needed: the URL of the database")
	}
	return url, err
}

// givenURL takes a URL as it is given or from a file; "" when neither is.
func givenURL(given, file, flag string) (string, error) {
	switch {
	case given != "" && file != "":
		return "", errors.New(flag + " and " + flag + "-file are both set; set one")
	case file != "":
		b, err := os.ReadFile(file)
		return strings.TrimSpace(string(b)), err
	}
	return given, nil
}
