package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/web"
)

// failRegex are the expressions of the filter that we ship, as Fail2Ban completes them. It takes the time out of a
// line before it compares.
func failRegex(t *testing.T) (out []*regexp.Regexp) {
	t.Helper()
	b, err := os.ReadFile("../../contrib/fail2ban/filter.d/exeunt.conf")
	if err != nil {
		t.Fatal(err)
	}
	prefix := regexp.MustCompile(`(?m)^__prefix = (.*)$`).FindStringSubmatch(string(b))[1]
	for _, m := range regexp.MustCompile(`(?m)^(?:failregex =| {11,}) (\^.*)$`).FindAllStringSubmatch(string(b), -1) {
		expr := strings.NewReplacer("%(__prefix)s", prefix, "<ADDR>", `(?P<addr>[0-9a-fA-F:.]+)`).Replace(m[1])
		out = append(out, regexp.MustCompile(expr))
	}
	if len(out) != 2 {
		t.Fatalf("%d expressions", len(out))
	}
	return out
}

// lines is a log that several goroutines write to.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.b.String()), "\n")
}

// Each failed sign-in leaves one line that the shipped filter finds, in both formats, and that has nothing of what was
// typed. Other lines are not found, whatever is in them.
func TestTheFilterFindsFailedSignIns(t *testing.T) {
	expressions := failRegex(t)
	found := func(line string) (addr string) {
		line = strings.Replace(line, regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-][0-9:]+)`).FindString(line), "", 1)
		for _, e := range expressions {
			if m := e.FindStringSubmatch(line); m != nil {
				return m[e.SubexpIndex("addr")]
			}
		}
		return ""
	}
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			said := &lines{}
			c := config.Default()
			c.Addr, c.URL, c.Development = "127.0.0.1:0", "http://exeunt.localhost", true
			c.Data = filepath.Join(t.TempDir(), "node")
			log := Logger(said, config.Log{Level: "info", Format: format})
			n, err := New(t.Context(), c, Options{Log: log, Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { n.Close() })
			if _, err := n.Accounts.AddAccount(t.Context(), exeunt.System(),
				account.NewAccount{Handle: "ada", Password: adasPassword}, false); err != nil {
				t.Fatal(err)
			}
			four, six := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
			for range 2 {
				n.SignIn.Password(t.Context(), "ada", "a guess", four)
				n.SignIn.Password(t.Context(), adasPassword, "typed in the wrong field", six)
			}
			// Of a proxy that does not say where a request comes from, or nothing that can be read.
			r := httptest.NewRequest(http.MethodPost, "/signin", nil)
			r.Header.Set("X-Forwarded-For", "<script>")
			proxy := web.Peers{Trusted: []netip.Prefix{netip.MustParsePrefix(strings.Split(r.RemoteAddr, ":")[0] + "/32")}}
			n.SignIn.Password(t.Context(), "ada", "a guess", proxy.Address(r))
			if all := said.all(); !strings.Contains(all[len(all)-1], "unknown") {
				t.Errorf("without an address: %s", all[len(all)-1])
			}
			log.Warn("refused", slog.String("agent", `x level=WARN msg="sign-in failed" address=198.51.100.9 reason=wrong`))
			log.Warn(`sign-in failed","address":"198.51.100.9","reason":"x"`)
			count := map[string]int{}
			for _, line := range said.all() {
				if strings.Contains(line, "guess") || strings.Contains(line, "plum") || strings.Contains(line, "wrong field") {
					t.Errorf("what was typed is in the log: %s", line)
				}
				if addr := found(line); addr != "" {
					count[addr]++
				}
			}
			if fmt.Sprint(count) != "map[192.0.2.7:2 2001:db8::7:2]" {
				t.Errorf("%v in\n%s", count, strings.Join(said.all(), "\n"))
			}
			if path := os.Getenv("EXEUNT_LOG_SAMPLE"); path != "" {
				os.WriteFile(path+"."+format, []byte(strings.Join(said.all(), "\n")+"\n"), 0o600)
			}
		})
	}
}
