package signin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Only failures count as failures: whoever knows the password is not kept waiting by their own sign-ins.
func TestSuccessesAreRefunded(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	for range 3 * perAddress.Near.Burst {
		if err := d.try("ada", goodPassword, home); err != nil {
			t.Fatal(err)
		}
	}
	for range perAccount.Burst + perReserve.Near.Burst {
		wantErr(t, d.try("ada", otherPassword, home), exeunt.ErrWrongCredentials)
	}
	if err := d.try("ada", goodPassword, home); !throttled(err) {
		t.Errorf("after %d failures: %v", perAccount.Burst+perReserve.Near.Burst, err)
	}
	d.pass(perAccount.Every - time.Millisecond)
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

// Somebody who guesses without pause, and takes every permit as it becomes free,
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
		if n > perReserve.Near.Burst+1 { // one of the account's own permits may be free again
			t.Errorf("%d guesses from %v", n, from)
		}
	}
}

// Neighbours behind the same address who use up its permits keep the owner out
// there for seconds, and nowhere else.
func TestNeighboursDoNotLockTheOwnerOut(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	for i := range perAddress.Near.Burst {
		wantErr(t, d.try(fmt.Sprintf("nobody%d", i), "x", home), exeunt.ErrWrongCredentials)
	}
	if err := d.try("somebody", "x", home); !throttled(err) {
		t.Fatalf("guessing from one address is not slowed down: %v", err)
	}
	if err := d.try("ada", goodPassword, stranger); err != nil {
		t.Errorf("the owner, elsewhere: %v", err)
	}
	d.pass(perAddress.Near.Every)
	if err := d.try("ada", goodPassword, home); err != nil {
		t.Errorf("the owner, there: %v", err)
	}
}

// Walking through an IPv6 network does not make one customer many.
func TestOneNetworkIsOneAddress(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	for i := range perAccount.Burst + perReserve.Near.Burst {
		d.try("ada", otherPassword, netip.MustParseAddr(fmt.Sprintf("2001:db8:1:2::%x", i+1)))
	}
	if err := d.try("ada", goodPassword, netip.MustParseAddr("2001:db8:1:2:bbbb::9")); !throttled(err) {
		t.Errorf("another address of the same customer: %v", err)
	}
	if err := d.try("ada", goodPassword, netip.MustParseAddr("2001:db8:1:3::1")); err != nil {
		t.Errorf("the next customer's: %v", err)
	}
	for i := range perAddress.Near.Burst {
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
			for i := range perAccount.Burst + 2 {
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

func TestTheMemoryOfNamesIsBounded(t *testing.T) {
	if k := canonical(strings.Repeat("x@", 1<<20)); len(k) > exeunt.MaxEmailLen {
		t.Errorf("a count is stored under %d bytes", len(k))
	}
	var g regulars
	for i := range 3 * maxRegulars {
		g.remember(regular{fmt.Sprint(i), throttle.Network(home)})
	}
	if n := len(g.now) + len(g.before); n > 2*maxRegulars {
		t.Errorf("%d regulars are remembered", n)
	}
}

// Whoever has an IPv6 network usually has 65,536 of them, and is not as many
// customers.
func TestOneWideNetworkIsNotManyCustomers(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	in := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i)) }
	guesses := 0
	for i := range 200 {
		if !throttled(d.try("ada", otherPassword, in(i))) {
			guesses++
		}
	}
	if most := perAccount.Burst + perReserve.Wide.Burst; guesses != most {
		t.Errorf("%d guesses at one account from one /48, not %d", guesses, most)
	}
	if err := d.try("ada", goodPassword, netip.MustParseAddr("2001:db8:2:1::1")); err != nil {
		t.Errorf("the owner, from another /48: %v", err)
	}
	d.pass(24 * time.Hour)
	tried := 0
	for i := range 2 * perAddress.Wide.Burst {
		if !throttled(d.try(fmt.Sprintf("nobody%d", i), "x", in(i))) {
			tried++
		}
	}
	if tried != perAddress.Wide.Burst {
		t.Errorf("%d names from one /48, not %d", tried, perAddress.Wide.Burst)
	}
}

// Neighbours who fail without pause under ever new names do not keep those out
// who sign in there usually. To everybody else, and to a wrong password, the
// answer is the same, so that it does not tell who they are; and what it lets
// through is little.
func TestSteadyFailuresDoNotLockTheRegularsOut(t *testing.T) {
	d := newDesk(t)
	for _, handle := range []string{"ada", "bob", "newcomer"} {
		d.add(handle, "", false)
	}
	for _, handle := range []string{"ada", "bob"} {
		if err := d.try(handle, goodPassword, home); err != nil {
			t.Fatal(err)
		}
	}
	name := 0
	useUp := func() {
		for {
			if name++; throttled(d.try(fmt.Sprintf("nobody%d", name), "x", home)) {
				return
			}
		}
	}
	for minute := range 60 {
		useUp()
		if err := d.try("ada", goodPassword, home); err != nil {
			t.Fatalf("ada, after %d minutes: %v", minute, err)
		}
		d.pass(time.Minute)
	}
	useUp()
	for _, handle := range []string{"newcomer", "nobody", "ada"} {
		var e *exeunt.ThrottledError
		if err := d.try(handle, otherPassword, home); !errors.As(err, &e) || e.RetryAfter != perAddress.Near.Every {
			t.Errorf("a wrong password of %s: %v", handle, err)
		}
	}
	for range perRegular.Burst {
		d.try("bob", otherPassword, home)
	}
	if err := d.try("bob", goodPassword, home); !throttled(err) {
		t.Errorf("after %d guesses at a regular: %v", perRegular.Burst, err)
	}
	if err := d.try("ada", goodPassword, home); err != nil {
		t.Errorf("another regular: %v", err)
	}
	if err := d.try("bob", goodPassword, stranger); err != nil {
		t.Errorf("elsewhere: %v", err)
	}
}

// Sign-ins that succeed have rates too, by account and by address, which failures do not use up. The password is
// not hashed beyond them.
func TestSuccessesAreBounded(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "ada@example.com", true)
	d.add("grace", "", false)
	refused := func(err error) bool {
		var e *exeunt.ThrottledError
		return errors.As(err, &e) && e.Limit == exeunt.LimitSignIns && e.RetryAfter > 0
	}
	for range perAccount.Burst {
		d.try("ada", otherPassword, stranger)
	}
	for i := range perSuccess.Burst {
		identifier := []string{"ada", "ada@example.com"}[i%2]
		if err := d.try(identifier, goodPassword, home); err != nil {
			t.Fatalf("sign-in %d: %v", i+1, err)
		}
	}
	if err := d.try("ada", goodPassword, stranger); !refused(err) {
		t.Errorf("beyond the account's rate: %v", err)
	}
	if err := d.try("grace", goodPassword, home); err != nil {
		t.Errorf("somebody else, at the same address: %v", err)
	}
	d.pass(perSuccess.Every)
	if err := d.try("ada", goodPassword, home); err != nil {
		t.Errorf("in time: %v", err)
	}
	for range perSuccesses.Near.Burst {
		if wait := d.throttle.From(stranger).TakeTwice("successes", perSuccesses); wait > 0 {
			t.Fatal(wait)
		}
	}
	if err := d.try("grace", goodPassword, stranger); !refused(err) {
		t.Errorf("beyond the address's rate: %v", err)
	}
}

// However many sign-ins to one account arrive at the same moment, two are with the hasher, so
// that everybody else gets their place. Another network of the same account has its own.
func TestOneAccountDoesNotFillTheHasher(t *testing.T) {
	d := newDesk(t)
	d.add("ada", "", false)
	var f inFlight
	ada := regular{"ada", throttle.WideNetwork(home)}
	for range maxChecked {
		if err := f.enter(t.Context(), ada); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []regular{{"grace", ada.from}, {"ada", throttle.WideNetwork(netip.MustParseAddr("2001:db8::1"))}} {
		if err := f.enter(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		f.leave(other)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.enter(gone, ada); !errors.Is(err, exeunt.ErrUnavailable) {
		t.Errorf("one too many: %v", err)
	}
	next := make(chan error)
	go func() { next <- f.enter(t.Context(), ada) }()
	f.leave(ada)
	if err := <-next; err != nil {
		t.Errorf("once there is a place: %v", err)
	}
	for range maxChecked {
		f.leave(ada)
	}
	if len(f.lines) != 0 {
		t.Errorf("still counted: %v", f.lines)
	}
	// A service lines them up: while two are checked, the next waits.
	mine := regular{"ada", throttle.WideNetwork(home)}
	for range maxChecked {
		if err := d.inFlight.enter(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		_, err := d.Password(ctx, "ada", goodPassword, home)
		next <- err
	}()
	for waiting := 0; waiting != maxChecked+1; runtime.Gosched() {
		d.inFlight.mu.Lock()
		waiting = d.inFlight.lines[mine].count
		d.inFlight.mu.Unlock()
	}
	leave()
	if err := <-next; !errors.Is(err, exeunt.ErrUnavailable) || !strings.Contains(err.Error(), "other sign-ins") {
		t.Errorf("a sign-in beside two: %v", err)
	}
}

// Failed sign-ins are in the audit where there is an account, with a rate: what has no entry of its own is counted in
// the next one.
func TestFailuresAreAudited(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "", false)
	entries := func(want int) (details []string) {
		t.Helper()
		for limit := time.Now().Add(2 * time.Minute); len(details) < want && time.Now().Before(limit); time.Sleep(time.Millisecond) {
			page, err := d.authority.Audit(t.Context(), exeunt.AuditFilter{Account: id})
			if err != nil {
				t.Fatal(err)
			}
			details = nil
			for _, e := range page.Items {
				if e.Action == exeunt.AuditSignInFailed {
					details = append(details, e.Detail+" "+e.By.Address.String())
				}
			}
		}
		return details
	}
	for i := range perTracedAccount.Burst + 3 {
		d.try("ada", "a guess", stranger)
		d.try("nobody-at-all", "a guess", stranger)
		entries(min(i+1, perTracedAccount.Burst))
	}
	d.pass(perTracedAccount.Every)
	d.try("ada", "a guess", stranger)
	got := entries(perTracedAccount.Burst + 1)
	if len(got) != perTracedAccount.Burst+1 || got[0] != "wrong_credentials, and 3 more before "+stranger.String() ||
		got[1] != "wrong_credentials "+stranger.String() {
		t.Errorf("%q", got)
	}
	if err := d.try("ada", goodPassword, home); err != nil {
		t.Error(err)
	}
	if len(entries(1)) != perTracedAccount.Burst+1 {
		t.Error("a success is told as a failure")
	}
}

// During an attack that uses up every permit of a name, of its address and of its network, the owner gets in from a device
// that the account is used with, and from no other; the attacker gains nothing by a made-up device, nor by an account's
// existence.
func TestAKnownDeviceIsNotLockedOut(t *testing.T) {
	d := newDesk(t)
	id := d.add("ada", "", false)
	laptop, strange := exeunt.NewToken(exeunt.UseDevice).Hash(), exeunt.NewToken(exeunt.UseDevice).Hash()
	proof, err := Proof(d.Password(t.Context(), "ada", goodPassword, home))
	must(t, err)
	in := signInOf(proof)
	in.Recognised = store.Recognised{Arrival: store.Arrival{Device: laptop, Agent: "Firefox on Linux"}, Familiar: true}
	_, _, err = d.authority.Start(t.Context(), in)
	must(t, err)
	on := func(device exeunt.TokenHash, name, password string, from netip.Addr) error {
		_, err := d.PasswordOn(t.Context(), device, name, password, from)
		return err
	}
	flood := func(name string, from netip.Addr) {
		for !throttled(d.try(name, otherPassword, from)) {
		}
	}
	for _, from := range []netip.Addr{stranger, netip.MustParseAddr("2001:db8:77::1")} { // not where it signed in before
		flood("ada", from)
		for i := range 2 * perAddress.Near.Burst {
			_ = d.try(fmt.Sprint("nobody", i), otherPassword, from)
		}
		if err := on(strange, "ada", goodPassword, from); !throttled(err) {
			t.Fatalf("a device that nobody knows, from %v: %v", from, err)
		}
		if err := on(laptop, "ada", goodPassword, from); err != nil {
			t.Errorf("the owner's device, from %v: %v", from, err)
		}
		if err := on(laptop, "nobody", goodPassword, from); !throttled(err) {
			t.Errorf("the device for another name, from %v: %v", from, err)
		}
	}
	// Strangers everywhere use up what all networks have together.
	for i := range perStrangers.Burst + perAccount.Burst {
		_ = d.try("ada", otherPassword, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	travelling := netip.MustParseAddr("198.18.5.5")
	if err := on(strange, "ada", goodPassword, travelling); !throttled(err) {
		t.Errorf("a device that nobody knows, elsewhere: %v", err)
	}
	if err := on(laptop, "ada", goodPassword, travelling); err != nil {
		t.Errorf("the owner's device, elsewhere: %v", err)
	}
	// Whoever has copied the device cookie gains its own few permits, beside those of a network that it was used from.
	n := 0
	for ; n < 100 && on(laptop, "ada", otherPassword, stranger) != nil; n++ {
		if err := on(laptop, "ada", goodPassword, stranger); throttled(err) {
			break
		}
	}
	if n > perDevice.Burst+perRegular.Burst {
		t.Errorf("%d guesses from a copied device", n)
	}
	if known, err := d.Store.KnowsDevice(t.Context(), id, laptop, d.Now()); !known || err != nil {
		t.Errorf("the device: %v, %v", known, err)
	}
}
