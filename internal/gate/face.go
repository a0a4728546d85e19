package gate

import (
	"hash/maphash"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/live"
)

// face is what the gate says of one session, ready to be put into a header.
// It holds no verdict: that is asked for each time.
type face struct {
	version                                          int64 // of the profile it was made from
	user, name, email, account, session, app, client []string
	last                                             atomic.Pointer[deadline]
}

// deadline is an idle end, written out.
type deadline struct {
	at         time.Time
	idle, warn []string
}

func newFace(ans authority.Answer, p live.Profile) *face {
	f := &face{
		version: p.Version, user: one(p.Handle), name: one(p.Name),
		account: one(ans.Account.String()), session: one(ans.Session.String()),
	}
	if p.Email != "" {
		f.email = one(p.Email)
	}
	if !ans.App.IsZero() {
		f.app, f.client = one(ans.App.String()), one(string(ans.Client))
	}
	return f
}

// one returns a slice that append must copy, so that shared values stay whole.
func one(s string) []string { return []string{s}[:1:1] }

// deadline writes the idle end out anew only when there has been activity.
func (f *face) deadline(at time.Time, warning time.Duration) *deadline {
	d := f.last.Load()
	if d == nil || !d.at.Equal(at) {
		d = &deadline{at: at, idle: millis(at), warn: millis(at.Add(-warning))}
		f.last.Store(d)
	}
	return d
}

func millis(t time.Time) []string { return one(strconv.FormatInt(t.UnixMilli(), 10)) }

// clock writes the date out once a second (RFC 9110 section 5.6.7).
type clock struct{ last atomic.Pointer[second] }

type second struct {
	unix int64
	text []string
}

func (c *clock) date(now time.Time) []string {
	s := c.last.Load()
	if s == nil || s.unix != now.Unix() {
		s = &second{now.Unix(), one(now.UTC().Format(http.TimeFormat))}
		c.last.Store(s)
	}
	return s.text
}

type faceKey struct {
	session exeunt.SessionID
	app     exeunt.AppSessionID
}

const (
	faceShards = 16
	// facesPerShard bounds the memory: two generations of these, of some 700
	// bytes each. As long as no more tokens than these in all are in use, none
	// is ever written out anew.
	facesPerShard = 8192
)

// faces keeps recent faces. Forgetting one costs making it again.
type faces struct {
	seed   maphash.Seed
	shards [faceShards]faceShard
}

type faceShard struct {
	mu       sync.RWMutex
	new, old map[faceKey]*face
	_        [64]byte // so that shards do not share a cache line
}

func newFaces() *faces {
	fs := &faces{seed: maphash.MakeSeed()}
	for i := range fs.shards {
		fs.shards[i].new = map[faceKey]*face{}
	}
	return fs
}

// of returns the face of the answer's session, or nil if there is none that
// shows the profile as it is now.
func (fs *faces) of(ans authority.Answer) *face {
	key, s := fs.shard(ans)
	s.mu.RLock()
	f := s.new[key]
	s.mu.RUnlock()
	if f == nil {
		f = s.revive(key)
	}
	if f == nil || f.version < ans.ProfileVersion() {
		return nil
	}
	return f
}

// keep keeps a face.
func (fs *faces) keep(ans authority.Answer, f *face) {
	key, s := fs.shard(ans)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key, f)
}

func (fs *faces) shard(ans authority.Answer) (faceKey, *faceShard) {
	key := faceKey{ans.Session, ans.App}
	return key, &fs.shards[maphash.Comparable(fs.seed, key)%faceShards]
}

// revive takes a face out of the older generation.
func (s *faceShard) revive(key faceKey) *face {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.old[key]
	if f != nil {
		s.put(key, f)
	}
	return f
}

func (s *faceShard) put(key faceKey, f *face) {
	if len(s.new) >= facesPerShard {
		s.old, s.new = s.new, map[faceKey]*face{}
	}
	s.new[key] = f
}
