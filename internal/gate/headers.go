package gate

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
)

// accountHeaders are the values of the headers about an account. They do not say
// whether a session is usable. Answers share them, and nobody changes them.
type accountHeaders struct {
	version                            int64    // of the profile
	account, user, name, email, groups []string // the address is empty unless it is confirmed
}

func newAccountHeaders(account exeunt.AccountID, p exeunt.Profile) *accountHeaders {
	return &accountHeaders{
		version: p.Version, account: []string{account.String()}, user: []string{p.Handle}, name: []string{p.Name},
		email: []string{p.Email}, groups: []string{strings.Join(p.Groups, ",")},
	}
}

// set sets the same names in each answer, so that a proxy that copies them overwrites
// whatever a browser sent under one of them.
func (of *accountHeaders) set(h http.Header) {
	h[client.HeaderUser], h[client.HeaderName], h[client.HeaderEmail] = of.user, of.name, of.email
	h[client.HeaderAccount], h[client.HeaderGroups] = of.account, of.groups
}

// generationSize bounds a generation of the cache. The cache holds at least so many
// recent accounts and at most twice as many, of some 300 bytes each and
// the names of their groups.
const generationSize = 1 << 17

// headerCache caches the headers of recent accounts in two generations. When the new
// one is full, it becomes the old one, and the old one is dropped.
type headerCache struct {
	mu       sync.RWMutex
	old, new map[exeunt.AccountID]*accountHeaders
}

// get returns the headers of an account, or nil if the cache has none of that version
// of its profile or a later one.
func (c *headerCache) get(account exeunt.AccountID, version int64) *accountHeaders {
	c.mu.RLock()
	of, recent := c.new[account]
	if !recent {
		of = c.old[account]
	}
	c.mu.RUnlock()
	if of == nil || of.version < version {
		return nil
	}
	if !recent {
		c.put(account, of)
	}
	return of
}

// put adds headers unless the cache has later ones.
func (c *headerCache) put(account exeunt.AccountID, of *accountHeaders) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.new[account]; old != nil && old.version > of.version {
		return
	}
	if c.new == nil || len(c.new) >= generationSize {
		c.old, c.new = c.new, map[exeunt.AccountID]*accountHeaders{}
	}
	c.new[account] = of
}

// clock formats the date once a second (RFC 9110 section 5.6.7).
type clock struct{ last atomic.Pointer[second] }

type second struct {
	unix int64
	text []string
}

func (c *clock) date(now time.Time) []string {
	s := c.last.Load()
	if s == nil || s.unix != now.Unix() {
		s = &second{now.Unix(), []string{now.UTC().Format(http.TimeFormat)}}
		c.last.Store(s)
	}
	return s.text
}

func setNumber(h http.Header, name string, n int64) { h[name] = []string{strconv.FormatInt(n, 10)} }

// headerValues collects the values that differ in each answer. They are parts of one
// text, because an allocation for each would take longer than the check.
type headerValues struct {
	text  []byte
	count int
	names [5]string
	ends  [5]int // in the text
}

// end names the value that was appended to the text last.
func (v *headerValues) end(name string) {
	v.names[v.count], v.ends[v.count] = name, len(v.text)
	v.count++
}

func (v *headerValues) millis(name string, at time.Time) {
	v.text = strconv.AppendInt(v.text, at.UnixMilli(), 10)
	v.end(name)
}

func (v *headerValues) set(h http.Header) {
	text, values, begin := string(v.text), make([]string, v.count), 0
	for i, end := range v.ends[:v.count] {
		values[i] = text[begin:end]
		h[v.names[i]] = values[i : i+1 : i+1]
		begin = end
	}
}
