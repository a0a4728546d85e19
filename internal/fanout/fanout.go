// Package fanout tells apps that sessions have ended, by OpenID Connect Back-Channel Logout 1.0 or by connectors, which
// end what somebody has in an app by the app's own API.
//
// It owns which apps an event is told to, the logout tokens, what a connector does, the attempts, and which addresses
// may be reached. It works off the log by a cursor that is stored, so an ending waits for nothing of it, and nothing is
// lost between. It ends no sessions, and does not decide how apps sign people in.
package fanout

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// Config is what a Service is made of. All fields are needed.
type Config struct {
	Store *store.Store
	// Sign signs a token of that algorithm and sort.
	Sign func(alg, typ string, payload []byte) (string, error)
	// Open opens what was sealed by the master key, as connectors' secrets are.
	Open   func(purpose string, sealed []byte) ([]byte, error)
	Issuer string          // of the tokens
	News   <-chan struct{} // receives when the log may have more
	Now    func() time.Time
	Log    *slog.Logger
}

// Service is safe for concurrent use. Call Run.
type Service struct {
	Config
	node   []byte // a random name of this node
	client *http.Client
	wake   chan struct{} // something is due, or could be sent by now

	mu       sync.Mutex
	circuits map[exeunt.ClientID]*circuit
	busy     int // attempts under way
	troubled int // of those, to clients whose circuit is open
	turn     int // where the next round begins, so that each client gets its turn
}

// New returns a service.
func New(c Config) *Service {
	node := make([]byte, 16)
	rand.Read(node)
	return &Service{Config: c, node: node, client: newClient(), wake: make(chan struct{}, 1),
		circuits: map[exeunt.ClientID]*circuit{}}
}

// Run tells apps until ctx is done. It returns when no attempt is under way any more; those that were cut off are made
// again by another node or after the next start.
func (s *Service) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { s.readLog(ctx) })
	wg.Go(func() { s.send(ctx) })
	wg.Wait()
}

func (s *Service) wakeSender() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Totals says how it stands with each client that has pending deliveries.
func (s *Service) Totals(ctx context.Context) ([]Totals, error) {
	list, err := s.Store.DeliveryTotals(ctx)
	out := make([]Totals, len(list))
	for i, v := range list {
		out[i] = Totals{v, s.isOpen(v.Client)}
	}
	return out, err
}

// Totals are a client's.
type Totals struct {
	exeunt.DeliveryTotals
	// Open: this node has failed to reach the app so often that it only tries now and then.
	Open bool
}

// logged is for what goes on by itself and is tried again.
func (s *Service) logged(what string, err error) {
	s.Log.Warn("could not "+what+"; trying again", "err", err)
}
