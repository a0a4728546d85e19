package authority

import (
	"net/netip"
	"sync"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// addresses holds where sessions were last used from, until it is saved with their activity. It is bounded: activity
// is saved within about a minute, and beyond maxAddresses an address is dropped. Then the list shows an older one.
type addresses struct {
	mu sync.Mutex
	of map[exeunt.SessionID]netip.Addr
}

const maxAddresses = 1 << 16

func (l *addresses) note(id exeunt.SessionID, a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.of[id]; known || len(l.of) < maxAddresses {
		l.of[id] = a
	}
}

func (l *addresses) get(id exeunt.SessionID) (netip.Addr, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.of[id]
	return a, ok
}

// saved forgets an address, unless there is another by now.
func (l *addresses) saved(id exeunt.SessionID, a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[id] == a {
		delete(l.of, id)
	}
}

// TouchFrom counts as activity of the answer's session, from an address that is the person's own. The zero address
// says that it is unknown: then the last one stays.
func (a *Authority) TouchFrom(ans Answer, from netip.Addr) {
	if from.IsValid() && ans.State == live.Usable {
		a.addresses.note(ans.Session, from)
	}
	a.Touch(ans)
}
