package operate

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// Client is a client as operators see it.
type Client struct {
	exeunt.Client
	FromFile         bool // it is in the configuration file, where alone it can be changed
	Created, Changed time.Time
	AppSessions      exeunt.Total // that have not ended; a list does not have it
}

func clientOf(r *store.RegisteredClient) Client {
	return Client{Client: r.Client, FromFile: r.Source == store.ClientFromFile, Created: r.Created, Changed: r.Changed}
}

// Clients lists the clients, in the order of their IDs.
func (s *Service) Clients(ctx context.Context, by exeunt.Actor, after exeunt.Cursor, limit int) (
	out List[Client], err error) {
	if err := check(by); err != nil {
		return out, err
	}
	p, err := s.Store.RegisteredClients(ctx, after, limit)
	if err != nil {
		return out, err
	}
	out.Next = p.Next
	for i := range p.Items {
		out.Items = append(out.Items, clientOf(&p.Items[i]))
	}
	if after == "" {
		out.Count, err = s.Store.CountClients(ctx)
	}
	return out, err
}

// Client returns a client.
func (s *Service) Client(ctx context.Context, by exeunt.Actor, id exeunt.ClientID) (c Client, err error) {
	if err := check(by); err != nil {
		return c, err
	}
	r, err := s.Store.RegisteredClient(ctx, id)
	if err != nil {
		return c, err
	}
	c = clientOf(&r)
	c.AppSessions, err = s.Store.CountAppsOf(ctx, id)
	return c, err
}

// AddClient registers a client, and returns the secret that it made unless the client is public. The error may also be
// ErrClientTaken or ErrClientSettings.
func (s *Service) AddClient(ctx context.Context, by exeunt.Actor, c exeunt.Client) (
	out Client, secret exeunt.Token, err error) {
	if err := check(by); err != nil {
		return out, secret, err
	}
	if c.Keys = nil; !c.Public() {
		secret = exeunt.NewToken(exeunt.UseClient)
		c.Keys = []exeunt.TokenHash{secret.Hash()}
	}
	if err := s.Store.AddClient(ctx, c, by, s.Authority.Now()); err != nil {
		return out, exeunt.Token{}, err
	}
	return s.changed(ctx, by, c.ID, secret)
}

// ChangeClient changes a client. One that becomes public loses its secrets; one that is no longer public gets one,
// which is returned. The error may also be change's, ErrClientOfFile or ErrClientSettings.
func (s *Service) ChangeClient(ctx context.Context, by exeunt.Actor, id exeunt.ClientID,
	change func(*exeunt.Client) error) (out Client, secret exeunt.Token, err error) {
	if err := check(by); err != nil {
		return out, secret, err
	}
	fresh := exeunt.NewToken(exeunt.UseClient)
	c, err := s.Store.ChangeClient(ctx, id, by, s.Authority.Now(), func(c *exeunt.Client) error {
		if err := change(c); err != nil {
			return err
		}
		switch {
		case c.Public():
			c.Keys = nil
		case len(c.Keys) == 0:
			c.Keys = []exeunt.TokenHash{fresh.Hash()}
		}
		return nil
	})
	if err != nil {
		return out, secret, err
	}
	if c.HasKey(fresh.Hash()) {
		secret = fresh
	}
	return s.changed(ctx, by, id, secret)
}

// RotateSecret makes a new secret of a client beside its newest one; an older one is no longer valid. The error may
// also be ErrClientOfFile or ErrNoSecret.
func (s *Service) RotateSecret(ctx context.Context, by exeunt.Actor, id exeunt.ClientID) (
	out Client, secret exeunt.Token, err error) {
	fresh := exeunt.NewToken(exeunt.UseClient)
	out, _, err = s.ChangeClient(ctx, by, id, func(c *exeunt.Client) error {
		if c.Public() {
			return exeunt.ErrNoSecret
		}
		c.Keys = append([]exeunt.TokenHash{fresh.Hash()}, c.Keys[:min(1, len(c.Keys))]...)
		return nil
	})
	if err != nil {
		return out, secret, err
	}
	return out, fresh, nil
}

// DropOldSecret leaves a client its newest secret only. The error may also be ErrClientOfFile, ErrNoSecret or
// ErrNoOldSecret.
func (s *Service) DropOldSecret(ctx context.Context, by exeunt.Actor, id exeunt.ClientID) (out Client, err error) {
	out, _, err = s.ChangeClient(ctx, by, id, func(c *exeunt.Client) error {
		switch {
		case c.Public():
			return exeunt.ErrNoSecret
		case len(c.Keys) < 2:
			return exeunt.ErrNoOldSecret
		}
		c.Keys = c.Keys[:1]
		return nil
	})
	return out, err
}

// RemoveClient removes a client, and returns how many app sessions ended with it. The error may also be ErrClientOfFile.
func (s *Service) RemoveClient(ctx context.Context, by exeunt.Actor, id exeunt.ClientID) (n exeunt.Total, err error) {
	if err := check(by); err != nil {
		return n, err
	}
	if n, err = s.Store.CountAppsOf(ctx, id); err != nil {
		return n, err
	}
	if err := s.Store.RemoveClient(ctx, id, by, s.Authority.Now()); err != nil {
		return n, err
	}
	s.ClientsChanged(ctx)
	return n, nil
}

// changed returns a client that was changed, once this node knows of it.
func (s *Service) changed(ctx context.Context, by exeunt.Actor, id exeunt.ClientID, secret exeunt.Token) (
	Client, exeunt.Token, error) {
	s.ClientsChanged(ctx)
	c, err := s.Client(ctx, by, id)
	return c, secret, err
}
