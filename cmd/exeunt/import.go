package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/exeunt/exeunt/internal/control"
	"github.com/exeunt/exeunt/internal/imports"
)

type importCommand struct {
	operate
	File           string `arg:"" help:"The file; - reads standard input."`
	From           string `enum:"authelia,htpasswd,csv," default:"" placeholder:"FORMAT" help:"authelia (users_database.yml), htpasswd, or csv (with a header: handle, name, email, groups). Without it, the file tells, if it is certain."`
	Apply          bool   `help:"Do it. Without it, nothing is changed, and the report says what would be."`
	EmailConfirmed bool   `help:"The e-mail addresses belong to whom the file says, so that people can sign in with them."`
	Links          bool   `help:"Import whoever's password cannot be taken over without it, and print a one-time link with which they set one, instead of refusing the row."`
	Invite         bool   `help:"Send one-time links by mail to whoever has an address, instead of printing them. Needs a mail server."`
}

// Help has an example.
func (c *importCommand) Help() string {
	return `Rows that are refused are named with their line and what to do; the others are imported. Accounts that are there
are not changed. So correct the file and give it again: what is done already stays as it is.

  exeunt accounts import users_database.yml            # what would be done
  exeunt accounts import users_database.yml --apply

The exit status is 0 if every row is imported or there already, 3 if rows were refused and the others are done, 1 if it
failed, and 2 for a wrong command.`
}

// partly is the error of a command that has done what it could, and not everything.
type partly string

func (e partly) Error() string { return string(e) }

// ExitCode tells it from a failure.
func (partly) ExitCode() int { return 3 }

// Run imports a file, in parts of which each is done before the next is read.
func (c *importCommand) Run(ctx context.Context) error {
	in := os.Stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	buffered := bufio.NewReaderSize(in, 64<<10)
	format := imports.Format(c.From)
	if format == "" {
		head, err := buffered.Peek(64 << 10)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		var certain bool
		if format, certain = imports.Guess(head); !certain {
			return fmt.Errorf("what kind of file %s is, is not certain: say --from authelia, htpasswd or csv", c.File)
		}
	}
	r := &importing{c: c, ctx: ctx, format: format}
	return r.run(buffered)
}

// importing is an import under way.
type importing struct {
	c      *importCommand
	ctx    context.Context
	format imports.Format
	batch  []control.ImportRow
	size   int  // of the batch, about
	last   int  // line of the last row whose outcome is known
	begun  bool // something was printed
	report importReport
}

// importReport is the end of the report. Its rows are printed before, as they come.
type importReport struct {
	Applied bool   `json:"applied"`
	Format  string `json:"format"`
	New     int    `json:"new"`
	Same    int    `json:"same"`
	Differs int    `json:"differs"`
	Refused int    `json:"refused"`
	// ByLink of the new ones set a password by a link, which Mailed of them get by mail.
	ByLink int `json:"by_link"`
	Mailed int `json:"mailed"`
	// NoPassword are there and have none yet.
	NoPassword int `json:"no_password"`
}

func (r *importing) run(in io.Reader) error {
	r.report.Applied, r.report.Format = r.c.Apply, string(r.format)
	err := imports.Read(in, r.format, imports.Sink{Person: r.person, Problem: r.problem, UniqueEmails: r.c.EmailConfirmed})
	if err == nil {
		err = r.flush()
	}
	if err != nil {
		interrupted := r.ctx.Err() != nil
		if interrupted {
			err = errors.New("it was interrupted")
		}
		if r.last > 0 {
			err = fmt.Errorf("stopped after line %d: %w", r.last, err)
		}
		if r.c.Apply && (r.last > 0 || interrupted) { // the node may have done what it could not answer any more
			err = fmt.Errorf("%w; what was imported stays, and the same command again imports the rest", err)
		}
		if !r.begun {
			return err
		}
	}
	if more := r.end(); err == nil {
		err = more
	}
	if err == nil && r.report.Refused > 0 {
		n, others := &r.report, "good"
		if r.c.Apply {
			others = "imported"
		}
		err = partly(fmt.Sprintf("refused: %d of %d rows; the others are %s", n.Refused, n.Refused+n.New+n.Same+n.Differs, others))
	}
	return err
}

func (r *importing) person(p imports.Person) error {
	row := control.ImportRow{Line: p.Line, Handle: p.Handle, Name: p.Name, Email: p.Email, Groups: p.Groups,
		Disabled: p.Disabled, Hash: p.Hash, NoHash: r.format == imports.CSV, LinkIfUnknown: r.format == imports.Authelia}
	size := len(p.Handle) + len(p.Name) + len(p.Email) + len(p.Hash)
	for _, g := range p.Groups {
		size += len(g) + 4
	}
	if size > imports.MaxLine {
		why := fmt.Sprintf("There are more than %d bytes of this person.", imports.MaxLine)
		return r.problem(imports.Problem{Line: p.Line, Why: why, Remedy: "Shorten it."})
	}
	r.batch = append(r.batch, row)
	if r.size += size; len(r.batch) < control.MaxBatchRows && r.size < 1<<20 {
		return nil
	}
	return r.flush()
}

func (r *importing) problem(p imports.Problem) error {
	if err := r.flush(); err != nil { // rows are reported in their order
		return err
	}
	return r.took(control.ImportResult{Line: p.Line, Handle: p.Handle, State: "refused", Why: p.Why, Remedy: p.Remedy})
}

// flush sends what has gathered, and prints what became of it.
func (r *importing) flush() error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if len(r.batch) == 0 {
		return nil
	}
	var out control.ImportResults
	err := r.c.node().Post(r.ctx, "/accounts/import", control.ImportBatch{Apply: r.c.Apply, EmailConfirmed: r.c.EmailConfirmed,
		Links: r.c.Links, Mail: r.c.Invite, Rows: r.batch}, &out)
	if err != nil {
		return err
	}
	r.batch, r.size = r.batch[:0], 0
	for _, v := range out.Results {
		if err := r.took(v); err != nil {
			return err
		}
	}
	return nil
}

func (r *importing) took(v control.ImportResult) error {
	r.last = v.Line
	n := &r.report
	switch v.State {
	case "new":
		n.New++
	case "same":
		n.Same++
	case "differs":
		n.Differs++
	default:
		n.Refused++
	}
	if v.ByLink {
		n.ByLink++
	}
	if v.Mailed {
		n.Mailed++
	}
	if v.NoPassword && v.State != "new" {
		n.NoPassword++
	}
	if r.c.JSON {
		return r.json(v)
	}
	text := ""
	switch {
	case v.State == "refused":
		text = "refused: " + v.Why + " " + v.Remedy
	case v.State == "differs":
		text = "is there already, and was not changed; the file has another " + strings.Join(v.Differs, ", ")
	case v.ByLink && v.Why != "":
		text = v.Why + " A link sets another one" + linkOf(v)
	case v.Link != "":
		text = "link" + linkOf(v)
	}
	if text == "" {
		return nil
	}
	who := ""
	if v.Handle != "" {
		who = " @" + strings.TrimPrefix(v.Handle, "@")
	}
	_, err := os.Stdout.WriteString(forTerminal(fmt.Sprintf("line %d%s: %s\n", v.Line, who, text)))
	r.begun = true
	return err
}

func linkOf(v control.ImportResult) string {
	switch {
	case v.Link != "":
		return ": " + v.Link
	case v.Mailed:
		return ", by mail."
	}
	return "."
}

// json prints a row of the report, unless there is nothing to say of it: a file may have thousands.
func (r *importing) json(v control.ImportResult) error {
	if v.State == "new" && !v.ByLink {
		return nil
	}
	between := ","
	if !r.begun {
		between = "{\n  \"rows\": ["
	}
	r.begun = true
	text, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Printf("%s\n    %s", between, text)
	}
	return err
}

// end prints the end of the report.
func (r *importing) end() error {
	n := &r.report
	if r.c.JSON {
		if !r.begun {
			fmt.Print("{\n  \"rows\": [")
		}
		text, err := json.MarshalIndent(n, "", "  ")
		if err == nil {
			_, err = fmt.Printf("\n  ],%s\n", strings.TrimPrefix(string(text), "{"))
		}
		return err
	}
	done := "Imported"
	if !n.Applied {
		done = "Would be imported"
	}
	out := &strings.Builder{}
	fmt.Fprintf(out, "%s: %d", done, n.New)
	if n.ByLink > 0 {
		fmt.Fprintf(out, "; %d of them by a link that works once, for seven days (%d by mail)", n.ByLink, n.Mailed)
	}
	fmt.Fprintf(out, "\nThere already, as in the file: %d\nThere already, different, and not changed: %d\nRefused: %d\n",
		n.Same, n.Differs, n.Refused)
	if n.NoPassword > 0 {
		fmt.Fprintf(out, "Of those that are there, %d have no password yet: `exeunt accounts reset HANDLE` makes another link.\n",
			n.NoPassword)
	}
	if !n.Applied {
		fmt.Fprintln(out, "Nothing was changed. To do it, repeat the command with --apply.")
	}
	_, err := os.Stdout.WriteString(out.String())
	return err
}
