package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/exeunt/exeunt/internal/app"
)

type migrateCommand struct {
	Database     string `help:"URL of the database." env:"EXEUNT_DATABASE"`
	DatabaseFile string `help:"File with the URL, so that no password is on the command line." env:"EXEUNT_DATABASE_FILE"`
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
	From     string `required:"" help:"${copy_from}"`
	To       string `help:"Target: postgres://USER:PASSWORD@HOST/NAME, an empty database." xor:"where"`
	ToFile   string `help:"File with that URL, so that no password is on the command line." type:"existingfile" xor:"where"`
	Trial    bool   `help:"${copy_trial}" xor:"after"`
	TakeBack bool   `help:"${copy_take_back}" xor:"where,after"`
}

var copyHelp = kong.Vars{
	"copy_from": "Source: sqlite:PATH, the file in the data folder of a stopped node.",
	"copy_trial": "Leave the file usable. Without this flag no node starts on it afterwards, " +
		"since sessions that end in the database would still be live in the file.",
	"copy_take_back": "Copy nothing, but let nodes start again on a file that was copied. " +
		"Sessions that have ended in the database since then are live in the file.",
}

// Run copies everything.
func (c *copyCommand) Run(ctx context.Context) error {
	if c.TakeBack {
		if err := app.TakeBack(ctx, c.From); err != nil {
			return err
		}
		fmt.Println("Nodes may start on the file again, with --trust-database or --end-sessions if the other database has been\n" +
			"served. What has ended in the other database since then is live in it:\n" +
			"start no node there, and end those sessions here again (exeunt sessions end).")
		return nil
	}
	to, err := databaseURL(c.To, c.ToFile, "--to")
	if err != nil {
		return err
	}
	bar := &progress{}
	err = app.Copy(ctx, c.From, to, c.Trial, bar.told)
	bar.end()
	if err != nil {
		return err
	}
	fmt.Printf("Copied %d rows. ", bar.at.Rows)
	if c.Trial {
		fmt.Println("The file is left as it was. What ends in one of the two databases from now on stays live in the other.")
		return nil
	}
	fmt.Println("Start the nodes with this database and the same master key. No node starts on the file any more.")
	return nil
}

// databaseURL returns the database's URL, which must be given.
func databaseURL(given, file, flag string) (string, error) {
	url, err := givenURL(given, file, flag)
	if url == "" && err == nil {
		err = errors.New("the database is not named: give its URL with " + flag + " or " + flag + "-file")
	}
	return url, err
}

// givenURL returns a URL that was given directly or in a file; "" if neither was.
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
