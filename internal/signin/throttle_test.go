package signin

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// Only failures count: whoever knows the password is never kept waiting.
func TestSuccessesAreRefunded(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	for range 3 * perAddress.burst {
		if err := d.try("ada", goodPassword, home); err != nil {
			t.Fatal(err)
		}
	}
	for range perAccount.burst {
		wantErr(t, d.try("ada", otherPassword, home), exeunt.ErrWrongCredentials)
	}
	if err := d.try("ada", goodPassword, home); !throttled(err) {
		t.Errorf("after %d failures: %v", perAccount.burst, err)
	}
	d.pass(perAccount.every - time.Millisecond)
	if err := d.try("ada", goodPassword, home); !throttled(err) {
		t.Errorf("too early: %v", err)
	}
	d.pass(time.Millisecond)
	for range 5 {
		if err := d.try("ada", goodPassword, home); err != nil {
			t.Errorf("in time: %v", err)
		}
	}
}

// Somebody who guesses without pause keeps strangers out, but not the owner.
func TestGuessingDoesNotLockTheOwnerOut(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	d.signInFrom("ada", home)
	guess := func(n int) {
		for i := range n {
			d.try("ada", otherPassword, netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
		}
	}
	for range 5 {
		guess(30)
		if err := d.try("ada", goodPassword, stranger); !throttled(err) {
			t.Fatalf("guessing at the account is not slowed down: %v", err)
		}
		if err := d.try("ada", goodPassword, home); err != nil {
			t.Fatalf("the owner, from an address of theirs: %v", err)
		}
		d.pass(perAccount.every)
	}
	// Nor for good anywhere else: once it is left alone, places come back.
	d.pass(perAccount.every)
	if err := d.try("ada", goodPassword, stranger); err != nil {
		t.Errorf("the owner, from a new address, after the guessing: %v", err)
	}
}

// Neighbours behind the same address who use its places up do not lock the
// owner out either.
func TestNeighboursDoNotLockTheOwnerOut(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	d.signInFrom("ada", home)
	for i := range perAddress.burst {
		wantErr(t, d.try(fmt.Sprintf("nobody%d", i), "x", home), exeunt.ErrWrongCredentials)
	}
	if err := d.try("somebody", "x", home); !throttled(err) {
		t.Fatalf("guessing from one address is not slowed down: %v", err)
	}
	if err := d.try("ada", goodPassword, home); err != nil {
		t.Errorf("the owner: %v", err)
	}
	// Guessing at the owner from there is slowed down all the same.
	for range perKnown.burst {
		wantErr(t, d.try("ada", otherPassword, home), exeunt.ErrWrongCredentials)
	}
	if err := d.try("ada", goodPassword, home); !throttled(err) {
		t.Errorf("%v", err)
	}
}

// An IPv6 address that changes every day within its network stays known.
func TestOneNetworkIsOneAddress(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	d.signInFrom("ada", netip.MustParseAddr("2001:db8:1:2:aaaa::1"))
	for range perAccount.burst {
		d.try("ada", otherPassword, stranger)
	}
	if err := d.try("ada", goodPassword, netip.MustParseAddr("2001:db8:1:2:bbbb::9")); err != nil {
		t.Errorf("the owner's new address: %v", err)
	}
	if err := d.try("ada", goodPassword, netip.MustParseAddr("2001:db8:1:3::1")); !throttled(err) {
		t.Errorf("the next customer's: %v", err)
	}
	// Nor does walking through a network make a stranger many.
	for i := range perAddress.burst {
		d.try(fmt.Sprintf("nobody%d", i), "x", netip.MustParseAddr(fmt.Sprintf("2001:db8:9:9::%x", i+1)))
	}
	if err := d.try("another", "x", netip.MustParseAddr("2001:db8:9:9:ffff::1")); !throttled(err) {
		t.Errorf("%v", err)
	}
}

// Being throttled must not tell whether there is such an account, or that two
// names are one account's.
func TestThrottlingDoesNotTellWhoIsThere(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "ada@example.com", true)
	pattern := func(first, second string) (out string) {
		d.pass(time.Hour)
		for _, identifier := range []string{first, second} {
			for i := range perAccount.burst + 2 {
				from := netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
				out += map[bool]string{true: "T", false: "."}[throttled(d.try(identifier, "x", from))]
			}
		}
		return out
	}
	for _, p := range [][4]string{
		{"ada", "@Ada", "nobody", "@Nobody"},
		{"ada", "ada@example.com", "nobody", "nobody@example.com"},
		{"ada@example.com", " ADA@example.com", "nobody@example.com", " NOBODY@example.com"},
	} {
		if there, notThere := pattern(p[0], p[1]), pattern(p[2], p[3]); there != notThere {
			t.Errorf("%s then %s: %s, but %s then %s: %s", p[0], p[1], there, p[2], p[3], notThere)
		}
	}
}

func TestTheThrottlesMemoryIsBounded(t *testing.T) {
	now := epoch
	th := newThrottle(func() time.Time { return now })
	for i := range maxBuckets + 10 {
		th.take(fmt.Sprint(i), perAccount)
	}
	if len(th.tat) > maxBuckets {
		t.Errorf("%d counts are kept", len(th.tat))
	}
	if k := canonical(strings.Repeat("x@", 1<<20)); len(k) > exeunt.MaxEmailLen {
		t.Errorf("a count is kept under %d bytes", len(k))
	}
	now = now.Add(time.Hour)
	for i := range maxBuckets {
		th.take(fmt.Sprint("later ", i), perAccount)
	}
	if _, ok := th.tat["later 0"]; !ok || len(th.tat) > maxBuckets {
		t.Errorf("what is over is not dropped first: %d", len(th.tat))
	}
}

func TestNetworks(t *testing.T) {
	for in, want := range map[string]string{"198.51.100.7": "198.51.100.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64"} {
		if got := network(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	if n := network(netip.Addr{}); n.IsValid() || n.Contains(home) {
		t.Errorf("of no address: %v", n)
	}
}
