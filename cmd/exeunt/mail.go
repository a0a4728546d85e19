package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/exeunt/exeunt/internal/control"
)

type mailCommand struct {
	List  listMailsCommand `cmd:"" help:"List the mails of the last days, latest first."`
	Retry retryMailCommand `cmd:"" help:"Try a mail again that was refused or given up."`
	Test  testMailCommand  `cmd:"" help:"Send a test to an address, and say what came of it."`
}

type listMailsCommand struct {
	listing
	State string `help:"Only those that are pending, sent, refused or gave_up."`
}

// Run lists mails.
func (c *listMailsCommand) Run(ctx context.Context) error {
	header := "MAIL\tABOUT\tSTATE\tTO\tACCOUNT\tQUEUED\tATTEMPTS\tERROR"
	return list(ctx, &c.listing, "/mails", url.Values{"state": {c.State}}, header, func(w io.Writer, m control.Mail) {
		account := ""
		if m.Handle != "" {
			account = "@" + m.Handle
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", m.ID, m.Template, m.State, m.To, account, when(m.Created),
			m.Attempts, m.Error)
	})
}

type retryMailCommand struct {
	operate
	ID string `arg:"" help:"The mail, as mail_…"`
}

// Run tries a mail again.
func (c *retryMailCommand) Run(ctx context.Context) error {
	var m control.Mail
	if err := c.node().Post(ctx, "/mails/"+url.PathEscape(c.ID)+"/retry", nil, &m); err != nil {
		return err
	}
	return c.outcome(ctx, m)
}

type testMailCommand struct {
	operate
	Address string `arg:"" help:"The address."`
}

// Run sends a test.
func (c *testMailCommand) Run(ctx context.Context) error {
	var m control.Mail
	if err := c.node().Post(ctx, "/mails/test", control.MailTo{To: c.Address}, &m); err != nil {
		return err
	}
	return c.outcome(ctx, m)
}

// Somebody who waits for a mail is told within mailPatience what came of its next attempt.
const mailPatience = 30 * time.Second

// outcome waits for the next attempt of a mail and prints what came of it.
func (o *operate) outcome(ctx context.Context, m control.Mail) error {
	ctx, cancel := context.WithTimeout(ctx, mailPatience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for m.State == "pending" && m.Error == "" && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			now := control.Mail{}
			if err := o.node().Get(ctx, "/mails/"+m.ID, nil, &now); err == nil {
				m = now
			} else if ctx.Err() == nil {
				return err
			}
		}
	}
	if err := o.show(m, func(w io.Writer) {
		switch m.State {
		case "sent":
			fmt.Fprintln(w, "Sent: the mail server has accepted it.")
		case "pending":
			fmt.Fprintf(w, "Not sent yet; it is tried again. Look at `exeunt mail list`.\n")
		}
	}); err != nil || m.State == "sent" {
		return err
	}
	if m.Error == "" {
		return fmt.Errorf("the mail server has not answered within %v", mailPatience)
	}
	return fmt.Errorf("the mail was not accepted (%s): %s", m.State, m.Error)
}

func mailStatus(w io.Writer, m *control.MailTotals) {
	number := func(n int64, atLeast bool) string {
		if atLeast {
			return fmt.Sprintf("more than %d", n)
		}
		return fmt.Sprint(n)
	}
	if !m.On {
		fmt.Fprint(w, "mails\toff\tno mail server is configured\n")
	}
	if m.On || m.Pending > 0 || m.Failed > 0 {
		fmt.Fprintf(w, "mails\t%s\tthat are pending; %s failed in the last 7 days\n", number(m.Pending, m.PendingAtLeast),
			number(m.Failed, m.FailedAtLeast))
	}
}
