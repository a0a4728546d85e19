package doctor

import (
	"net/http"
	"net/url"
	"time"

	"github.com/exeunt/exeunt/internal/control"
)

// running asks the node how it is.
func (e *examination) running() {
	const check = "node"
	ctx, cancel := e.soon()
	defer cancel()
	var s control.Status
	if err := e.node.Get(ctx, "/status", nil, &s); err != nil {
		e.fault(check, "Start it with `exeunt serve`; run this as the node's user, or as root.", "no node answers: %v", err)
		return
	}
	e.status = &s
	switch {
	case !s.Ready:
		e.fault(check, s.Problem, "it is not ready")
	case s.URL != e.Config.URL:
		e.fault(check, "Give this command the configuration that the node has.", "the node serves %s, and this configuration says %s", s.URL, e.Config.URL)
	case s.Version != e.Version:
		e.warn(check, "Restart the node, so that it runs the program that is installed.", "it runs version %s, and this program is %s", s.Version, e.Version)
	default:
		e.ok(check, "version %s, with %d accounts and %d live sessions", s.Version, s.Accounts, s.Sessions)
	}
}

// late is after how long something that is owed to an app is a fault. Apps are tried again for a day.
const late = 10 * time.Minute

// owed looks at what apps, webhooks and people should have been told.
func (e *examination) owed() {
	if e.status == nil {
		return
	}
	found := false
	for _, n := range e.status.Notices {
		if age := e.Now().Sub(n.Since); age > late {
			found = true
			e.fault("deliveries", "See that the app's back-channel address answers; it is tried again by itself.",
				"%s has not confirmed sign-outs since %s: %s", n.Client, n.Since.Format(time.DateTime), n.Error)
		}
	}
	for _, w := range e.status.Webhooks {
		switch {
		case w.Pending > 0 && e.Now().Sub(w.Since) > late:
			e.fault("deliveries", "See that it answers: `exeunt webhooks test "+w.Name+"`.", "webhook %s has not confirmed messages since %s: %s",
				w.Name, w.Since.Format(time.DateTime), w.Error)
		case w.GaveUp > 0:
			e.warn("deliveries", "See that it answers: `exeunt webhooks test "+w.Name+"`.", "%d messages to webhook %s were given up in the last 7 days", w.GaveUp, w.Name)
		default:
			continue
		}
		found = true
	}
	if m := e.status.Mails; m != nil && m.Failed > 0 {
		found = true
		e.warn("deliveries", "Look at `exeunt mail list --state refused` and `--state gave_up`.", "%d mails have failed in the last 7 days", m.Failed)
	}
	if !found {
		e.ok("deliveries", "nothing that apps, webhooks or people should know is late")
	}
}

// mail connects to the mail server, from the node.
func (e *examination) mail() {
	if e.status == nil {
		return
	}
	if !e.Config.SMTP.Enabled() {
		e.ok("mail", "no mail server is configured, so what needs mails is not offered")
		return
	}
	ctx, cancel := e.soon()
	defer cancel()
	var r control.MailReached
	if err := e.node.Post(ctx, "/mails/reach", nil, &r); err != nil {
		e.fault("mail", "Restart the node, so that it has this configuration.", "the node cannot say: %v", err)
		return
	}
	if !r.OK {
		e.fault("mail", "Put the smtp settings right, or the server; `exeunt mail test ADDRESS` sends one.", "the mail server takes no mails: %s", r.Error)
		return
	}
	e.ok("mail", "%s takes mails", e.Config.SMTP.Host)
}

// backchannels asks each app's back-channel address as an app must answer: without a token it is a bad request (OpenID
// Connect Back-Channel Logout 1.0 section 2.8). Nothing is signed out by that.
func (e *examination) backchannels() {
	if e.status == nil {
		return
	}
	var page control.Page[control.RegisteredClient]
	for after := ""; ; after = page.Next {
		page = control.Page[control.RegisteredClient]{}
		ctx, cancel := e.soon()
		err := e.node.Get(ctx, "/clients", url.Values{"after": {after}}, &page)
		cancel()
		if err != nil {
			e.fault("apps", "Run this as the node's user, or as root.", "the node does not list them: %v", err)
			return
		}
		for i := range page.Items {
			if c := &page.Items[i]; c.BackchannelURI != nil && *c.BackchannelURI != "" {
				e.backchannel(c)
			}
		}
		if page.Next == "" {
			return
		}
	}
}

func (e *examination) backchannel(c *control.RegisteredClient) {
	check := "app " + c.ID
	const remedy = "Start the app, or put its backchannel_uri right: until then it is not told of sign-outs, and keeps people signed in."
	ctx, cancel := e.soon()
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, *c.BackchannelURI, http.NoBody)
	if err != nil {
		e.fault(check, remedy, "its back-channel address cannot be asked: %v", err)
		return
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	begun := time.Now()
	resp, err := e.http.Do(r)
	if err != nil {
		e.fault(check, remedy, "its back-channel address does not answer: %v", err)
		return
	}
	resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusBadRequest:
		e.ok(check, "its back-channel address answers within %v", time.Since(begun).Round(time.Millisecond))
	case resp.StatusCode >= 300 && resp.StatusCode < 400 || resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed:
		e.fault(check, remedy, "nothing takes sign-outs at its back-channel address: %s", resp.Status)
	case resp.StatusCode >= 500:
		e.fault(check, "See the app's log.", "its back-channel address answers %s", resp.Status)
	default:
		e.warn(check, "Sign out of the app once, and see whether it is told: `exeunt status`.",
			"its back-channel address answers %s to what is no sign-out; 400 was expected", resp.Status)
	}
}
