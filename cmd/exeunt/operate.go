package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/exeunt/exeunt/internal/control"
)

// operate holds the flags of every operator's command.
type operate struct {
	Data string `help:"The data folder of the running node." default:"/var/lib/exeunt" env:"EXEUNT_DATA"`
	JSON bool   `help:"Print JSON instead of a table."`
}

func (o *operate) node() *control.Client { return control.Dial(o.Data) }

// show prints v as JSON, or as the table that rows fills.
func (o *operate) show(v any, rows func(io.Writer)) error {
	if o.JSON {
		return printJSON(v)
	}
	return printTable(rows)
}

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func printTable(rows func(io.Writer)) error {
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 4, 2, ' ', 0)
	rows(w)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := os.Stdout.WriteString(forTerminal(table.String()))
	return err
}

// forTerminal removes control and direction characters, which could be in people's
// names and change what the terminal shows.
func forTerminal(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// listing holds the flags of every command that prints a list.
type listing struct {
	operate
	Limit int `help:"Print at most this many; without it, all."`
}

// list prints a list page by page, and how many entries it has.
func list[T any](
	ctx context.Context, c *listing, path string, q url.Values, header string, row func(io.Writer, T),
) error {
	var total string
	shown, after := 0, ""
	for first := true; first || after != "" && (c.Limit <= 0 || shown < c.Limit); first = false {
		if c.Limit > 0 {
			q.Set("limit", strconv.Itoa(c.Limit-shown))
		}
		q.Set("after", after)
		var p control.Page[T]
		if err := c.node().Get(ctx, path, q, &p); err != nil {
			return err
		}
		if first {
			if total = strconv.FormatInt(p.Total, 10); p.TotalAtLeast {
				total = "more than " + total
			}
		}
		if c.JSON {
			printItems(p, shown, first)
		} else if err := printTable(func(w io.Writer) {
			if first {
				fmt.Fprintln(w, header)
			}
			for _, v := range p.Items {
				row(w, v)
			}
		}); err != nil {
			return err
		}
		shown, after = shown+len(p.Items), p.Next
	}
	switch {
	case c.JSON:
		fmt.Print("\n  ]\n}\n")
	case after == "":
		fmt.Printf("Total: %d\n", shown)
	default:
		fmt.Printf("Shown: %d of %s\n", shown, total)
	}
	return nil
}

// printItems prints a page as a part of a JSON object; list prints the end of it.
func printItems[T any](p control.Page[T], shown int, first bool) {
	if first {
		fmt.Printf("{\n  \"total\": %d,\n", p.Total)
		if p.TotalAtLeast {
			fmt.Print("  \"total_at_least\": true,\n")
		}
		fmt.Print("  \"items\": [")
	}
	for i, v := range p.Items {
		text, _ := json.MarshalIndent(v, "    ", "  ") // plain structs
		if shown+i > 0 {
			fmt.Print(",")
		}
		fmt.Printf("\n    %s", text)
	}
}

type statusCommand struct{ operate }

// Run prints the node's state.
func (c *statusCommand) Run(ctx context.Context) error {
	var s control.Status
	if err := c.node().Get(ctx, "/status", nil, &s); err != nil {
		return err
	}
	return c.show(s, func(w io.Writer) {
		fmt.Fprintf(w, "address\t%s\nversion\t%s\nstarted\t%s\n", s.URL, s.Version, when(s.Started))
		fmt.Fprintf(w, "ready\t%v\n", s.Ready)
		if s.Problem != "" {
			fmt.Fprintf(w, "problem\t%s\n", s.Problem)
		}
		fmt.Fprintf(w, "accounts\t%d\tincluding disabled ones\n", s.Accounts)
		fmt.Fprintf(w, "sessions\t%d\tthat have not ended\n", s.Sessions)
		fmt.Fprintf(w, "in memory\t%d\ttokens that are answered without the database\n", s.InMemory)
		fmt.Fprintf(w, "last event\t%d\tits number in the log\n", s.LogHead)
		if m := s.Mails; m != nil {
			mailStatus(w, m)
		}
		for _, n := range s.Notices {
			more := ""
			if n.AtLeast {
				more = "more than "
			}
			fmt.Fprintf(w, "to tell\t%s%d\tsign-outs that %s does not know yet; the oldest since %s", more, n.Pending, n.Client,
				when(n.Since))
			if n.Error != "" {
				fmt.Fprintf(w, " (%s)", n.Error)
			}
			fmt.Fprintln(w)
		}
		for _, t := range s.Webhooks {
			webhookStatus(w, t)
		}
	})
}

type sessionsCommand struct {
	List listSessionsCommand `cmd:"" help:"List sessions that have not ended, or with --ended those of an account that have."`
	Show showSessionCommand  `cmd:"" help:"Show one session."`
	End  endSessionsCommand  `cmd:"" help:"End one session, or with --account every session of an account."`
}

type listSessionsCommand struct {
	listing
	Account string `help:"Only those of the account with this handle."`
	Ended   bool   `help:"Those that have ended; needs --account."`
}

// Run lists sessions.
func (c *listSessionsCommand) Run(ctx context.Context) error {
	if c.Ended && c.Account == "" {
		return errors.New("--ended needs --account: name the account")
	}
	q := url.Values{"account": {c.Account}}
	if c.Ended {
		q.Set("state", "ended")
	}
	header := "SESSION\tACCOUNT\tON\tKIND\tSIGNED IN\tFIRST FROM\tLAST ACTIVE\tLAST FROM\tAPPS"
	if c.Ended {
		header += "\tENDED"
	}
	return list(ctx, &c.listing, "/sessions", q, header, func(w io.Writer, s control.Session) {
		fmt.Fprintf(w, "%s\t@%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", s.ID, s.Handle, s.Label, s.Kind,
			when(s.Started), s.Address, when(s.Seen), s.LastAddress, apps(s, ","))
		if s.Ended != nil {
			fmt.Fprintf(w, "\t%s %s", when(s.Ended.At), s.Ended.Reason)
		}
		fmt.Fprintln(w)
	})
}

// apps names the apps of a session, and tells how many app sessions it has that were not looked at.
func apps(s control.Session, comma string) string {
	names := strings.Join(s.Apps, comma)
	if s.MoreApps > 0 {
		names += fmt.Sprintf(" and %d more app sessions", s.MoreApps)
	}
	return names
}

type showSessionCommand struct {
	operate
	ID string `arg:"" help:"The session, as ses_…"`
}

// Run shows a session.
func (c *showSessionCommand) Run(ctx context.Context) error {
	var s control.Session
	if err := c.node().Get(ctx, "/sessions/"+url.PathEscape(c.ID), nil, &s); err != nil {
		return err
	}
	return c.show(s, func(w io.Writer) {
		fmt.Fprintf(w, "session\t%s\naccount\t@%s\non\t%s\nkind\t%s\n", s.ID, s.Handle, s.Label, s.Kind)
		fmt.Fprintf(w, "user agent\t%s\n", s.UserAgent)
		fmt.Fprintf(w, "signed in\t%s\nfirst from\t%s\n", when(s.Started), s.Address)
		fmt.Fprintf(w, "last active\t%s\nlast from\t%s\n", when(s.Seen), s.LastAddress)
		fmt.Fprintf(w, "expires if unused\t%s\nexpires at the latest\t%s\n", when(s.IdleAt), when(s.ExpiresAt))
		fmt.Fprintf(w, "apps\t%s\n", apps(s, ", "))
		if s.Ended != nil {
			fmt.Fprintf(w, "ended\t%s, %s, by %s %s\n", when(s.Ended.At), s.Ended.Reason, s.Ended.By, s.Ended.ByLabel)
		}
	})
}

type endSessionsCommand struct {
	operate
	ID      string `arg:"" optional:"" help:"The session, as ses_…"`
	Account string `help:"Every session of the account with this handle."`
}

// Run ends sessions.
func (c *endSessionsCommand) Run(ctx context.Context) error {
	path := "/sessions/" + url.PathEscape(c.ID) + "/end"
	switch {
	case (c.ID == "") == (c.Account == ""):
		return errors.New("name either one session or --account")
	case c.Account != "":
		path = "/accounts/" + url.PathEscape(c.Account) + "/end-sessions"
	}
	return c.ending(ctx, path)
}

// ending posts to an address that ends sessions and prints how many it ended.
func (o *operate) ending(ctx context.Context, path string) error {
	var e control.Ending
	if err := o.node().Post(ctx, path, nil, &e); err != nil {
		return err
	}
	return o.show(e, func(w io.Writer) {
		if e.Already {
			fmt.Fprintln(w, "It had ended already.")
			return
		}
		fmt.Fprintf(w, "Ended: %d\n", e.Ended)
	})
}

type accountsCommand struct {
	List          listAccountsCommand   `cmd:"" help:"List accounts."`
	Show          showAccountCommand    `cmd:"" help:"Show one account."`
	Add           addAccountCommand     `cmd:"" help:"Add an account, with a one-time link for its owner or a password."`
	Import        importCommand         `cmd:"" help:"Add the people of another program's file: Authelia, htpasswd or CSV."`
	Export        exportCommand         `cmd:"" help:"Write everything that is stored about one person, as JSON."`
	Disable       disableAccountCommand `cmd:"" help:"Stop an account from signing in and end all its sessions."`
	Enable        enableAccountCommand  `cmd:"" help:"Let a disabled account sign in again."`
	Delete        deleteAccountCommand  `cmd:"" help:"End all sessions of an account, and delete it after seven days in which it can be kept."`
	Keep          keepAccountCommand    `cmd:"" help:"Keep an account whose deletion was asked for."`
	Secure        secureAccountCommand  `cmd:"" help:"End everything of an account that somebody else may have used. Its owner is led through the rest at the next sign-in."`
	Reset         resetAccountCommand   `cmd:"" help:"Print a one-time link with which an account's owner sets a new password."`
	RemoveFactor  removeFactorCommand   `cmd:"" help:"Remove an authenticator app that an account's owner has lost, and end all sessions."`
	RemovePicture removePictureCommand  `cmd:"" help:"Remove an account's picture."`
	Invites       invitesCommand        `cmd:"" help:"List one-time links that have not been used."`
	Uninvite      uninviteCommand       `cmd:"" help:"Withdraw the one-time links for a handle."`
	Audit         auditCommand          `cmd:"" help:"Show what was done to an account, latest first."`
	ConfirmEmail  confirmEmailCommand   `cmd:"" help:"Confirm an account's e-mail address, so that its owner can sign in with it."`
}

type listAccountsCommand struct{ listing }

// Run lists accounts.
func (c *listAccountsCommand) Run(ctx context.Context) error {
	header := "ACCOUNT\tNAME\tE-MAIL\tSTATUS\tSESSIONS\tCREATED\tGROUPS"
	return list(ctx, &c.listing, "/accounts", url.Values{}, header, func(w io.Writer, a control.Account) {
		fmt.Fprintf(w, "@%s\t%s\t%s\t%s\t%d\t%s\t%s\n", a.Handle, a.Name, emailOf(a), a.Status, a.Sessions,
			when(a.Created), strings.Join(a.Groups, ","))
	})
}

func emailOf(a control.Account) string {
	if a.Email != "" && !a.EmailConfirmed {
		return a.Email + " (not confirmed)"
	}
	return a.Email
}

type showAccountCommand struct {
	operate
	Handle string `arg:""`
}

// Run shows an account.
func (c *showAccountCommand) Run(ctx context.Context) error {
	var a control.Account
	if err := c.node().Get(ctx, "/accounts/"+url.PathEscape(c.Handle), nil, &a); err != nil {
		return err
	}
	return c.show(a, func(w io.Writer) {
		fmt.Fprintf(w, "account\t@%s\nid\t%s\nname\t%s\ne-mail\t%s\n", a.Handle, a.ID, a.Name, emailOf(a))
		if !a.DeleteAfter.IsZero() {
			fmt.Fprintf(w, "deleted\tafter %s\n", when(a.DeleteAfter))
		}
		fmt.Fprintf(w, "status\t%s\ngroups\t%s\n", a.Status, strings.Join(a.Groups, ", "))
		fmt.Fprintf(w, "sessions\t%d that have not ended\ncreated\t%s\n", a.Sessions, when(a.Created))
		for _, f := range a.Factors {
			used := "never used"
			if !f.Used.IsZero() {
				used = "last used " + when(f.Used)
			}
			fmt.Fprintf(w, "factor\t%s\t%s %s, added %s, %s\n", f.ID, f.Kind, f.Name, when(f.Created), used)
		}
		if len(a.Factors) > 0 {
			fmt.Fprintf(w, "recovery codes\t%d left\n", a.RecoveryCodes)
		}
	})
}

type addAccountCommand struct {
	operate
	Handle         string `arg:"" help:"2 to 63 of a-z, 0-9, '.', '-' and '_', beginning with a letter or digit. It cannot be changed later."`
	Name           string `help:"Display name."`
	Email          string `help:"E-mail address."`
	EmailConfirmed bool   `help:"The address belongs to the account's owner."`
	PasswordStdin  bool   `help:"Read the password from the first line of standard input, instead of printing a link."`
}

// Run adds an account.
func (c *addAccountCommand) Run(ctx context.Context) error {
	n := control.NewAccount{Handle: c.Handle, Name: c.Name, Email: c.Email, EmailConfirmed: c.EmailConfirmed}
	if c.PasswordStdin {
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n.Password = strings.TrimRight(line, "\r\n"); n.Password == "" {
			return errors.New("standard input has no password on its first line: write it there")
		}
	}
	var added control.Added
	if err := c.node().Post(ctx, "/accounts", n, &added); err != nil {
		return err
	}
	return c.show(added, func(w io.Writer) {
		if added.Link != "" {
			if added.Replaced {
				fmt.Fprintln(w, "An earlier link for that handle or e-mail address had not been used; it no longer works.")
			}
			fmt.Fprintf(w, "Give this link to @%s. It works once, for seven days:\n%s\n", added.Handle, added.Link)
			return
		}
		fmt.Fprintf(w, "Added @%s\n", added.Handle)
	})
}

type disableAccountCommand struct {
	operate
	Handle string `arg:""`
}

// Run disables an account.
func (c *disableAccountCommand) Run(ctx context.Context) error {
	return c.switching(ctx, c.Handle, "disable", "disabled")
}

type enableAccountCommand struct {
	operate
	Handle string `arg:""`
}

// Run enables an account.
func (c *enableAccountCommand) Run(ctx context.Context) error {
	return c.switching(ctx, c.Handle, "enable", "enabled")
}

// switching disables or enables an account and prints the outcome.
func (o *operate) switching(ctx context.Context, handle, verb, done string) error {
	var e control.Ending
	if err := o.node().Post(ctx, "/accounts/"+url.PathEscape(handle)+"/"+verb, nil, &e); err != nil {
		return err
	}
	return o.show(e, func(w io.Writer) {
		switch {
		case e.Already:
			fmt.Fprintf(w, "@%s was %s already.\n", e.Handle, done)
		case verb == "disable":
			fmt.Fprintf(w, "Disabled @%s. Ended: %d.\n", e.Handle, e.Ended)
		default:
			fmt.Fprintf(w, "Enabled @%s. No session came back; they sign in again.\n", e.Handle)
		}
	})
}

type deleteAccountCommand struct {
	operate
	Handle string `arg:""`
	Now    bool   `help:"Without the seven days. Nobody can bring the account back."`
}

// Run begins the deletion of an account.
func (c *deleteAccountCommand) Run(ctx context.Context) error {
	var d control.Deletion
	path := "/accounts/" + url.PathEscape(c.Handle) + "/delete"
	if err := c.node().Post(ctx, path, control.Deletion{Now: c.Now}, &d); err != nil {
		return err
	}
	return c.show(d, func(w io.Writer) {
		switch {
		case d.Now:
			fmt.Fprintf(w, "Ended: %d. @%s is being deleted, as soon as its apps have been told, or cannot be.\n", d.Ended, d.Handle)
		case d.Already:
			fmt.Fprintf(w, "That was asked for already: @%s is deleted after %s.\n", d.Handle, when(d.After))
		default:
			fmt.Fprintf(w, "Ended: %d. @%s is deleted after %s. Until then `exeunt accounts keep %s` keeps it, and so can its owner.\n",
				d.Ended, d.Handle, when(d.After), d.Handle)
		}
	})
}

type secureAccountCommand struct {
	operate
	Handle string `arg:""`
}

// Run secures an account.
func (c *secureAccountCommand) Run(ctx context.Context) error {
	var e control.Ending
	if err := c.node().Post(ctx, "/accounts/"+url.PathEscape(c.Handle)+"/secure", nil, &e); err != nil {
		return err
	}
	return c.show(e, func(w io.Writer) {
		fmt.Fprintf(w, "Ended: %d. At the next sign-in @%s goes through password, factors, e-mail address and apps.\n"+
			"If somebody else knows the password, give @%s a link for a new one: exeunt accounts reset %s\n",
			e.Ended, e.Handle, e.Handle, e.Handle)
	})
}

type keepAccountCommand struct {
	operate
	Handle string `arg:""`
}

// Run keeps an account.
func (c *keepAccountCommand) Run(ctx context.Context) error {
	var e control.Ending
	if err := c.node().Post(ctx, "/accounts/"+url.PathEscape(c.Handle)+"/keep", nil, &e); err != nil {
		return err
	}
	return c.show(e, func(w io.Writer) {
		if e.Already {
			fmt.Fprintf(w, "@%s was not to be deleted.\n", e.Handle)
			return
		}
		fmt.Fprintf(w, "@%s is kept. No session came back; they sign in again.\n", e.Handle)
	})
}

type resetAccountCommand struct {
	operate
	Handle string `arg:""`
}

// Run prints a link for a new password.
func (c *resetAccountCommand) Run(ctx context.Context) error {
	var made control.Added
	if err := c.node().Post(ctx, "/accounts/"+url.PathEscape(c.Handle)+"/reset", nil, &made); err != nil {
		return err
	}
	return c.show(made, func(w io.Writer) {
		fmt.Fprintf(w, "Give this link to @%s and nobody else: whoever opens it sets the password. It works once, for a day.\n"+
			"Using it ends every session of the account. Earlier links no longer work.\n%s\n",
			made.Handle, made.Link)
	})
}

type removeFactorCommand struct {
	operate
	Handle string `arg:""`
	ID     string `arg:"" optional:"" help:"The factor, as fac_…: \"accounts show\" lists them."`
	All    bool   `help:"Every factor, with the recovery codes: the password alone then signs in."`
}

// Run removes factors.
func (c *removeFactorCommand) Run(ctx context.Context) error {
	if (c.ID == "") != c.All {
		return errors.New("name either one factor or --all")
	}
	var done control.FactorsRemoved
	path := "/accounts/" + url.PathEscape(c.Handle) + "/remove-factor"
	if err := c.node().Post(ctx, path, control.FactorToRemove{ID: c.ID}, &done); err != nil {
		return err
	}
	return c.show(done, func(w io.Writer) {
		for _, f := range done.Removed {
			fmt.Fprintf(w, "Removed %s from @%s: %s %s\n", f.ID, done.Handle, f.Kind, f.Name)
		}
		fmt.Fprintf(w, "Ended: %d\n", done.Ended)
	})
}

type removePictureCommand struct {
	operate
	Handle string `arg:""`
}

// Run removes a picture.
func (c *removePictureCommand) Run(ctx context.Context) error {
	var e control.Ending
	if err := c.node().Post(ctx, "/accounts/"+url.PathEscape(c.Handle)+"/remove-picture", nil, &e); err != nil {
		return err
	}
	return c.show(e, func(w io.Writer) {
		if e.Already {
			fmt.Fprintf(w, "@%s has no picture.\n", e.Handle)
			return
		}
		fmt.Fprintf(w, "Removed the picture of @%s. Apps that have copied it keep their copy.\n", e.Handle)
	})
}

type invitesCommand struct{ operate }

// Run lists links that have not been used.
func (c *invitesCommand) Run(ctx context.Context) error {
	var list []control.Invite
	if err := c.node().Get(ctx, "/invites", nil, &list); err != nil {
		return err
	}
	return c.show(list, func(w io.Writer) {
		fmt.Fprintln(w, "HANDLE\tFOR\tNAME\tE-MAIL\tEXPIRES")
		for _, i := range list {
			handle := "(chosen by its user)"
			if i.Handle != "" {
				handle = "@" + i.Handle
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", handle, i.For, i.Name, i.Email, when(i.Expires))
		}
	})
}

type uninviteCommand struct {
	operate
	Handle string `arg:""`
}

// Run withdraws links.
func (c *uninviteCommand) Run(ctx context.Context) error {
	var e control.Ending
	if err := c.node().Post(ctx, "/invites/"+url.PathEscape(c.Handle)+"/withdraw", nil, &e); err != nil {
		return err
	}
	return c.show(struct {
		Withdrawn int64 `json:"withdrawn"`
	}{e.Ended}, func(w io.Writer) {
		fmt.Fprintf(w, "Withdrawn: %d. Links for @%s no longer work.\n", e.Ended, e.Handle)
	})
}

type auditCommand struct {
	listing
	Handle string `arg:""`
}

// Run shows what was done to an account.
func (c *auditCommand) Run(ctx context.Context) error {
	header := "WHEN\tACTION\tDETAIL\tBY\tFROM\tSESSION"
	path := "/accounts/" + url.PathEscape(c.Handle) + "/audit"
	return list(ctx, &c.listing, path, url.Values{}, header, func(w io.Writer, e control.AuditEntry) {
		by := e.By
		if e.ByLabel != "" {
			by += " (" + e.ByLabel + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", when(e.At), e.Action, e.Detail, by, e.Address, e.Session)
	})
}

type confirmEmailCommand struct {
	operate
	Handle  string `arg:""`
	Address string `arg:"" help:"The owner's address. It is refused if the account has another."`
}

// Run confirms an e-mail address.
func (c *confirmEmailCommand) Run(ctx context.Context) error {
	var done control.EmailOf
	path := "/accounts/" + url.PathEscape(c.Handle) + "/confirm-email"
	if err := c.node().Post(ctx, path, control.EmailOf{Email: c.Address}, &done); err != nil {
		return err
	}
	return c.show(done, func(w io.Writer) {
		fmt.Fprintf(w, "Confirmed %s as the address of @%s\n", done.Email, done.Handle)
	})
}
