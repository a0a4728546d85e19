package live

import (
	"sync"

	"github.com/exeunt/exeunt"
)

// recentProfiles is the least number of recently loaded or changed profiles in memory; there are at most twice as many.
// A page reads other profiles from the store.
const recentProfiles = 1 << 12

// profiles is a cache of two halves: when the new one is full, the old one is forgotten.
type profiles struct {
	mu       sync.Mutex
	old, new map[exeunt.AccountID]exeunt.Profile
}

func (p *profiles) get(id exeunt.AccountID) (exeunt.Profile, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.find(id)
}

func (p *profiles) find(id exeunt.AccountID) (exeunt.Profile, bool) {
	if v, ok := p.new[id]; ok {
		return v, true
	}
	v, ok := p.old[id]
	return v, ok
}

// put stores the profile, unless there is a newer one.
func (p *profiles) put(id exeunt.AccountID, v exeunt.Profile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if newer, ok := p.find(id); ok && newer.Version > v.Version {
		v = newer // moved to the new half
	}
	if p.new == nil || len(p.new) >= recentProfiles {
		p.old, p.new = p.new, map[exeunt.AccountID]exeunt.Profile{}
	}
	p.new[id] = v
}

func (p *profiles) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.old, p.new = nil, nil
}

// Profile returns the profile of an answer's account, of the answer's version or a newer one, if it is in memory. The
// caller must not change it.
func (x *Index) Profile(a Answer) (exeunt.Profile, bool) {
	p, ok := x.profiles.get(a.Account)
	return p, ok && p.Version >= a.profile
}

// SetProfile replaces the account's profile, unless there is a newer one. It also stores the profile of an account
// without entries, so that a load under way cannot bring the old one back.
func (x *Index) SetProfile(id exeunt.AccountID, p exeunt.Profile) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.profiles.put(id, p)
	c := x.core.Load()
	if n := c.current(wordsOf(id.Raw())); n != 0 {
		c.cohort(n).setProfile(p.Version)
	}
}
