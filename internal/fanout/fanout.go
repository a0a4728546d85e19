// Package fanout tells apps that sessions have ended, by OpenID Connect Back-Channel Logout 1.0 or by connectors, which
// end what somebody has in an app by the app's own API. And it tells webhooks what has happened to sessions.
//
// It owns which apps and webhooks an event is told to, the logout tokens, what a connector does, what a webhook's
// messages say, the attempts, and which addresses may be reached. It works off the log by a cursor that is stored, so an
// ending waits for nothing of it, and nothing is lost between. It ends no sessions, and does not decide how apps sign
// people in.
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
	Open     func(purpose string, sealed []byte) ([]byte, error)
	Issuer   string // of the tokens
	Webhooks []Webhook
	News     <-chan struct{} // receives when the log may have more
	Now      func() time.Time
	Log      *slog.Logger
}

// Service is safe for concurrent use. Call Run.
type Service struct {
	Config
	node     []byte // a random name of this node
	client   *http.Client
	wake     chan struct{} // something is due for apps, or could be sent by now
	atClient int           // where the next round begins, so that each client gets its turn

	places[exeunt.ClientID]

	// Webhooks have places of their own: one that hangs takes none from apps.
	toWebhooks places[exeunt.WebhookName]
	wakeHooks  chan struct{}
	// mostMessages is store.MaxPendingMessages, except in tests.
	mostMessages int
}

// New returns a service.
func New(c Config) *Service {
	node := make([]byte, 16)
	rand.Read(node)
	return &Service{
		Config: c, node: node, client: newClient(), wake: make(chan struct{}, 1), wakeHooks: make(chan struct{}, 1),
		mostMessages: store.MaxPendingMessages,
		places:       places[exeunt.ClientID]{circuits: map[exeunt.ClientID]*circuit{}},
		toWebhooks:   places[exeunt.WebhookName]{circuits: map[exeunt.WebhookName]*circuit{}},
	}
}

// Run tells apps and webhooks until ctx is done. It returns when no attempt is under way any more; those that were cut
// off are made again by another node or after the next start.
func (s *Service) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { s.readLog(ctx) })
	wg.Go(func() { s.send(ctx) })
	wg.Go(func() { s.sendMessages(ctx) })
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
