package gate

import (
	"encoding/binary"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/web"
)

// face is what the gate says of an account, ready to be put into an answer. It
// holds no verdict: that is asked for each time. What it says of a session
// besides is written out anew: that is quicker than to look for it in memory.
type face struct {
	account exeunt.AccountID
	version int64  // of the profile it was made from
	lines   string // of the answer's header, see web.AppendLine
}

func newFace(account exeunt.AccountID, p exeunt.Profile) *face {
	var b []byte
	b = web.AppendLine(b, client.HeaderUser, p.Handle)
	b = web.AppendLine(b, client.HeaderName, p.Name)
	b = web.AppendLine(b, client.HeaderAccount, account.String())
	if p.Email != "" {
		b = web.AppendLine(b, client.HeaderEmail, p.Email)
	}
	return &face{account, p.Version, string(b)}
}

// clock writes the date out once a second (RFC 9110 section 5.6.7).
type clock struct{ last atomic.Pointer[second] }

type second struct {
	unix int64
	text string
}

func (c *clock) date(now time.Time) string {
	s := c.last.Load()
	if s == nil || s.unix != now.Unix() {
		s = &second{now.Unix(), now.UTC().Format(http.TimeFormat)}
		c.last.Store(s)
	}
	return s.text
}

// hashOf needs no mixing: the IDs are drawn at random, and not by whoever asks.
func hashOf(account exeunt.AccountID) uint64 {
	raw := account.Raw()
	return binary.LittleEndian.Uint64(raw[:])
}

// A face has a place in one of these sets, and any of the places there. They
// bound the memory to some 230,000 faces of some 200 bytes; with 100,000 in
// use, one in a hundred sets is too small for its own.
const (
	faceSets = 1 << 15
	faceWays = 7
)

// faceSet is one line of the processor's cache, so that a face costs one look
// at memory besides its own.
type faceSet struct {
	// tags are a byte of each face's hash, and in the highest byte whose turn
	// it is to be replaced. A face is known by its account; a tag spares the look.
	tags  atomic.Uint64
	faces [faceWays]atomic.Pointer[face]
}

// faces keeps recent faces. Forgetting one costs making it again.
type faces struct {
	mu   sync.Mutex // for those who keep
	sets []faceSet
}

func newFaces() *faces { return &faces{sets: make([]faceSet, faceSets)} }

// find returns where the face of the account is, and -1 if it is not.
func (s *faceSet) find(account exeunt.AccountID, tag byte) (int, *face) {
	tags := s.tags.Load()
	for i := range s.faces {
		if byte(tags>>(8*i)) != tag {
			continue
		}
		if f := s.faces[i].Load(); f != nil && f.account == account {
			return i, f
		}
	}
	return -1, nil
}

// of returns the face of the answer's account, or nil if there is none that
// shows the profile as it is now.
func (fs *faces) of(ans authority.Answer) *face {
	s, tag := fs.place(ans.Account)
	if _, f := s.find(ans.Account, tag); f != nil && f.version >= ans.ProfileVersion() {
		return f
	}
	return nil
}

// keep keeps a face.
func (fs *faces) keep(f *face) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	s, tag := fs.place(f.account)
	tags := s.tags.Load()
	i, _ := s.find(f.account, tag)
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

func (fs *faces) place(account exeunt.AccountID) (s *faceSet, tag byte) {
	h := hashOf(account)
	return &fs.sets[h%faceSets], byte(h >> 56)
}
