package pages

import (
	"net/http"
	"sync"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/web"
)

// once handles the forms of a session that come with a proof one after another. The second of two presses then finds what
// the first has done; at the same moment it would find a code that was just used, or a factor that is not there yet.
// Presses that reach two nodes are not held: there the second may have to be sent again.
func (p *Pages) once(h page) page {
	return func(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
		defer p.turns.enter(v.Answer.Session)()
		key, err := formKey(r)
		if err != nil {
			return err
		}
		// Whoever was admitted with a credential that the first press has renewed since goes on with the new one.
		c, ans, err := p.Authority.Repeated(r.Context(), v.Credential, key)
		if err != nil {
			return h(w, r, v) // the form before was another one, or has not renewed the credential
		}
		v.Credential, v.Answer = c, ans
		return h(p.withPair(w, v), r, v)
	}
}

// onceByPolicy is once for endings, which ask for a proof only by policy.
func (p *Pages) onceByPolicy(h page) page {
	if p.Policy.ConfirmEndings {
		return p.once(h)
	}
	return h
}

// turns lets one form of each session be handled at a time.
type turns struct {
	mu sync.Mutex
	of map[exeunt.SessionID]*turn
}

type turn struct {
	sync.Mutex
	wanted int
}

// enter waits until no other form of the session is handled. leave lets the next in.
func (t *turns) enter(id exeunt.SessionID) (leave func()) {
	t.mu.Lock()
	if t.of == nil {
		t.of = map[exeunt.SessionID]*turn{}
	}
	one := t.of[id]
	if one == nil {
		one = &turn{}
		t.of[id] = one
	}
	one.wanted++
	t.mu.Unlock()
	one.Lock()
	return func() {
		one.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.wanted--; one.wanted == 0 {
			delete(t.of, id)
		}
	}
}
