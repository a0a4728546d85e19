package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
)

// hashNumbered has few different beginnings, so that sessions are in each other's
// way, also where the table's end is its beginning.
func hashNumbered(n int) (h tokenHash) {
	h = sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	binary.LittleEndian.PutUint64(h[:], uint64(n%9*100-5))
	return h
}

func keptAs(n, version int) *entry {
	return &entry{hash: hashNumbered(n), who: client.Person{Account: fmt.Sprint("acc_", n%7), Session: fmt.Sprint(n)},
		expires: int64(version)}
}

// Whatever is put in, replaced and dropped, in whatever order: the table holds
// what a plain map would. Readers look meanwhile, and never find one session
// under the token of another, nor an answer that is older than what they have seen.
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
				k := table.find(&h)
				switch {
				case k == nil:
				case k.hash != h || k.who.Session != fmt.Sprint(n):
					t.Errorf("%d is found as %s", n, k.who.Session)
					return
				case k.expires < latest[n]:
					t.Errorf("%d is as it was at %d, and had been as at %d", n, k.expires, latest[n])
					return
				default:
					latest[n] = k.expires
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(1, 2))
	changes := 60_000
	if testing.Short() {
		changes = 20_000
	}
	for version := 1; version < changes; version++ {
		n := random.IntN(numbers)
		if version%10_000 > 8_000 {
			n %= 20 // most of them go
		}
		h := hashNumbered(n)
		k := table.find(&h)
		_, there := model[n]
		if there != (k != nil) {
			t.Fatalf("%d: in the table %v, in the model %v", n, k != nil, there)
		}
		if k == nil || random.IntN(3) == 0 {
			table.put(keptAs(n, version))
			model[n] = version
		} else {
			table.drop(k)
			delete(model, n)
		}
		if version%97 != 0 {
			continue
		}
		for n := range numbers {
			h := hashNumbered(n)
			k := table.find(&h)
			if version, there := model[n]; there != (k != nil) || there && k.expires != int64(version) {
				t.Fatalf("%d: %+v, in the model %d, %v", n, k, version, there)
			}
		}
		if table.count != len(model) {
			t.Fatalf("%d in lists, %d in the model", table.count, len(model))
		}
		for account := range 7 {
			table.each(fmt.Sprint("acc_", account), func(k *entry) {
				if table.find(&k.hash) != k {
					t.Fatal("listed, and not found")
				}
			})
		}
	}
	stop.Store(true)
	readers.Wait()
	table.clear()
	for i := range *table.slots.Load() {
		if (*table.slots.Load())[i].Load() != nil {
			t.Errorf("slot %d is still in use", i)
		}
	}
}

// What is kept tells what the gate said, with the times moved on.
func TestKeptTellsThePerson(t *testing.T) {
	idleAt := time.UnixMilli(5_000_000)
	p := client.Person{Account: "acc_1", Handle: "ada", Name: "Ada Lovelace, née Byron", Session: "ses_1",
		AppSession: "app_1", Client: "chirp", Groups: []string{"admins"}, IdleAt: idleAt,
		WarnAt: idleAt.Add(-time.Minute)}
	got := (&entry{who: p}).person(4_000_000, 6_000_000)
	p.AskedAt, p.IdleAt, p.WarnAt = time.UnixMilli(4_000_000), time.UnixMilli(6_000_000), time.UnixMilli(5_940_000)
	if !reflect.DeepEqual(got, p) {
		t.Errorf("%+v, want %+v", got, p)
	}
	p.WarnAt = time.Time{}
	if got := (&entry{who: p}).person(0, 6_000_000); got.WarnAt.After(idleAt.Add(-24 * time.Hour)) {
		t.Errorf("without a time to warn it is %v", got.WarnAt)
	}
}

// A newer answer does not take back what the verifier knows better.
func TestANewerAnswerKeepsWhatIsKnownBetter(t *testing.T) {
	v := newFake().verifier(t)
	v.reset(client.Place{Epoch: "e1"})
	token := client.NewSecret("exa_1")
	answer := func(generation int64, idleAt int64) *entry {
		t.Helper()
		a := client.Checked{Person: client.Person{Account: "acc_1", IdleAt: time.UnixMilli(idleAt)},
			Place: v.history.place(), Generation: generation}
		if !v.store(hashOf(token), &a, v.now()) {
			t.Fatal("not kept")
		}
		hash := hashOf(token)
		return v.table.find(&hash)
	}
	k := answer(2, 9000)
	k.seen.Store(7)
	if k = answer(1, 8000); k.generation != 2 || k.idleAt.Load() != 9000 || k.seen.Load() != 7 || v.table.count != 1 {
		t.Errorf("generation %d, idle at %d, seen %d, %d kept", k.generation, k.idleAt.Load(), k.seen.Load(),
			v.table.count)
	}
}
