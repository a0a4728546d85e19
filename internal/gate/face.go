package gate

import (
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
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
	key     faceKey
	version int64             // of the profile it was made from
	values  [faceNames]string // parts of one text, so that they lie side by side in memory
	last    atomic.Pointer[deadline]
}

const (
	faceUser = iota
	faceName
	faceAccount
	faceSession
	faceEmail
	faceApp
	faceClient
	faceNames
)

func newFace(ans authority.Answer, p live.Profile) *face {
	f := &face{key: keyOf(ans), version: p.Version}
	parts := [faceNames]string{faceUser: p.Handle, faceName: p.Name, faceAccount: ans.Account.String(), faceSession: ans.Session.String(), faceEmail: p.Email}
	if !ans.App.IsZero() {
		parts[faceApp], parts[faceClient] = ans.App.String(), string(ans.Client)
	}
	rest := strings.Join(parts[:], "")
	for i, part := range parts {
		f.values[i], rest = rest[:len(part)], rest[len(part):]
	}
	return f
}

// value returns a header's value.
func (f *face) value(i int) []string { return f.values[i : i+1 : i+1] }

// one returns a slice that append must copy, so that shared values stay whole.
func one(s string) []string { return []string{s}[:1:1] }

// deadline is an idle end, written out.
type deadline struct {
	at         int64 // milliseconds
	idle, warn [1]string
}

// deadline writes the idle end out anew only when there has been activity.
func (f *face) deadline(at time.Time, warning time.Duration) *deadline {
	ms := at.UnixMilli()
	d := f.last.Load()
	if d == nil || d.at != ms {
		var buf [2 * maxDigits]byte
		idle := strconv.AppendInt(buf[:0], ms, 10)
		text, n := string(strconv.AppendInt(idle, ms-warning.Milliseconds(), 10)), len(idle)
		d = &deadline{ms, [1]string{text[:n]}, [1]string{text[n:]}}
		f.last.Store(d)
	}
	return d
}

const maxDigits = 20 // of an int64 with its sign

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

func keyOf(ans authority.Answer) faceKey { return faceKey{ans.Session, ans.App} }

// hash needs no mixing: the IDs are drawn at random, and not by whoever asks.
func (k faceKey) hash() uint64 {
	session, app := k.session.Raw(), k.app.Raw()
	return binary.LittleEndian.Uint64(session[:]) ^ binary.LittleEndian.Uint64(app[:])
}

// A face has a place in one of these sets, and any of the places there. They
// bound the memory to some 230,000 faces of some 500 bytes; with 100,000 in
// use, one in a hundred sets is too small for its own.
const (
	faceSets = 1 << 15
	faceWays = 7
)

// faceSet is one line of the processor's cache, so that a face costs one look
// at memory besides its own.
type faceSet struct {
	// tags are a byte of each face's hash, and in the highest byte whose turn
	// it is to be replaced. A face is known by its key; a tag spares the look.
	tags  atomic.Uint64
	faces [faceWays]atomic.Pointer[face]
}

// faces keeps recent faces. Forgetting one costs making it again.
type faces struct {
	mu   sync.Mutex // for those who keep
	sets []faceSet
}

func newFaces() *faces { return &faces{sets: make([]faceSet, faceSets)} }

// find returns where the face of the key is, and -1 if it is not.
func (s *faceSet) find(key faceKey, tag byte) (int, *face) {
	tags := s.tags.Load()
	for i := range s.faces {
		if byte(tags>>(8*i)) != tag {
			continue
		}
		if f := s.faces[i].Load(); f != nil && f.key == key {
			return i, f
		}
	}
	return -1, nil
}

// of returns the face of the answer's session, or nil if there is none that
// shows the profile as it is now.
func (fs *faces) of(ans authority.Answer) *face {
	key := keyOf(ans)
	s, tag := fs.place(key)
	if _, f := s.find(key, tag); f != nil && f.version >= ans.ProfileVersion() {
		return f
	}
	return nil
}

// keep keeps a face.
func (fs *faces) keep(f *face) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	s, tag := fs.place(f.key)
	tags := s.tags.Load()
	i, _ := s.find(f.key, tag)
	for k := 0; i < 0 && k < faceWays; k++ {
		if s.faces[k].Load() == nil {
			i = k
		}
	}
	if i < 0 {
		turn := tags >> (8 * faceWays)
		i = int(turn % faceWays)
		tags = tags&^(0xff<<(8*faceWays)) | (turn+1)%faceWays<<(8*faceWays)
	}
	s.faces[i].Store(f)
	s.tags.Store(tags&^(0xff<<(8*i)) | uint64(tag)<<(8*i))
}

func (fs *faces) place(key faceKey) (s *faceSet, tag byte) {
	h := key.hash()
	return &fs.sets[h%faceSets], byte(h >> 56)
}
