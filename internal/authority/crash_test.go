package authority

import (
	"bufio"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// crashChild names, in the environment, the database on which this program is to work until it is killed, instead of
// running tests.
const crashChild = "EXEUNT_TEST_CRASH_CHILD"

// loudTester ends the child with a message.
type loudTester struct{}

func (loudTester) Helper() {}
func (loudTester) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(3)
}
func (l loudTester) Errorf(format string, args ...any) { l.Fatalf(format, args...) }

// runCrashChild signs in and out without pause and says so on standard output after each: "in TOKEN" or "out TOKEN".
// It never ends by itself.
func runCrashChild(path string) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	n := openNode(loudTester{}, path, newClock())
	var out sync.Mutex
	say := func(word string, tokens ...exeunt.Token) {
		out.Lock()
		defer out.Unlock()
		for _, t := range tokens {
			fmt.Println(word, t.Reveal())
		}
	}
	go func() { // what Run does, all the time
		for {
			if err := n.Maintain(ctx); err != nil {
				n.t.Fatalf("maintenance: %v", err)
			}
		}
	}()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for id := n.account(); ; {
				n.signInAndOut(id, say)
			}
		})
	}
	all.Wait()
}

func (n *node) signInAndOut(id exeunt.AccountID, say func(string, ...exeunt.Token)) {
	one, s := n.signIn(id, exeunt.KindKept)
	app, _ := n.appSession(s)
	two, keep := n.signIn(id, exeunt.KindShared)
	say("in", one, app, two)
	n.Touch(n.check(ctx, two))
	switch rand.IntN(4) {
	case 0:
		n.end(endOne(s))
		say("out", one, app)
	case 1:
		n.end(endOthers(keep))
		say("out", one, app)
	case 2:
		n.end(endAll(id))
		say("out", one, app, two)
	case 3:
		_, _, err := n.Start(ctx, SignIn{Proof: n.proof(id), Kind: exeunt.KindKept, Replaces: s.ID})
		if err != nil {
			n.t.Fatalf("replace: %v", err)
		}
		say("out", one, app)
	}
}

// The program is killed at random moments, fifty times or, with -short, sixteen. Whatever it confirmed holds
// afterwards: sessions it ended stay ended, sessions it started are live unless their sign-out was under way, and
// the log has no gap.
func TestKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	const sites = 2
	rounds := 50
	if testing.Short() {
		rounds = 16
	}
	for site := range sites { // two databases side by side, to be done sooner
		t.Run(fmt.Sprint(site), func(t *testing.T) {
			t.Parallel()
			killAgainAndAgain(t, rounds/sites)
		})
	}
}

func killAgainAndAgain(t *testing.T, rounds int) {
	path := filepath.Join(t.TempDir(), "exeunt.db")
	said := map[string]string{}
	outs := 0
	for round := range rounds {
		for _, line := range liveAndDie(t, path) {
			word, token, ok := strings.Cut(line, " ")
			if _, err := exeunt.ParseToken(token); !ok || err != nil {
				continue // cut by the kill
			}
			if said[token] = word; word == "out" {
				outs++
			}
		}
		if round%8 == 7 || round == rounds-1 {
			checkAfterCrash(t, path, said)
		}
	}
	t.Logf("%d restarts, %d tokens said to be in, %d sign-outs acknowledged", rounds, len(said), outs)
	if outs < rounds {
		t.Errorf("only %d sign-outs in %d rounds: the test shows little", outs, rounds)
	}
}

// liveAndDie runs the child until it is killed and returns what it has said.
func liveAndDie(t *testing.T, path string) (lines []string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashChild+"="+path)
	var errs strings.Builder
	child.Stderr = &errs
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	scan := bufio.NewScanner(out)
	for fatal := 1 + rand.IntN(40); scan.Scan(); {
		if lines = append(lines, scan.Text()); len(lines) == fatal {
			// Not at once: it must be as likely in the middle of a write.
			time.AfterFunc(time.Duration(rand.Int64N(int64(5*time.Millisecond))), func() { child.Process.Kill() })
		}
	}
	err = child.Wait()
	if errs.Len() > 0 || len(lines) == 0 {
		t.Fatalf("the child ended by itself: %v: %s", err, errs.String())
	}
	return lines
}

func checkAfterCrash(t *testing.T, path string, said map[string]string) {
	t.Helper()
	n := openNode(t, path, newClock())
	defer n.store.Close()
	head, err := n.store.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	events, err := n.store.Events(ctx, 0, 1<<20)
	if err != nil || int64(len(events)) != head {
		t.Fatalf("the head is %d, and there are %d events, %v", head, len(events), err)
	}
	ended := map[exeunt.SessionID]bool{}
	for i, e := range events {
		if e.Seq != int64(i)+1 {
			t.Fatalf("event %d is numbered %d", i+1, e.Seq)
		}
		if e.Scope == exeunt.ScopeSession && e.AppSession.IsZero() {
			ended[e.Session] = true
		}
	}
	for text, word := range said {
		token, _ := exeunt.ParseToken(text)
		a := n.check(ctx, token)
		switch {
		case word == "out" && a.State != live.Ended:
			t.Fatalf("said to be signed out, and is %v", a.State)
		case word == "in" && a.State != live.Usable && a.State != live.Ended:
			t.Fatalf("said to be signed in, and is %v", a.State)
		case a.Usable() && ended[a.Session]:
			t.Fatal("its end is in the log, and it is usable")
		}
	}
	n.store.Close()
	checkFile(t, path)
}

// checkFile looks at the database without the store.
func checkFile(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var sound string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
		t.Fatalf("integrity_check: %s, %v", sound, err)
	}
	for what, q := range map[string]string{
		"rows that refer to nothing": `SELECT count(*) FROM pragma_foreign_key_check`,
		"accounts that count their sessions wrongly": `SELECT count(*) FROM accounts a
		WHERE live_sessions <> (SELECT count(*) FROM sessions s
			WHERE s.account_id = a.id AND s.ended_at IS NULL AND s.generation >= a.generation)`,
		"endings without an audit entry": `SELECT count(*) FROM events WHERE by_address IS NULL`,
		"sign-ins without one": `SELECT abs((SELECT count(*) FROM sessions) - (SELECT count(*) FROM audit
		WHERE action = 'sign_in'))`,
	} {
		var n int
		if err := db.QueryRow(q).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d, %v", what, n, err)
		}
	}
}
