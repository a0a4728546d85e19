package live

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// crowd makes many sessions, three to an account, that differ in what is
// random about them. The same seed makes the same crowd.
type crowd struct {
	random *rand.ChaCha8
	last   Snapshot
	made   int
}

func newCrowd() *crowd {
	return &crowd{random: rand.NewChaCha8([32]byte{1}), last: snapshot(0, exeunt.NewAccountID(), 1)}
}

func (c *crowd) id() (raw [16]byte) {
	binary.LittleEndian.PutUint64(raw[:8], c.random.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], c.random.Uint64())
	return raw
}

func (c *crowd) next() Snapshot {
	if c.made%3 == 0 {
		c.last.Session.Account.SetRaw(c.id())
	}
	c.last.Session.ID.SetRaw(c.id())
	c.last.Session.Started = epoch.Add(time.Duration(c.made%100_000) * time.Millisecond)
	c.last.Session.ExpiresAt = c.last.Session.Started.Add(24 * time.Hour)
	t := textOf(c.made)
	c.last.Hash = sha256.Sum256(t[:])
	c.made++
	return c.last
}

// text is as long as a token.
type text [53]byte

func textOf(n int) (t text) {
	for i := range t {
		t[i] = 'a' + byte(i%26)
	}
	strconv.AppendInt(t[:0], int64(n), 10)
	return t
}

// population is how many sessions the measurements are made with.
func population() int {
	n, err := strconv.Atoi(os.Getenv("EXEUNT_LIVE_SESSIONS"))
	if err != nil {
		return 1_000_000
	}
	return n
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// populate fills an index, ends every tenth session and fills it up again, so
// that what is measured has grown and has had holes.
func populate(tb testing.TB, n int) (x *Index, living []int) {
	x = New(0, Options{})
	c, seq := newCrowd(), int64(0)
	for len(living) < n {
		s := c.next()
		s.Seq = seq
		if !x.Insert(s) {
			tb.Fatal("not inserted")
		}
		if c.made%10 != 0 {
			living = append(living, c.made-1)
			continue
		}
		seq++
		if err := x.Apply([]exeunt.Event{event(seq, exeunt.ScopeSession, s.Session.Account, s.Session.ID, 0)}); err != nil {
			tb.Fatal(err)
		}
		if c.made%10_000 == 0 {
			x.Forget()
		}
	}
	x.Forget()
	return x, living
}

// BenchmarkCheck compares a check of a random token with the SHA-256 of the
// same tokens, which no check can do without. bytes/session is the whole heap;
// undisturbed-ns is the first decile of short runs, for machines that have
// other work as well.
func BenchmarkCheck(b *testing.B) {
	n := population()
	before := heap()
	x, living := populate(b, n)
	size := float64(heap()-before-int64(8*cap(living))) / float64(n)
	texts := make([]text, min(n, 1<<20))
	for i := range texts {
		texts[i] = textOf(living[rand.N(n)])
	}
	living = nil
	b.Run("sha256", func(b *testing.B) {
		var sink byte
		measure(b, func(i int) {
			h := sha256.Sum256(texts[i%len(texts)][:])
			sink ^= h[0]
		})
		runtime.KeepAlive(sink)
	})
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		measure(b, func(i int) {
			if !x.Check(sha256.Sum256(texts[i%len(texts)][:]), epoch).Usable() {
				b.Fatal("not usable")
			}
		})
		b.ReportMetric(size, "bytes/session")
	})
}

func measure(b *testing.B, f func(i int)) {
	const run = 500
	times := make([]time.Duration, 0, b.N/run+1)
	b.ResetTimer()
	for i := 0; i < b.N; i += run {
		start := time.Now()
		for j := range min(run, b.N-i) {
			f(i + j)
		}
		if b.N-i >= run {
			times = append(times, time.Since(start))
		}
	}
	if slices.Sort(times); len(times) > 0 {
		b.ReportMetric(float64(times[len(times)/10].Nanoseconds())/run, "undisturbed-ns")
	}
}

// BenchmarkFile saves the table and loads it, beside reading the file alone.
func BenchmarkFile(b *testing.B) {
	n := population()
	x, _ := populate(b, n)
	path := filepath.Join(b.TempDir(), "live.snapshot")
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			f, err := os.Create(path)
			if err == nil {
				err = errors.Join(x.Save(f, noCaller), f.Close())
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	open := func(b *testing.B, use func(f *os.File) error) {
		for b.Loop() {
			f, err := os.Open(path)
			if err == nil {
				err = errors.Join(use(f), f.Close())
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("read", func(b *testing.B) {
		buffer := make([]byte, 1<<20)
		open(b, func(f *os.File) error {
			for {
				if _, err := f.Read(buffer); err != nil {
					if err == io.EOF {
						err = nil
					}
					return err
				}
			}
		})
	})
	b.Run("load", func(b *testing.B) {
		open(b, func(f *os.File) error {
			info, err := f.Stat()
			return errors.Join(err, New(0, Options{}).Load(f, info.Size(), anyMark))
		})
	})
}
