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
	for range perAccount.burst + perReserve.burst {
		wantErr(t, d.try("ada", otherPassword, home), exeunt.ErrWrongCredentials)
	}
	if err := d.try("ada", goodPassword, home); !throttled(err) {
		t.Errorf("after %d failures: %v", perAccount.burst+perReserve.burst, err)
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

// Somebody who guesses without pause, and takes every place as it comes back,
// does not keep the owner out, wherever the owner is.
func TestGuessingDoesNotLockTheOwnerOut(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	guess := func() error { return d.try("ada", otherPassword, stranger) }
	slowed := false
	for second := range 3600 {
		slowed = throttled(guess()) || slowed
		if second%60 == 59 {
			from := netip.AddrFrom4([4]byte{203, 0, 113, byte(second / 60 % 5)}) // on a journey
			if err := d.try("ada", goodPassword, from); err != nil {
				t.Fatalf("the owner, after %d s: %v", second, err)
			}
		}
		d.pass(time.Second)
	}
	if !slowed {
		t.Error("guessing at the account is not slowed down")
	}
	// Guessing from many networks gains five tries from each.
	for i := range 20 {
		from, n := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 0
		for !throttled(d.try("ada", otherPassword, from)) {
			n++
		}
		if n > perReserve.burst+1 { // one of the account's own places may have come back
			t.Errorf("%d guesses from %v", n, from)
		}
	}
}

// Neighbours behind the same address who use its places up keep the owner out
// there for seconds, and nowhere else.
func TestNeighboursDoNotLockTheOwnerOut(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	for i := range perAddress.burst {
		wantErr(t, d.try(fmt.Sprintf("nobody%d", i), "x", home), exeunt.ErrWrongCredentials)
	}
	if err := d.try("somebody", "x", home); !throttled(err) {
		t.Fatalf("guessing from one address is not slowed down: %v", err)
	}
	if err := d.try("ada", goodPassword, stranger); err != nil {
		t.Errorf("the owner, elsewhere: %v", err)
	}
	d.pass(perAddress.every)
	if err := d.try("ada", goodPassword, home); err != nil {
		t.Errorf("the owner, there: %v", err)
	}
}

// Walking through an IPv6 network does not make one customer many.
func TestOneNetworkIsOneAddress(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	for i := range perAccount.burst + perReserve.burst {
		d.try("ada", otherPassword, netip.MustParseAddr(fmt.Sprintf("2001:db8:1:2::%x", i+1)))
	}
	if err := d.try("ada", goodPassword, netip.MustParseAddr("2001:db8:1:2:bbbb::9")); !throttled(err) {
		t.Errorf("another address of the same customer: %v", err)
	}
	if err := d.try("ada", goodPassword, netip.MustParseAddr("2001:db8:1:3::1")); err != nil {
		t.Errorf("the next customer's: %v", err)
	}
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
