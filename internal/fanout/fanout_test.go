package fanout

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// silence is an address that accepts connections and never answers.
func silence(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String() + "/backchannel"
}

// deadPort is an address at which nobody listens.
func deadPort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return "http://" + l.Addr().String() + "/backchannel"
}

// Twenty apps, of which some are broken: each of the others knows at once, and of the broken ones is said what is true.
// The ending waits for none.
func TestTwentyApps(t *testing.T) { onEachEngine(t, twentyApps) }

func twentyApps(t *testing.T, database string) {
	var apps []*app
	for i := range 16 {
		apps = append(apps, newApp(t, fmt.Sprintf("good%02d", i), nil))
	}
	dead, silent := newApp(t, "dead", nil), newApp(t, "silent", nil)
	dead.client.BackchannelURI, silent.client.BackchannelURI = deadPort(t), silence(t)
	recovers := newApp(t, "recovers", func(n int, _ http.ResponseWriter) int { return []int{500, 204}[min(n, 1)] })
	refuses := newApp(t, "refuses", func(int, http.ResponseWriter) int { return 400 })
	apps = append(apps, dead, silent, recovers, refuses)
	s := newSite(t, testnode.Options{Database: database}, apps...)
	p := s.NewAccount(t, "ada")
	_, v := s.NewSession(t, p, exeunt.KindKept)
	for _, a := range apps {
		s.NewAppSession(t, v, a.client.ID)
	}
	began := time.Now()
	s.SignOut(t, v)
	until(t, "all but the broken ones to know", func() bool {
		now := s.states(v)
		return len(now) == len(apps) && !slices.ContainsFunc(apps[:16], func(a *app) bool {
			return now[a.client.ID].State != exeunt.DeliveryConfirmed
		})
	})
	// Some milliseconds on a machine that has nothing else to do; tests share theirs with others. Whoever did not hear of
	// the ending would find it later than that.
	if took := time.Since(began); took > lookEvery-time.Second {
		t.Errorf("it took %v until the good ones knew", took)
	} else {
		t.Logf("16 of 20 apps knew after %v", took)
	}
	until(t, "the outcome of the others", func() bool {
		now := s.states(v)
		return now["recovers"].State == exeunt.DeliveryConfirmed && now["refuses"].State == exeunt.DeliveryRefused &&
			now["dead"].Attempts >= 2 && now["dead"].Error != ""
	})
	until(t, "the silent one's first attempt to be over", func() bool { return s.states(v)["silent"].Error != "" })
	now := s.states(v)
	for id, want := range map[exeunt.ClientID]string{"dead": "connection_refused", "silent": "timeout"} {
		if d := now[id]; d.State != exeunt.DeliveryPending || d.Error != want || d.Attempts == 0 || !d.Finished.IsZero() {
			t.Errorf("%s: %+v", id, d)
		}
	}
	for _, a := range append(apps[:16:16], refuses) {
		if n := len(a.got()); n != 1 {
			t.Errorf("%s was told %d times", a.client.ID, n)
		}
	}
	if in := recovers.got(); len(in) != 2 || claimsOf(in[0].token)["jti"] == claimsOf(in[1].token)["jti"] {
		t.Errorf("the one that recovers was told %d times", len(in))
	}
	if n := strings.Count(s.said.String(), "client=dead"); n > 1 {
		t.Errorf("%d lines about the dead one", n)
	}
	totals, err := s.fan.Totals(t.Context())
	if err != nil || len(totals) != 2 || totals[0].Client != "dead" || totals[1].Pending.Count != 1 {
		t.Errorf("totals: %+v, %v", totals, err)
	}
}

// How long an ending takes does not depend on how many apps must be told.
func TestAnEndingWaitsForNoApp(t *testing.T) {
	silent := newApp(t, "silent", nil)
	silent.client.BackchannelURI = silence(t)
	apps := []*app{silent}
	for i := range 19 {
		a := newApp(t, fmt.Sprintf("app%02d", i), nil)
		a.client.BackchannelURI = silence(t)
		apps = append(apps, a)
	}
	s := newSite(t, testnode.Options{}, apps...)
	p := s.NewAccount(t, "ada")
	fastest := func(with []*app) time.Duration {
		best := time.Hour
		for range 12 {
			_, v := s.NewSession(t, p, exeunt.KindKept)
			for _, a := range with {
				s.NewAppSession(t, v, a.client.ID)
			}
			began := time.Now()
			s.SignOut(t, v)
			best = min(best, time.Since(began))
		}
		return best
	}
	none := fastest(nil)
	all := fastest(apps)
	t.Logf("%v without apps, %v with %d", none, all, len(apps))
	if all > none*3/2+5*time.Millisecond {
		t.Errorf("an ending takes %v with %d apps, %v without", all, len(apps), none)
	}
}

// Whatever ends a session, its app is told of it alike, once.
func TestEveryCauseReachesApps(t *testing.T) { onEachEngine(t, everyCauseReachesApps) }

func everyCauseReachesApps(t *testing.T, database string) {
	a, whole := newApp(t, "chirp", nil), newApp(t, "whole", nil)
	whole.client.BackchannelAccount = true
	policy := exeunt.DefaultPolicy()
	hook := newReceiver(t, "siem", nil, exeunt.MessageEnded, exeunt.MessageSecured)
	s := newHookedSite(t, testnode.Options{Database: database, Policy: policy}, []*receiver{hook}, a, whole)
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}
	end := func(by exeunt.Actor, v exeunt.Session, scope exeunt.Scope, session exeunt.SessionID) error {
		_, err := s.End(context.Background(), by, exeunt.Revocation{Target: exeunt.Target{Account: v.Account,
			Scope: scope, Session: session}, Reason: exeunt.ReasonSignedOut})
		return err
	}
	for i, c := range []struct {
		cause string
		whole bool // the account
		end   func(token, otherToken exeunt.Token, v, other exeunt.Session) error
	}{
		{"the person, there", false, func(_, _ exeunt.Token, v, _ exeunt.Session) error {
			return end(testnode.PersonIn(v), v, exeunt.ScopeSession, v.ID)
		}},
		{"the person, on another device", false, func(_, _ exeunt.Token, v, other exeunt.Session) error {
			return end(testnode.PersonIn(other), v, exeunt.ScopeSession, v.ID)
		}},
		{"all others", false, func(_, _ exeunt.Token, v, other exeunt.Session) error {
			return end(testnode.PersonIn(other), v, exeunt.ScopeOthers, other.ID)
		}},
		{"everywhere", true, func(_, _ exeunt.Token, v, other exeunt.Session) error {
			return end(testnode.PersonIn(other), v, exeunt.ScopeAccount, exeunt.SessionID{})
		}},
		{"an operator", false, func(_, _ exeunt.Token, v, _ exeunt.Session) error {
			return end(operator, v, exeunt.ScopeSession, v.ID)
		}},
		{"an operator, the account", true, func(_, _ exeunt.Token, v, _ exeunt.Session) error {
			return end(operator, v, exeunt.ScopeAccount, exeunt.SessionID{})
		}},
		{"a disabled account", true, func(_, _ exeunt.Token, v, _ exeunt.Session) error {
			_, err := s.Disable(context.Background(), operator, v.Account)
			return err
		}},
		{"a changed password", false, func(_, otherToken exeunt.Token, v, other exeunt.Session) error {
			_, _, err := s.ReplacePassword(context.Background(), testnode.PersonIn(other), otherToken, "", "another hash", 1)
			return err
		}},
		{"it was not they", true, func(_, _ exeunt.Token, v, other exeunt.Session) error {
			return s.disown(other, v)
		}},
		{"securing the account", false, func(_, otherToken exeunt.Token, v, other exeunt.Session) error {
			_, _, err := s.SecureOthers(context.Background(), testnode.PersonIn(other), otherToken, "")
			return err
		}},
		{"securing by a link", true, func(_, _ exeunt.Token, v, _ exeunt.Session) error {
			_, err := s.Secure(context.Background(), exeunt.Actor{Kind: exeunt.ActorLink, Account: v.Account}, v.Account)
			return err
		}},
		{"a review", false, func(_, _ exeunt.Token, v, other exeunt.Session) error {
			_, err := s.End(context.Background(), testnode.PersonIn(other), exeunt.Revocation{Reason: exeunt.ReasonReview,
				Target: exeunt.Target{Account: v.Account, Scope: exeunt.ScopeSession, Session: v.ID}})
			return err
		}},
		{"a deletion of the account", true, func(_, _ exeunt.Token, v, other exeunt.Session) error {
			_, err := s.BeginDeletion(context.Background(), testnode.PersonIn(other), v.Account, "", store.HandleSum{1}, false, 1, nil)
			return err
		}},
		{"a deletion by an operator", true, func(_, _ exeunt.Token, v, _ exeunt.Session) error {
			_, err := s.BeginDeletion(context.Background(), operator, v.Account, "", store.HandleSum{2}, false, 0, nil)
			return err
		}},
		{"the idle timeout", false, func(token, _ exeunt.Token, _, _ exeunt.Session) error {
			s.Clock.Pass(policy.Kept.Idle + time.Second)
			return s.Maintain(context.Background())
		}},
		{"the absolute timeout", false, func(token, _ exeunt.Token, _, _ exeunt.Session) error {
			for left := policy.Kept.Absolute; left > -time.Minute; left -= policy.Kept.Idle / 2 {
				s.Clock.Pass(policy.Kept.Idle / 2)
				if ans := s.Check(context.Background(), token); ans.Usable() {
					s.Touch(ans)
					must(t, s.FlushActivity(context.Background()))
				}
			}
			return s.Maintain(context.Background())
		}},
	} {
		s.Clock.Pass(time.Minute) // so many may sign up
		p := s.NewAccount(t, fmt.Sprintf("person%d", i))
		token, v := s.NewSession(t, p, exeunt.KindKept)
		otherToken, other := s.NewSession(t, p, exeunt.KindKept)
		s.NewAppSession(t, v, "chirp")
		s.NewAppSession(t, v, "whole")
		before, wholeBefore, hookBefore := len(a.got()), len(whole.got()), len(hook.got())
		must(t, c.end(token, otherToken, v, other))
		until(t, c.cause+": the app to be told", func() bool { return len(a.got()) > before })
		got := claimsOf(a.got()[before].token)
		if got["sub"] != v.Account.String() || c.whole != (got["sid"] == nil) ||
			!c.whole && got["sid"] != v.ID.String() {
			t.Errorf("%s: the app was told %v", c.cause, got)
		}
		until(t, c.cause+": to be confirmed", func() bool { return s.states(v)["chirp"].State == exeunt.DeliveryConfirmed })
		s.read()
		until(t, c.cause+": nothing to be pending", func() bool {
			totals, err := s.fan.Totals(context.Background())
			return err == nil && len(totals) == 0
		})
		if n := len(a.got()) - before; n != 1 {
			t.Errorf("%s: the app was told %d times", c.cause, n)
		}
		if n := len(whole.got()) - wholeBefore; (n == 1) != c.whole {
			t.Errorf("%s: the app that can only end all was told %d times", c.cause, n)
		}
		s.mustHaveToldHook(t, c.cause, hook, hookBefore, v, other)
	}
}

// Whoever changes the password keeps their session, with a new token; the apps that were signed in to with the old one
// are told that they are signed out.
func TestARenewalReachesApps(t *testing.T) { onEachEngine(t, aRenewalReachesApps) }

func aRenewalReachesApps(t *testing.T, database string) {
	a, whole := newApp(t, "chirp", nil), newApp(t, "whole", nil)
	whole.client.BackchannelAccount = true
	s := newSite(t, testnode.Options{Database: database}, a, whole)
	p := s.NewAccount(t, "ada")
	token, v := s.NewSession(t, p, exeunt.KindKept)
	s.NewAppSession(t, v, "chirp")
	s.NewAppSession(t, v, "whole")
	_, other := s.NewSession(t, p, exeunt.KindKept)
	s.NewAppSession(t, other, "chirp")
	if _, _, err := s.ReplacePassword(t.Context(), testnode.PersonIn(v), token, "", "another hash", 1); err != nil {
		t.Fatal(err)
	}
	for _, v := range []exeunt.Session{v, other} {
		until(t, "the app to know", func() bool { return s.allAre(v, 1, exeunt.DeliveryConfirmed) })
	}
	sids := []string{}
	for _, in := range a.got() {
		sids = append(sids, fmt.Sprint(claimsOf(in.token)["sid"]))
	}
	want := []string{v.ID.String(), other.ID.String()}
	slices.Sort(sids)
	slices.Sort(want)
	if !slices.Equal(sids, want) || len(whole.got()) != 0 {
		t.Errorf("told of %v, want %v; the one that can only end all %d times", sids, want, len(whole.got()))
	}
}

// An app session that ends alone: its app is told, unless it has done that itself, or has another one.
func TestAnAppSessionAlone(t *testing.T) {
	a := newApp(t, "chirp", nil)
	s := newSite(t, testnode.Options{}, a)
	_, v := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindKept)
	start := func() exeunt.AppSessionID { _, ans := s.NewAppSession(t, v, "chirp"); return ans.App }
	end := func(app exeunt.AppSessionID, by exeunt.Actor) {
		t.Helper()
		_, err := s.End(t.Context(), by, exeunt.Revocation{Reason: exeunt.ReasonSignedOut, Target: exeunt.Target{
			Account: v.Account, Scope: exeunt.ScopeSession, Session: v.ID, AppSession: app}})
		must(t, err)
		s.read()
	}
	person := testnode.PersonIn(v)
	app := start()
	itself := person
	itself.App = app
	end(app, itself)
	if list := s.states(v); len(list) != 0 {
		t.Errorf("it ended itself, and is told: %v", list)
	}
	one, two := start(), start()
	end(one, person)
	if list := s.states(v); len(list) != 0 {
		t.Errorf("it has another one, and is told: %v", list)
	}
	end(two, person)
	until(t, "the app to know", func() bool { return s.allAre(v, 1, exeunt.DeliveryConfirmed) })
	if got := claimsOf(a.got()[0].token); got["sid"] != v.ID.String() {
		t.Errorf("it was told %v", got)
	}
}

// Two nodes share the work. Nobody is told twice, and not by both at once.
func TestTwoNodesShareTheWork(t *testing.T) {
	t.Parallel()
	url := testpg.NewDatabase(t)
	var apps []*app
	for i := range 4 {
		apps = append(apps, newApp(t, fmt.Sprintf("app%d", i), nil))
	}
	sites := []*site{newSite(t, testnode.Options{Database: url}, apps...),
		newSite(t, testnode.Options{Database: url, Clients: []exeunt.Client{}})}
	people := 6
	if !testing.Short() {
		people = 40
	}
	var wg sync.WaitGroup
	var proofs []exeunt.Proof
	for i := range 6 { // few, because somebody without an address may not sign up often
		proofs = append(proofs, sites[0].NewAccount(t, fmt.Sprintf("person%d", i)))
	}
	sessions := make([]exeunt.Session, people)
	for i := range sessions {
		_, sessions[i] = sites[0].NewSession(t, proofs[i%len(proofs)], exeunt.KindKept)
		for _, a := range apps {
			sites[0].NewAppSession(t, sessions[i], a.client.ID)
		}
	}
	for i, v := range sessions {
		wg.Go(func() { sites[i%2].SignOut(t, v) })
	}
	wg.Wait()
	for _, v := range sessions {
		until(t, "all to know", func() bool { return sites[0].allAre(v, len(apps), exeunt.DeliveryConfirmed) })
	}
	for _, a := range apps {
		jtis := map[any]bool{}
		for _, in := range a.got() {
			jtis[claimsOf(in.token)["jti"]] = true
		}
		if n := len(a.got()); n != people || len(jtis) != n || a.most > 1 {
			t.Errorf("%s was told %d times of %d ends, with %d tokens, and %d at once of the same", a.client.ID, n, people,
				len(jtis), a.most)
		}
	}
}

// A node stops while it tells an app: another one, or the next start, does it.
func TestAnotherNodeTakesOver(t *testing.T) {
	t.Parallel()
	url := testpg.NewDatabase(t)
	begun, free := make(chan struct{}), make(chan struct{})
	a := newApp(t, "chirp", func(n int, _ http.ResponseWriter) int {
		if n == 0 {
			close(begun)
			<-free
		}
		return 200
	})
	defer close(free)
	first := newSite(t, testnode.Options{Database: url}, a)
	_, v := first.NewSession(t, first.NewAccount(t, "ada"), exeunt.KindKept)
	first.NewAppSession(t, v, "chirp")
	first.SignOut(t, v)
	<-begun
	first.stop()
	if d := first.states(v)["chirp"]; d.State != exeunt.DeliveryPending {
		t.Errorf("%+v", d)
	}
	second := newSite(t, testnode.Options{Database: url, Clients: []exeunt.Client{}})
	until(t, "the second node to tell", func() bool { return second.allAre(v, 1, exeunt.DeliveryConfirmed) })
	if n := len(a.got()); n != 2 {
		t.Errorf("it was told %d times", n)
	}
	// The first node has let go of the cursor, too.
	_, w := second.NewSession(t, exeunt.Proof{Account: v.Account, Methods: v.Methods, At: second.Now(), Generation: 1,
		CredentialVersion: 1}, exeunt.KindKept)
	second.NewAppSession(t, w, "chirp")
	second.SignOut(t, w)
	until(t, "the second node to read the log", func() bool { return second.allAre(w, 1, exeunt.DeliveryConfirmed) })
}

// Which addresses may be reached is decided by the address that is dialled, whatever a name stands for.
func TestAddresses(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.0.0.1": true, "192.168.1.1": true, "172.16.0.1": true, "fd12::1": true,
		"100.64.0.1": true, "93.184.215.14": true, "2606:2800:21f:cb07::1": true,
		"169.254.169.254": false, "169.254.0.1": false, "fe80::1": false, "fe80::1%eth0": false, "febf::1": false,
		"fd00:ec2::254": false, "100.100.100.200": false, "192.0.0.192": false, "168.63.129.16": false,
		"0.0.0.0": false, "::": false, "0.1.2.3": false, "255.255.255.255": false, "240.0.0.1": false,
		"224.0.0.1": false, "ff02::1": false, "::ffff:169.254.169.254": false, "::ffff:127.0.0.1": true,
		"64:ff9b::a9fe:a9fe": false, "64:ff9b::7f00:1": true, "2002:a9fe:a9fe::1": false,
		"64:ff9b:1::a9fe:a9fe": false, "64:ff9b:1::a00:1": true, "::ffff:0:169.254.169.254": false, "fd20:ce::254": false,
	} {
		if got := mayReach(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	s := &Service{client: newClient()}
	for _, uri := range []string{"http://169.254.169.254/latest", "http://[fe80::1%25lo]/", "http://0.0.0.0/",
		"http://[::ffff:169.254.169.254]/", "http://[fd00:ec2::254]/"} {
		if got := s.post(t.Context(), uri, "x"); got != (answer{err: "address"}) {
			t.Errorf("%s: %+v", uri, got)
		}
	}
	// Names below localhost are this machine, whatever a name server says.
	here := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer here.Close()
	for _, host := range []string{"app.localhost", "App.LocalHost."} {
		uri := strings.Replace(here.URL, "127.0.0.1", host, 1)
		if got := s.post(t.Context(), uri, "x"); got != (answer{confirmed: true}) {
			t.Errorf("%s: %+v", uri, got)
		}
	}
	// A name that stands for a good address first, and for a bad one when it is dialled.
	transport := s.client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, "169.254.169.254:80")
	}
	if got := s.post(t.Context(), "http://app.example/backchannel", "x"); got.err != "address" {
		t.Errorf("a name that changes: %+v", got)
	}
}

// What an app may answer, and what that means.
func TestAnswers(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	next := func(http.ResponseWriter) {}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { next(w) }))
	defer server.Close()
	s := &Service{client: newClient()}
	for what, c := range map[string]struct {
		answer func(http.ResponseWriter)
		want   answer
	}{
		"200": {func(w http.ResponseWriter) {}, answer{confirmed: true}},
		"204": {func(w http.ResponseWriter) { w.WriteHeader(204) }, answer{confirmed: true}},
		"400": {func(w http.ResponseWriter) { w.WriteHeader(400) }, answer{refused: true, err: "http_400"}},
		"404": {func(w http.ResponseWriter) { w.WriteHeader(404) }, answer{err: "http_404"}},
		"501": {func(w http.ResponseWriter) { w.WriteHeader(501) }, answer{err: "http_501"}},
		"a redirect": {func(w http.ResponseWriter) { w.Header().Set("Location", other.URL); w.WriteHeader(307) },
			answer{err: "http_307"}},
		"an endless body": {func(w http.ResponseWriter) {
			w.WriteHeader(200)
			for range 1 << 20 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}, answer{confirmed: true}},
		"too many headers": {func(w http.ResponseWriter) {
			for i := range 1000 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 100))
			}
		}, answer{err: "connection"}},
	} {
		next = c.answer
		if got := s.post(t.Context(), server.URL, "x"); got != c.want {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if elsewhere != 0 {
		t.Error("a redirect was followed")
	}
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	secure.Config.ErrorLog = nil
	secure.StartTLS()
	defer secure.Close()
	if got := s.post(t.Context(), secure.URL, "x"); got.err != "certificate" {
		t.Errorf("a certificate of nobody: %+v", got)
	}
}

// A dead app with many deliveries is tried now and then, and takes no places from others. There is one line when it
// fails, and one when it is back.
func TestTheCircuit(t *testing.T) {
	said := &lockedBuffer{}
	s := testService(said)
	now := time.Unix(1_800_000_000, 0)
	fails, works := answer{err: "timeout"}, answer{confirmed: true}
	places := func(id exeunt.ClientID, want int) {
		t.Helper()
		if got, _ := s.begin(id, 100, now); got != want {
			t.Errorf("%s has %d places, want %d", id, got, want)
		}
	}
	places("dead", perClient)
	for i := range perClient {
		s.end("dead", fails, now)
		if s.isOpen("dead") {
			t.Errorf("open after %d failures", i+1)
		}
	}
	places("dead", 1)
	places("dead", 0)
	s.end("dead", fails, now)
	if !s.isOpen("dead") {
		t.Error("not open")
	}
	places("dead", 0) // not before the pause is over
	for range 20 {
		now = now.Add(2 * longestProbe)
		places("dead", 1)
		places("dead", 0)
		s.end("dead", fails, now)
	}
	if n := strings.Count(said.String(), "level=INFO"); n != 1 {
		t.Errorf("%d lines:\n%s", n, said)
	}
	now = now.Add(2 * longestProbe)
	places("dead", 1)
	s.end("dead", works, now)
	places("dead", perClient)
	for range perClient {
		s.end("dead", works, now)
	}
	if n := strings.Count(said.String(), "level=INFO"); n != 2 {
		t.Errorf("%d lines:\n%s", n, said)
	}
	if len(s.circuits) != 0 || s.busy != 0 || s.troubled != 0 {
		t.Errorf("left: %v, %d busy, %d troubled", s.circuits, s.busy, s.troubled)
	}
	// Many dead ones leave most of the places to the others.
	id := func(i int) exeunt.ClientID { return exeunt.ClientID(fmt.Sprint("dead", i)) }
	for i := range 40 {
		for range opensAfter {
			places(id(i), map[bool]int{true: perClient, false: 1}[s.circuits[id(i)] == nil])
			s.giveBack(id(i), s.circuits[id(i)].busy-1)
			s.end(id(i), fails, now)
		}
	}
	now = now.Add(2 * longestProbe)
	taken := 0
	for i := range 40 {
		n, _ := s.begin(id(i), 1, now)
		taken += n
	}
	if taken != atOnceTroubled {
		t.Errorf("dead ones take %d places", taken)
	}
	for i := range (atOnce - atOnceTroubled) / perClient {
		places(exeunt.ClientID(fmt.Sprint("good", i)), perClient)
	}
	places("late", 0)
}

// The pauses between attempts grow, differ, and are no longer than the longest.
func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second,
		5: 16 * time.Second, 10: 512 * time.Second, 11: longestBackoff, 1000: longestBackoff} {
		seen := map[time.Duration]bool{}
		for range 50 {
			d := backoff(failures)
			if seen[d] = true; d < want*3/4 || d > want*5/4 {
				t.Errorf("after %d failures: %v", failures, d)
			}
		}
		if len(seen) < 10 {
			t.Errorf("after %d failures there are %d pauses", failures, len(seen))
		}
	}
}

// An app that is never reached is given up after 72 hours, and a removed client at once.
func TestGivingUp(t *testing.T) {
	dead := newApp(t, "dead", nil)
	dead.client.BackchannelURI = deadPort(t)
	s := newSite(t, testnode.Options{}, dead)
	p := s.NewAccount(t, "ada")
	end := func() exeunt.Session {
		_, v := s.NewSession(t, p, exeunt.KindKept)
		s.NewAppSession(t, v, "dead")
		s.SignOut(t, v)
		return v
	}
	v := end()
	until(t, "a first failure", func() bool { return s.states(v)["dead"].Error != "" })
	s.Clock.Pass(store.GiveUpAfter - time.Minute)
	until(t, "a second one", func() bool { return s.states(v)["dead"].Attempts >= 2 })
	if d := s.states(v)["dead"]; d.State != exeunt.DeliveryPending {
		t.Errorf("given up too early: %+v", d)
	}
	s.Clock.Pass(longestBackoff * 2)
	until(t, "it to be given up", func() bool { return s.states(v)["dead"].State == exeunt.DeliveryGaveUp })
	if d := s.states(v)["dead"]; d.Error != "connection_refused" || d.Finished.IsZero() {
		t.Errorf("it was given up otherwise than by its last attempt: %+v", d)
	}
	must(t, s.OAuth.Reconcile(t.Context(), nil, s.Now())) // the file names it no more
	if _, err := s.Store.Client(t.Context(), "dead"); !errors.Is(err, exeunt.ErrNotFound) {
		t.Fatal(err)
	}
	from, err := s.Store.LogCursor(t.Context())
	must(t, err)
	w := exeunt.Delivery{Account: v.Account, Session: v.ID, Client: "dead", Seq: from.Seq + 1000, At: s.Now()}
	until(t, "one more to be owed", func() bool {
		from, err := s.Store.LogCursor(t.Context())
		must(t, err)
		moved, err := s.Store.RecordOwed(t.Context(), from, from, []exeunt.Delivery{w}, nil, s.Now())
		return err == nil && moved
	})
	s.fan.wakeSender()
	until(t, "it to be given up, too", func() bool { return s.states(v)["dead"].Error == notRegistered })
	// Another client of that ID is not told either.
	again := newApp(t, "dead", nil)
	must(t, s.OAuth.Reconcile(t.Context(), []exeunt.Client{again.client}, s.Now()))
	w.Seq, w.Session = from.Seq, exeunt.NewSessionID()
	until(t, "an old one to be owed", func() bool {
		from, err := s.Store.LogCursor(t.Context())
		must(t, err)
		moved, err := s.Store.RecordOwed(t.Context(), from, from, []exeunt.Delivery{w}, nil, s.Now())
		return err == nil && moved
	})
	s.fan.wakeSender()
	until(t, "the old one to be given up", func() bool {
		list, err := s.Store.Deliveries(t.Context(), w.Account, w.Session)
		return err == nil && len(list) > 0 && list[0].Error == notRegistered
	})
	if n := len(again.got()); n != 0 {
		t.Errorf("another client was told %d times", n)
	}
}
