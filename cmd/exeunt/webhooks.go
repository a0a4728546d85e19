package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/exeunt/exeunt/internal/control"
)

type webhooksCommand struct {
	List listWebhooksCommand `cmd:"" help:"List webhooks, and what they have not been told yet."`
	Test testWebhookCommand  `cmd:"" help:"Send a ping to a webhook, and print what it answers."`
}

type listWebhooksCommand struct{ listing }

// Run lists webhooks.
func (c *listWebhooksCommand) Run(ctx context.Context) error {
	header := "WEBHOOK\tSTATE\tADDRESS\tEVENTS\tPENDING\tSINCE\tGIVEN UP\tERROR"
	return list(ctx, &c.listing, "/webhooks", url.Values{}, header, func(w io.Writer, v control.Webhook) {
		since := ""
		if !v.Since.IsZero() {
			since = when(v.Since)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.Name, v.State, v.URL, strings.Join(v.Events, ","),
			atLeast(v.Pending, v.PendingAtLeast), since, atLeast(v.GaveUp, v.GaveUpAtLeast), v.Error)
	})
}

type testWebhookCommand struct {
	operate
	Name string `arg:"" help:"Its name in the configuration file."`
}

// Run sends a ping.
func (c *testWebhookCommand) Run(ctx context.Context) error {
	var a control.WebhookAnswer
	if err := c.node().Post(ctx, "/webhooks/"+url.PathEscape(c.Name)+"/test", nil, &a); err != nil {
		return err
	}
	if err := c.show(a, func(w io.Writer) {
		if a.Status > 0 {
			fmt.Fprintf(w, "answer\t%d\tafter %d ms\n", a.Status, a.Millis)
		}
		if a.Body != "" {
			fmt.Fprintf(w, "body\t%q\n", a.Body)
		}
	}); err != nil || a.Confirmed {
		return err
	}
	return fmt.Errorf("the webhook %s has not confirmed the ping (%s): it must answer 2xx within ten seconds", c.Name, a.Error)
}

func webhookStatus(w io.Writer, t control.WebhookTotals) {
	fmt.Fprintf(w, "webhook\t%s\tmessages to %s that are pending", atLeast(t.Pending, t.PendingAtLeast), t.Name)
	if !t.Since.IsZero() {
		fmt.Fprintf(w, ", the oldest since %s", when(t.Since))
	}
	if t.Error != "" {
		fmt.Fprintf(w, " (%s)", t.Error)
	}
	fmt.Fprintf(w, "; %s given up in the last 7 days\n", atLeast(t.GaveUp, t.GaveUpAtLeast))
}
