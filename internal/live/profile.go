package live

import (
	"sync"

	"github.com/exeunt/exeunt"
)

// profilesKept is how many of the recently loaded or changed profiles are kept
// at least; there are never more than twice as many. A page that misses one
// reads it from the store.
const profilesKept = 1 << 12

// profiles keeps recent ones, forgotten by generations.
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

// put keeps the profile unless a newer one is there.
func (p *profiles) put(id exeunt.AccountID, v exeunt.Profile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.find(id); ok && known.Version > v.Version {
		v = known
	}
	if p.new == nil || len(p.new) >= profilesKept {
		p.old, p.new = p.new, map[exeunt.AccountID]exeunt.Profile{}
	}
	p.new[id] = v
}

// version is the newest version known, at least the given one.
func (p *profiles) version(id exeunt.AccountID, least int64) int64 {
	v, _ := p.get(id)
	return max(v.Version, least)
}

func (p *profiles) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.old, p.new = nil, nil
}

// Profile returns the profile that a check's answer speaks of, or a newer one,
// if it is in memory. Its contents must not be changed.
func (x *Index) Profile(a Answer) (exeunt.Profile, bool) {
	p, ok := x.profiles.get(a.Account)
	return p, ok && p.Version >= a.profile
}

// SetProfile replaces the account's profile unless a newer one is known. It
// remembers the profile of an account without entries too, so that a load
// already under way cannot bring the old one back.
func (x *Index) SetProfile(id exeunt.AccountID, p exeunt.Profile) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.profiles.put(id, p)
	c := x.core.Load()
	if n := c.current(wordsOf(id.Raw())); n != 0 {
		c.cohort(n).setProfile(p.Version)
	}
}
