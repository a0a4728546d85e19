package signin

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// An attack with leaked passwords, from many networks at many accounts (OWASP ASVS 5.0, 6.3.1).
const (
	stuffedAccounts = 50
	stuffedFrom     = 1000
	stuffedAttempts = 10_000
	stuffedFor      = 10 * time.Minute
)

// mostStuffed is how many of the attempts are hashed at most. The addresses have more permits than they need, so the
// accounts' decide. At each account the attack gets all of them, and what becomes free meanwhile:
//
//	perAccount    10 + 600 s / 30 s = 30
//	perStrangers  50 + 600 s / 60 s = 60
//	                    50 * (30 + 60) = 4500
const mostStuffed = 4500

// The owners sign in during the attack, each minute, in each of these ways.
var ownersWays = map[string]func(d *desk, owner int) error{
	"from their usual network": func(d *desk, owner int) error {
		return d.try(stuffed(owner), goodPassword, usual(owner))
	},
	"from a known device, somewhere else": func(d *desk, owner int) error {
		_, err := d.PasswordOn(context.Background(), laptopOf(owner), stuffed(owner), goodPassword, netip.AddrFrom4([4]byte{203, 0, 113, byte(owner)}))
		return err
	},
}

func laptopOf(owner int) exeunt.TokenHash {
	return exeunt.TokenFrom(exeunt.UseDevice, sha256.Sum256([]byte(stuffed(owner)))).Hash()
}

// own has the owner sign in where they usually do.
func (d *desk) own(owner int) {
	d.t.Helper()
	proof, err := Proof(d.Password(context.Background(), stuffed(owner), goodPassword, usual(owner)))
	must(d.t, err)
	in := signInOf(proof)
	in.Form = stuffed(owner)
	in.Recognised = store.Recognised{Arrival: store.Arrival{Device: laptopOf(owner), Agent: "Firefox on Linux"}, Familiar: true}
	_, _, err = d.authority.Start(context.Background(), in)
	must(d.t, err)
}

func stuffed(i int) string { return fmt.Sprintf("owner%d", i) }

func usual(owner int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(owner)}) }

// Of 10,000 attempts from 1,000 addresses on 50 accounts, of which every second exists, 4,500 are hashed at most,
// however they are spread, and the owners sign in meanwhile.
func TestStuffing(t *testing.T) {
	for name, aim := range map[string]func(i int) (account, from int){
		"each address at one account": func(i int) (int, int) { return i % stuffedAccounts, i % stuffedFrom },
		"each address at ten":         func(i int) (int, int) { return (i + i/stuffedFrom) % stuffedAccounts, i % stuffedFrom },
		"one account after the other": func(i int) (int, int) { return i * stuffedAccounts / stuffedAttempts, i % stuffedFrom },
		"one address after the other": func(i int) (int, int) { return i % stuffedAccounts, i * stuffedFrom / stuffedAttempts },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hashed := stuff(t, aim)
			t.Logf("%d of %d attempts were hashed", hashed, stuffedAttempts)
			if hashed > mostStuffed {
				t.Errorf("%d attempts were hashed, more than %d", hashed, mostStuffed)
			}
		})
	}
}

// stuff attacks, and returns how many of the attempts were hashed. A hash of the owners' is none of them.
func stuff(t *testing.T, aim func(i int) (account, from int)) (hashed int64) {
	d := newDesk(t)
	for owner := 0; owner < stuffedAccounts; owner += 2 {
		d.add(stuffed(owner), "", false)
		d.own(owner)
	}
	next := time.Minute
	for i := range stuffedAttempts {
		account, from := aim(i)
		before := d.Hasher.Computed()
		err := d.try(stuffed(account), otherPassword, netip.AddrFrom4([4]byte{10, 0, byte(from >> 8), byte(from)}))
		cost := d.Hasher.Computed() - before
		if hashed += cost; throttled(err) != (cost == 0) || cost > 1 {
			t.Fatalf("attempt %d cost %d hashes, and was answered with: %v", i, cost, err)
		}
		d.pass(stuffedFor / stuffedAttempts)
		if time.Duration(d.clock.Load()) < next {
			continue
		}
		next += time.Minute
		for owner := 0; owner < stuffedAccounts; owner += 2 {
			for way, signIn := range ownersWays {
				if err := signIn(d, owner); err != nil {
					t.Errorf("%s, %s, after %v: %v", stuffed(owner), way, time.Duration(d.clock.Load()), err)
				}
			}
		}
	}
	return hashed
}
