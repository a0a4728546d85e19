package client

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// hub follows app sessions at the authority for the pages that are open here:
// one stream for each session, however many pages it has.
type hub struct {
	client *Client
	ctx    context.Context
	stop   context.CancelFunc

	mu      sync.Mutex
	watches map[[sha256.Size]byte]*watch
}

type watch struct {
	pages  map[*page]struct{}
	last   State // zero until the first news
	cancel context.CancelFunc
	linger *time.Timer // runs while there is no page
}

// page is one open page's ear.
type page struct{ news chan State }

const (
	// lingerFor keeps the stream while a person goes from page to page.
	lingerFor = 5 * time.Second
	// maxPages open for one session; browsers share one stream between tabs.
	maxPages = 32
)

func newHub(c *Client) *hub {
	h := &hub{client: c, watches: map[[sha256.Size]byte]*watch{}}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// close ends all streams. Later pages find the hub closed and are told nothing.
func (h *hub) close() { h.stop() }

// join starts to listen. leave must be called; ok is false when too many
// pages listen already.
func (h *hub) join(token Secret) (p *page, leave func(), ok bool) {
	key := sha256.Sum256([]byte(token.Reveal()))
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.watches[key]
	if w == nil {
		w = h.start(key, token)
	}
	if len(w.pages) >= maxPages {
		return nil, nil, false
	}
	if w.linger != nil {
		w.linger.Stop()
		w.linger = nil
	}
	p = &page{news: make(chan State, 1)}
	w.pages[p] = struct{}{}
	if w.last.State == Unknown {
		p.news <- w.last
	}
	return p, func() { h.leave(w, p) }, true
}

// start must be called with the lock held.
func (h *hub) start(key [sha256.Size]byte, token Secret) *watch {
	ctx, cancel := context.WithCancel(h.ctx)
	w := &watch{pages: map[*page]struct{}{}, cancel: cancel}
	h.watches[key] = w
	go func() {
		defer cancel()
		h.client.Watch(ctx, token, func(s State) { h.tell(w, s) }) // returns only when over or cancelled
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.watches[key] == w {
			delete(h.watches, key)
		}
	}()
	return w
}

// tell gives every page the latest state. A page that is slow misses states in
// between, never the last one.
func (h *hub) tell(w *watch, s State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.last = s
	for p := range w.pages {
		select {
		case <-p.news:
		default:
		}
		p.news <- s
	}
}

func (h *hub) leave(w *watch, p *page) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(w.pages, p)
	if len(w.pages) == 0 {
		w.linger = time.AfterFunc(lingerFor, func() { h.drop(w) })
	}
}

// drop ends the stream of a session that no page listens to.
func (h *hub) drop(w *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(w.pages) == 0 {
		w.cancel()
		for key, x := range h.watches {
			if x == w {
				delete(h.watches, key)
			}
		}
	}
}
