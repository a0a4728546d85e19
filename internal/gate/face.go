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
	profile                                          *live.Profile // it was made from
	user, name, email, account, session, app, client []string
	last                                             atomic.Pointer[deadline]
}

// deadline is an idle end, written out.
type deadline struct {
	at         time.Time
	idle, warn []string
}

func newFace(ans authority.Answer) *face {
	p := ans.Profile()
	f := &face{profile: p, account: one(ans.Account.String()), session: one(ans.Session.String())}
	if p != nil {
		f.user, f.name = one(p.Handle), one(p.Name)
		if p.Email != "" {
			f.email = one(p.Email)
		}
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
	// facesPerShard bounds the memory: two generations of these.
	facesPerShard = 4096
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

func (fs *faces) of(ans authority.Answer) *face {
	key := faceKey{ans.Session, ans.App}
	s := &fs.shards[maphash.Comparable(fs.seed, key)%faceShards]
	s.mu.RLock()
	f := s.new[key]
	s.mu.RUnlock()
	// A changed profile is another Profile, so the pointer tells.
	if f != nil && f.profile == ans.Profile() {
		return f
	}
	return s.make(key, ans)
}

func (s *faceShard) make(key faceKey, ans authority.Answer) *face {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.new[key]
	if f == nil {
		f = s.old[key]
	}
	if f == nil || f.profile != ans.Profile() {
		f = newFace(ans)
	}
	if len(s.new) >= facesPerShard {
		s.old, s.new = s.new, map[faceKey]*face{}
	}
	s.new[key] = f
	return f
}
