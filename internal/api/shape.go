package api

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
)

// session is a session as the API shows it.
func (a *API) session(s exeunt.Session, current exeunt.SessionID) client.Session {
	out := client.Session{
		ID: s.ID.String(), Kind: string(s.Kind), Label: s.Label, Methods: s.Methods.Strings(), Proved: utc(s.Proved),
		Started: utc(s.Started), Seen: utc(s.Seen), IdleAt: utc(s.IdleAt()), ExpiresAt: utc(s.ExpiresAt),
		Current: s.ID == current, Ended: ended(s.End), Apps: []client.AppSession{}, AppCount: s.AppCount,
	}
	if s.Address.IsValid() {
		out.Address = s.Address.String()
	}
	if s.LastAddress.IsValid() {
		out.LastAddress = s.LastAddress.String()
	}
	for _, app := range s.Apps {
		out.Apps = append(out.Apps, client.AppSession{
			ID: app.ID.String(), Client: string(app.Client), Name: a.clientName(app.Client),
			Started: utc(app.Started), Seen: utc(app.Seen),
		})
	}
	return out
}

// sessionFor is the caller's session. An app session does not see its parent's other apps.
func (a *API) sessionFor(ctx context.Context, who authority.Answer) (client.Session, error) {
	s, err := a.Authority.Session(ctx, who.Account, who.Session)
	if err == nil && !who.App.IsZero() {
		s.Apps, s.AppCount = make([]exeunt.AppSession, 1), 1
		s.Apps[0], err = a.Authority.AppSession(ctx, who.Account, who.App)
	}
	return a.session(s, who.Session), err
}

// clientName is the app's name, or its ID if it is no longer registered.
func (a *API) clientName(id exeunt.ClientID) string {
	if c, err := a.OAuth.Client(id); err == nil {
		return c.Name
	}
	return string(id)
}

func ended(e *exeunt.Ended) *client.Ended {
	if e == nil {
		return nil
	}
	return &client.Ended{At: utc(e.At), Reason: string(e.Reason), By: string(e.By), ByLabel: e.ByLabel}
}

func (a *API) account(ctx context.Context, who authority.Answer) (client.Account, error) {
	p, err := a.Authority.Profile(ctx, who)
	return client.Account{ID: who.Account.String(), Handle: p.Handle, Name: p.Name, Email: p.Email,
		Groups: append([]string{}, p.Groups...)}, err
}

func appRef(who authority.Answer) *client.AppRef {
	if who.App.IsZero() {
		return nil
	}
	return &client.AppRef{ID: who.App.String(), Client: string(who.Client)}
}

func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
