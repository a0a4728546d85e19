package demo

import (
	"bytes"
	"database/sql"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
)

func TestTourHolds(t *testing.T) {
	dir := privateDir(t)
	s, accounts, _ := perform(t, dir)
	for round := range 2 { // the second on what the first left
		var out bytes.Buffer
		held, err := s.Tour(t.Context(), accounts, &out)
		if err != nil || !held {
			t.Fatalf("tour %d: held %v, %v\n%s", round+1, held, err, &out)
		}
		lines := strings.Split(strings.Trim(out.String(), "\n"), "\n")
		if len(lines) < 8 {
			t.Errorf("tour %d has %d steps", round+1, len(lines))
		}
		for _, line := range lines {
			if !strings.HasPrefix(line, "  ✓ ") || !strings.Contains(line, ": ") || !strings.HasSuffix(line, "s)") {
				t.Errorf("a line does not say what was verified and how long it took: %q", line)
			}
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, chirpFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var posts int
	if err := db.QueryRow(`SELECT count(*) FROM posts WHERE text LIKE '%tour%'`).Scan(&posts); err != nil || posts != 1 {
		t.Errorf("two tours left %d posts, %v", posts, err)
	}
}

// A tour that says ✓ whatever happens would be worth nothing.
func TestTourSeesWhatDoesNotHold(t *testing.T) {
	s, accounts, _ := perform(t, privateDir(t))
	wrong := accounts
	wrong.Tour = Account{Handle: "ada", Password: "not this one"}
	var out bytes.Buffer
	held, err := s.Tour(t.Context(), wrong, &out)
	if err != nil || held || !strings.Contains(out.String(), "✗") {
		t.Errorf("held %v, %v\n%s", held, err, &out)
	}
}

func TestTourLeavesTheSeededAccountsAlone(t *testing.T) {
	s, accounts, _ := perform(t, privateDir(t))
	before := sessionsOf(t, s, "ada") + sessionsOf(t, s, "grace")
	if before == "" {
		t.Fatal("the seeded accounts have no sessions")
	}
	if _, err := s.Tour(t.Context(), accounts, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	if after := sessionsOf(t, s, "ada") + sessionsOf(t, s, "grace"); after != before {
		t.Errorf("before the tour\n%safter it\n%s", before, after)
	}
}

// sessionsOf writes an account's sessions, live and ended, as text.
func sessionsOf(t *testing.T, s *Stage, handle string) string {
	t.Helper()
	a, err := s.Node.Authority.AccountByHandle(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, state := range []exeunt.SessionState{exeunt.SessionsActive, exeunt.SessionsEnded} {
		list, err := s.Node.Authority.Sessions(t.Context(), exeunt.SessionFilter{Account: a.ID, State: state})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list.Items {
			out.WriteString(v.ID.String() + " " + v.Label + " " + v.Seen.String())
			if v.End != nil {
				out.WriteString(" " + string(v.End.Reason))
			}
			out.WriteString("\n")
		}
	}
	return out.String()
}

func TestKeptDataKeepsSessionsAndPasswords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, accounts, end := perform(t, dir)
	b := newBrowser(laptopAgent)
	mustSignIn(t, b, s, accounts.Accounts[0])
	gone := newBrowser(laptopAgent)
	mustSignIn(t, gone, s, accounts.Accounts[0])
	dead := gone.copyCookies()
	signOut(t, gone, s)
	before := sessionsOf(t, s, "ada")
	end()

	info, err := os.Stat(filepath.Join(dir, demoFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%s: %v, %v", demoFile, info.Mode(), err)
	}
	s, again, _ := perform(t, dir)
	if again.Accounts[0] != accounts.Accounts[0] || again.Tour != accounts.Tour {
		t.Error("other passwords than before")
	}
	if after := sessionsOf(t, s, "ada"); stripSeen(after) != stripSeen(before) {
		t.Errorf("before the restart\n%safter it\n%s", before, after)
	}
	if p, err := b.get(t.Context(), s.ExeuntURL+"/sessions"); err != nil || p.status != http.StatusOK || p.url.Path != "/sessions" {
		t.Errorf("the session did not outlive the restart: %v %v", p, err)
	}
	if p, err := dead.once(t.Context(), http.MethodGet, s.ExeuntURL+"/sessions", nil); err != nil || p.status == http.StatusOK {
		t.Errorf("a session that was signed out came back: %v %v", p, err)
	}
}

// stripSeen leaves the sessions' names and how they ended.
func stripSeen(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		out.WriteString(words[0] + " " + words[len(words)-1] + "\n")
	}
	return out.String()
}

func mustSignIn(t *testing.T, b *browser, s *Stage, a Account) {
	t.Helper()
	p, err := b.fill(t.Context(), s.ExeuntURL+"/signin", url.Values{"identifier": {a.Handle}, "password": {a.Password}, "kind": {"kept"}})
	if err != nil || p.status != http.StatusOK || p.url.Path != "/" {
		t.Fatalf("sign in: %v %v", p, err)
	}
}

func signOut(t *testing.T, b *browser, s *Stage) {
	t.Helper()
	form, err := b.form(t.Context(), s.ExeuntURL+"/signout", "/signout")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := b.once(t.Context(), http.MethodPost, s.ExeuntURL+"/signout", form); err != nil || p.status != http.StatusSeeOther {
		t.Fatalf("sign out: %v %v", p, err)
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, set := range map[string]func(*Options){
		"the authority's": func(o *Options) { o.Addr = l.Addr().String() },
		"Chirp's":         func(o *Options) { o.AppAddr = l.Addr().String() },
		"Gazette's":       func(o *Options) { o.GazetteAddr = l.Addr().String() },
	} {
		dir := filepath.Join(t.TempDir(), "data")
		opt := testOptions(dir)
		set(&opt)
		s, _, err := Start(t.Context(), opt)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), l.Addr().String()+" is in use by another program") {
			t.Errorf("%s port: %v", name, err)
		}
		// Nothing was half made: the same folder serves once the port is free.
		if _, err := os.Stat(filepath.Join(dir, demoFile)); err == nil {
			t.Errorf("%s port: there are credentials of accounts that do not exist", name)
		}
	}
}

// Databases that the demo has not made are left alone, each by itself.
func TestOthersDataIsLeftAlone(t *testing.T) {
	for _, name := range []string{"exeunt.db", "chirp.db"} {
		dir := privateDir(t)
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, err := Start(t.Context(), testOptions(dir))
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), " has a "+name+" that is not the demo's: name another folder") {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
			t.Errorf("%s is %q now, %v", name, b, err)
		}
	}
}

func TestDamagedCredentialsAreNamed(t *testing.T) {
	dir := privateDir(t)
	if err := os.WriteFile(filepath.Join(dir, demoFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := Start(t.Context(), testOptions(dir))
	if err == nil || !strings.Contains(err.Error(), "demo.json is damaged") {
		t.Error(err)
	}
}
