package webapp

import (
	"context"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/exeunt/exeunt/client"
)

// stream sends an open page its session's state until the session ends.
func (a *App) stream(w http.ResponseWriter, r *http.Request) {
	token, found := a.token(r)
	if !found || token.IsZero() {
		client.WriteState(w, client.State{State: client.Over})
		return
	}
	// Check before listening: any twenty characters may be a token, and each would
	// open a stream to the authority.
	if s := a.stateNow(r); s.State != client.Live {
		client.WriteState(w, s)
		return
	}
	// Check again after listening, so that no change in between is missed.
	page, leave, ok := a.streams.join(token)
	if !ok {
		client.WriteState(w, client.State{State: client.Unknown})
		return
	}
	defer leave()
	s := a.stateNow(r)
	if s.State != client.Live {
		client.WriteState(w, s)
		return
	}
	out := client.NewStreamWriter(w)
	if out.State(s) != nil {
		return
	}
	tick := time.NewTicker(client.Beat)
	defer tick.Stop()
	for s.State != client.Over {
		var err error
		select {
		case s = <-page:
			err = out.State(s)
		case <-tick.C:
			err = out.Beat()
		case <-r.Context().Done():
			return
		case <-a.streams.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// streams follows app sessions at the authority for open pages: one stream for each
// session, however many pages it has.
type streams struct {
	client *client.Client
	ctx    context.Context
	stop   context.CancelFunc

	mu   sync.Mutex
	open map[[sha256.Size]byte]*stream // by the token's hash
}

// stream is the stream of one session.
type stream struct {
	pages  map[page]bool // false for what only waits for the end
	shown  int           // how many are true
	last   client.State  // zero until the first message
	cancel context.CancelFunc
	linger *time.Timer // runs while there is no page
}

// page receives the latest state for an open page.
type page chan client.State

const (
	// lingerFor keeps the stream while a person goes from page to page.
	lingerFor = 5 * time.Second
	// maxPages open for one session; browsers share one stream between tabs.
	maxPages = 32
)

func newStreams(c *client.Client) *streams {
	s := &streams{client: c, open: map[[sha256.Size]byte]*stream{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// join adds a page. Call leave afterwards; ok is false if the session has too many
// pages already.
func (s *streams) join(token client.Secret) (p page, leave func(), ok bool) {
	return s.add(token, true)
}

// watch is join for something that the app keeps open. Its own server bounds that, and
// it takes no page's place.
func (s *streams) watch(token client.Secret) (p page, leave func()) {
	p, leave, _ = s.add(token, false)
	return p, leave
}

func (s *streams) add(token client.Secret, isPage bool) (p page, leave func(), ok bool) {
	key := sha256.Sum256([]byte(token.Reveal()))
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.open[key]
	if of == nil {
		of = s.start(key, token)
	}
	if isPage && of.shown >= maxPages {
		return nil, nil, false
	}
	if of.linger != nil {
		of.linger.Stop()
		of.linger = nil
	}
	p = make(page, 1)
	of.pages[p] = isPage
	if isPage {
		of.shown++
	}
	if of.last.State == client.Unknown {
		p <- of.last
	}
	return p, func() { s.leave(of, p) }, true
}

// start must be called with the lock held.
func (s *streams) start(key [sha256.Size]byte, token client.Secret) *stream {
	ctx, cancel := context.WithCancel(s.ctx)
	of := &stream{pages: map[page]bool{}, cancel: cancel}
	s.open[key] = of
	go func() {
		defer cancel()
		s.client.Stream(ctx, token, func(state client.State) { s.tell(of, state) }) // until over or cancelled
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[key] == of {
			delete(s.open, key)
		}
	}()
	return of
}

// tell sends every page the latest state. A slow page misses states in between, but
// never the last one.
func (s *streams) tell(of *stream, state client.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of.last = state
	for p := range of.pages {
		select {
		case <-p:
		default:
		}
		p <- state
	}
}

func (s *streams) leave(of *stream, p page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of.pages[p] {
		of.shown--
	}
	delete(of.pages, p)
	if len(of.pages) == 0 {
		of.linger = time.AfterFunc(lingerFor, func() { s.drop(of) })
	}
}

// drop ends the stream of a session that has no page.
func (s *streams) drop(of *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(of.pages) > 0 {
		return
	}
	of.cancel()
	for key, x := range s.open {
		if x == of {
			delete(s.open, key)
		}
	}
}
