package client

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// hashNumbered has few different beginnings and shards, so that sessions are in each
// other's way.
func hashNumbered(n int) tokenHash {
	h := tokenHash(sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n))))
	binary.LittleEndian.PutUint64(h[:], uint64(2+n%5)|uint64(n%2)<<63)
	return h
}

func keptAs(n, version int) *kept {
	k := &kept{hash: hashNumbered(n)}
	k.facts.Store(factsAs(k, n, version))
	return k
}

func factsAs(k *kept, n, version int) *facts {
	return newFacts(k, &Person{Account: fmt.Sprint("acc_", n%7), Session: fmt.Sprint(n)}, 0, 0, int64(version))
}

// Whatever is put in, replaced and dropped, in whatever order: the table holds
// what a plain map would. Readers look meanwhile, and never find one session
// under the token of another, nor facts that are older than what they have seen.
func TestTableAgreesWithAMap(t *testing.T) {
	const numbers = 300
	table := newTable(1 << 20)
	model := map[int]int{}
	var stop atomic.Bool
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			latest := [numbers]int64{}
			for !stop.Load() {
				n := rand.IntN(numbers)
				h := hashNumbered(n)
				k, f := table.find(&h)
				switch {
				case k == nil:
				case k.hash != h || f.of != k || f.words != fmt.Sprintf("acc_%d%d", n%7, n):
					t.Errorf("%d is found as %s", n, f.words)
					return
				case f.expires < latest[n]:
					t.Errorf("%d is as it was at %d, and had been as at %d", n, f.expires, latest[n])
					return
				default:
					latest[n] = f.expires
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(1, 2))
	for version := 1; version < 60_000; version++ {
		n := random.IntN(numbers)
		if version%10_000 > 8_000 {
			n %= 20 // most of them go, and the table is rebuilt for few
		}
		h := hashNumbered(n)
		k, _ := table.find(&h)
		_, there := model[n]
		if there != (k != nil) {
			t.Fatalf("%d: in the table %v, in the model %v", n, k != nil, there)
		}
		switch {
		case k == nil:
			k = keptAs(n, version)
			table.put(fmt.Sprint("acc_", n%7), k)
			model[n] = version
		case random.IntN(3) == 0:
			table.replace(k, factsAs(k, n, version))
			model[n] = version
		default:
			table.drop(k)
			delete(model, n)
		}
		if version%97 != 0 {
			continue
		}
		for n := range numbers {
			h := hashNumbered(n)
			_, f := table.find(&h)
			if version, there := model[n]; there != (f != nil) || there && f.expires != int64(version) {
				t.Fatalf("%d: %+v, in the model %d, %v", n, f, version, there)
			}
		}
		if table.len() != len(model) {
			t.Fatalf("%d in lists, %d in the model", table.len(), len(model))
		}
		for account := range 7 {
			table.each(fmt.Sprint("acc_", account), func(k *kept) {
				if _, f := table.find(&k.hash); f == nil {
					t.Fatal("listed, and not found")
				}
			})
		}
	}
	stop.Store(true)
	readers.Wait()
	table.clear()
	for i := range table.shards {
		if s := &table.shards[i]; s.count != 0 || len(*s.slots.Load()) > 1024 {
			t.Errorf("%d left in %d slots", s.count, len(*s.slots.Load()))
		}
	}
}

// A session whose token's hash begins like another's is not taken for it.
func TestTheWholeHashCounts(t *testing.T) {
	f := newFake()
	token := f.person("ada", "1")
	v := f.verifier(t)
	v.startOver(Position{Epoch: f.epoch})
	v.window.Store(newWindow(v.now(), Position{Epoch: f.epoch, Now: msNow()}, time.Hour))
	own := hashOf(token.Reveal())
	other := own
	other[len(other)-1]++
	keep := func(hash tokenHash, account, session string) {
		t.Helper()
		later := msNow() + time.Hour.Milliseconds()
		p := Person{Account: account, Session: session, AppSession: "app_" + session, IdleAt: time.UnixMilli(later)}
		if !v.keep(hash, p, snapshot{epoch: f.epoch, generation: 1, idle: later, expires: later}, v.now()) {
			t.Fatal("not kept")
		}
	}
	check := func(want string, questions int) {
		t.Helper()
		if p, err := v.Check(t.Context(), token, false); err != nil || p.Account != want || f.asks() != questions {
			t.Fatalf("%s, %v after %d more questions, want %s after %d", p.Account, err, f.asks(), want, questions)
		}
	}
	keep(other, "acc_eve", "ses_9")
	check("acc_ada", 1)
	keep(own, "acc_kept", "ses_1")
	check("acc_kept", 0)
	v.Forget(token)
	check("acc_ada", 1)
}

// Facts tell what they were made of, and fill one cache line.
func TestFactsTellThePerson(t *testing.T) {
	if size := unsafe.Sizeof(facts{}); size != 64 {
		t.Errorf("facts are %d bytes", size)
	}
	idleAt := time.UnixMilli(5_000_000)
	p := Person{Account: "acc_1", Handle: "ada", Name: "Ada Lovelace, née Byron", Session: "ses_1", AppSession: "app_1", Client: "chirp", IdleAt: idleAt, WarnAt: idleAt.Add(-time.Minute)}
	f := newFacts(&kept{}, &p, 12345*time.Millisecond, 1000, 2000)
	var got Person
	f.tell(&got, 4_000_000, idleAt.UnixMilli())
	p.AskedAt = time.UnixMilli(4_000_000)
	if got != p || f.account() != p.Account {
		t.Errorf("%+v, want %+v", got, p)
	}
	if f.askedAt() != 12300*time.Millisecond || f.idle != 1000 || f.expires != 2000 {
		t.Errorf("%+v", f)
	}
	p.Email = strings.Repeat("a", 1<<16) // no sound authority says so
	if newFacts(&kept{}, &p, 0, 0, 0) != nil {
		t.Error("kept with a word that is too long")
	}
	p.Email, p.WarnAt = "", time.Time{}
	if newFacts(&kept{}, &p, 0, 0, 0).tell(&got, 0, idleAt.UnixMilli()); got.WarnAt.After(idleAt.Add(-24 * time.Hour)) {
		t.Errorf("without a time to warn it is %v", got.WarnAt)
	}
}
