package oauth

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Registry returns the registered clients. It answers from memory, and reads the
// store again when an event says that a client has changed, on this or another node.
// It is safe for concurrent use.
type Registry struct {
	store   *store.Store
	changes *authority.Listener
	log     *slog.Logger

	mu      sync.Mutex // held while reading the store, so that an older read does not replace a newer one
	clients atomic.Pointer[map[exeunt.ClientID]exeunt.Client]
	sites   atomic.Pointer[map[string]exeunt.Client] // by host
	relayed atomic.Pointer[map[string]exeunt.Client] // those with an upstream, by the host's name
	reports *throttle.Throttle
}

// NewRegistry returns a registry of the store's clients. Call Run to have it follow
// the log.
func NewRegistry(ctx context.Context, s *store.Store, a *authority.Authority, log *slog.Logger) (*Registry, error) {
	// It listens before it reads, so that no change falls in between.
	r := &Registry{store: s, changes: a.Listen(exeunt.AccountID{}), log: log, reports: throttle.New(a.Now)}
	if err := r.load(ctx); err != nil {
		r.changes.Close()
		return nil, err
	}
	return r, nil
}

// fileActor is the actor of events about clients of the configuration file.
var fileActor = exeunt.Actor{Kind: exeunt.ActorOperator, Label: "configuration file"}

// Reconcile updates the store to the clients that the configuration file has now.
func (r *Registry) Reconcile(ctx context.Context, file []exeunt.Client, now time.Time) error {
	if err := r.store.ReconcileClients(ctx, file, fileActor, now); err != nil {
		return fmt.Errorf("save the clients of the configuration file: %w", err)
	}
	return r.load(ctx)
}

// ReconcileConnectors updates the store to the connectors that the configuration file has now.
func (r *Registry) ReconcileConnectors(ctx context.Context, file []exeunt.Connector, now time.Time) error {
	unknown, err := r.store.ReconcileConnectors(ctx, file, fileActor, now)
	if err != nil {
		return fmt.Errorf("save the connectors of the configuration file: %w", err)
	}
	for _, id := range unknown {
		r.log.Warn("a connector does nothing until its client is registered", "client", id)
	}
	return r.load(ctx)
}

const (
	firstPause  = 100 * time.Millisecond
	maxPause    = 10 * time.Second
	loadTimeout = 5 * time.Second
)

// Run reads the clients again whenever they have changed, until ctx is done.
func (r *Registry) Run(ctx context.Context) {
	defer r.changes.Close()
	for {
		select {
		case <-r.changes.C():
		case <-ctx.Done():
			return
		}
		for pause := firstPause; ; pause = min(2*pause, maxPause) {
			err := r.load(ctx)
			if err == nil {
				break
			}
			r.log.Warn("cannot read changed clients: using the former ones for now", "err", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
	}
}

// Reload reads the clients now, for somebody who waits for a change that was committed. If that fails, Run goes on
// trying, because the change is an event.
func (r *Registry) Reload(ctx context.Context) {
	if err := r.load(ctx); err != nil {
		r.log.Warn("cannot read changed clients: using the former ones for now", "err", err)
	}
}

func (r *Registry) load(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	list, err := r.store.Clients(ctx)
	if err != nil {
		return err
	}
	clients := make(map[exeunt.ClientID]exeunt.Client, len(list))
	sites, relayed := map[string]exeunt.Client{}, map[string]exeunt.Client{}
	for _, c := range list {
		clients[c.ID] = c
		if c.Site != nil {
			sites[c.Site.Host] = c
		}
		if c.Site != nil && c.Site.Upstream != "" {
			relayed[c.Site.HostName()] = c
		}
	}
	r.clients.Store(&clients)
	r.sites.Store(&sites)
	r.relayed.Store(&relayed)
	return nil
}

// Clients returns all registered clients. The caller must not change the map.
func (r *Registry) Clients() map[exeunt.ClientID]exeunt.Client { return *r.clients.Load() }

// Client returns a registered client, or ErrNotFound.
func (r *Registry) Client(id exeunt.ClientID) (exeunt.Client, error) {
	c, ok := r.Clients()[id]
	if !ok {
		return c, fmt.Errorf("client %q: %w", id, exeunt.ErrNotFound)
	}
	return c, nil
}

// SiteAt returns the site of a host, as browsers name it.
func (r *Registry) SiteAt(host string) (exeunt.Client, bool) {
	c, ok := (*r.sites.Load())[strings.ToLower(host)]
	return c, ok
}

// Relayed returns the sites whose proxy this program is, by the names of their hosts without a port. The caller must not
// change the map.
func (r *Registry) Relayed() map[string]exeunt.Client { return *r.relayed.Load() }

// ByKey returns the client whose secret it is.
func (r *Registry) ByKey(key exeunt.Token) (found exeunt.Client, ok bool) {
	if key.Use() != exeunt.UseClient {
		return found, false
	}
	h := key.Hash()
	for _, c := range r.Clients() {
		if c.HasKey(h) {
			found, ok = c, true
		}
	}
	return found, ok
}

// CheckedByKey returns the client whose secret it is, if it may follow the log.
func (r *Registry) CheckedByKey(key exeunt.Token) (exeunt.Client, bool) {
	c, ok := r.ByKey(key)
	if !ok || !c.Checked {
		return exeunt.Client{}, false
	}
	return c, true
}
