package throttle

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

var (
	epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	rate  = Rate{10, 30 * time.Second}
	home  = netip.MustParseAddr("198.51.100.7")
)

func TestPlacesComeBackOneByOne(t *testing.T) {
	now := epoch
	th := New(func() time.Time { return now })
	from := Network(home)
	for i := range rate.Burst {
		if wait := th.Take("ada", rate, from); wait > 0 {
			t.Fatalf("permit %d: wait %v", i+1, wait)
		}
	}
	for _, c := range []struct{ pass, wait time.Duration }{
		{0, rate.Every}, {rate.Every - time.Second, time.Second}, {time.Second, 0}, {0, rate.Every}, {2 * rate.Every, 0}, {0, 0}, {0, rate.Every},
	} {
		now = now.Add(c.pass)
		if wait := th.Take("ada", rate, from); wait != c.wait {
			t.Errorf("after %v: wait %v, not %v", now.Sub(epoch), wait, c.wait)
		}
	}
	if wait := th.Take("grace", rate, from); wait > 0 {
		t.Errorf("another key: wait %v", wait)
	}
	th.GiveBack("ada", rate)
	if wait := th.Take("ada", rate, from); wait > 0 {
		t.Errorf("a permit that was given back: wait %v", wait)
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	now := epoch
	th := New(func() time.Time { return now })
	from := func(i int) netip.Prefix {
		return Network(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	for i := range maxKeys + 10 {
		th.Take(fmt.Sprint(i), rate, from(i))
	}
	if n := len(th.buckets); n > maxKeys || n < maxKeys/4*3 {
		t.Errorf("%d counts are stored", n)
	}
	now = now.Add(time.Hour)
	for i := range maxKeys {
		th.Take(fmt.Sprint("later ", i), rate, from(i))
	}
	if _, ok := th.buckets["later 0"]; !ok || len(th.buckets) > maxKeys {
		t.Errorf("what is over is not dropped first: %d", len(th.buckets))
	}
	// What has been given back is not stored.
	th = New(func() time.Time { return now })
	if th.Take("for a moment", rate, from(0)); len(th.buckets) != 1 {
		t.Error("not counted")
	}
	if th.GiveBack("for a moment", rate); len(th.buckets) != 0 {
		t.Error("stored though every permit is free")
	}
}

// One network that makes counts without end has its own forgotten, not those of
// everybody else.
func TestOneNetworkHasNobodyElsesCountsForgotten(t *testing.T) {
	th := New(func() time.Time { return epoch })
	others := map[string]netip.Prefix{}
	for i := range 1000 {
		key := fmt.Sprint("account somebody", i)
		others[key] = Network(netip.AddrFrom4([4]byte{198, 51, byte(i / 250), byte(i)}))
		th.Take(key, rate, others[key])
	}
	attacker := WideNetwork(netip.MustParseAddr("2001:db8:1::1"))
	for i := range maxKeys + maxKeys/4 {
		th.Take(fmt.Sprint("account nobody", i), rate, attacker)
	}
	for key := range others {
		if _, ok := th.buckets[key]; !ok {
			t.Fatalf("%s is forgotten", key)
		}
	}
}

func TestNetworks(t *testing.T) {
	for in, want := range map[string]string{"198.51.100.7": "198.51.100.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "::ffff:198.51.100.7": "198.51.100.7/32"} {
		if got := Network(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	if got := WideNetwork(netip.MustParseAddr("2001:db8:1:2:3:4:5:6")).String(); got != "2001:db8:1::/48" || WideNetwork(home) != Network(home) {
		t.Errorf("the wide network is %s", got)
	}
	if n := Network(netip.Addr{}); n.IsValid() || n.Contains(home) {
		t.Errorf("of no address: %v", n)
	}
}
