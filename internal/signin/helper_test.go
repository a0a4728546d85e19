package signin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	epoch    = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	home     = netip.MustParseAddr("198.51.100.7")
	stranger = netip.MustParseAddr("203.0.113.9")
)

const (
	goodPassword  = "quietly polish the brass lantern"
	otherPassword = "seven harbours under a paper moon"
)

// cheap makes hashes that cost nothing: what they are worth is not tested.
var cheap = password.Hashing{MemoryKiB: 8, Iterations: 1, AtOnce: 2}

type desk struct {
	*Service
	accounts  *account.Service
	authority *authority.Authority
	t         testing.TB
	clock     *atomic.Int64
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{t: t, clock: &atomic.Int64{}}
	now := func() time.Time { return epoch.Add(time.Duration(d.clock.Load())) }
	log := slog.New(slog.DiscardHandler)
	var f *feed.Feed
	s, err := store.Open(context.Background(), store.Options{
		URL: store.SQLiteURL(filepath.Join(t.TempDir(), "exeunt.db")), Log: log,
		Committed: func(list []exeunt.Event) error { return f.Own(list) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	index := live.New(0, live.Options{})
	f = feed.New(authority.Memory(index), nil)
	d.authority = authority.New(authority.Config{Store: s, Live: index, Feed: f, Policy: exeunt.DefaultPolicy(), Now: now, Log: log,
		Secrets: func(text string) [][sha256.Size]byte { return [][sha256.Size]byte{sha256.Sum256([]byte(text))} }})
	hasher, err := password.New(cheap)
	if err != nil {
		t.Fatal(err)
	}
	master, err := keys.ParseMaster(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	d.Service = New(Config{Store: s, Hasher: hasher, Master: master, Now: now, Log: log})
	d.accounts = account.New(account.Config{
		Store: s, Authority: d.authority, Hasher: hasher, Master: master, SignUpOpen: true, Now: now, Log: log,
	})
	return d
}

func (d *desk) pass(by time.Duration) { d.clock.Add(int64(by)) }

func (d *desk) add(handle, email string, confirmed bool) exeunt.AccountID {
	d.t.Helper()
	id, err := d.accounts.AddAccount(context.Background(), exeunt.System(), account.NewAccount{Handle: handle, Email: email, Password: goodPassword}, confirmed)
	if err != nil {
		d.t.Fatal(err)
	}
	return id
}

func (d *desk) addWithoutPassword(handle string) exeunt.AccountID {
	d.t.Helper()
	a := exeunt.Account{ID: exeunt.NewAccountID(), Handle: handle, Name: handle, Created: d.Now()}
	if err := d.Store.AddAccount(context.Background(), a, store.Credential{}, nil, exeunt.System()); err != nil {
		d.t.Fatal(err)
	}
	return a.ID
}

// try signs in and returns what it says.
func (d *desk) try(identifier, password string, from netip.Addr) error {
	_, err := d.Password(context.Background(), identifier, password, from)
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signInOf is a sign-in in one browser, with one form.
func signInOf(p exeunt.Proof) authority.SignIn {
	return authority.SignIn{Proof: p, Kind: exeunt.KindKept, Label: "Firefox on Linux", Address: home, Form: "the form",
		Token: func(id exeunt.SessionID, at time.Time) exeunt.Token {
			return exeunt.TokenFrom(exeunt.UseSession, sha256.Sum256([]byte(fmt.Sprint(id, at.UnixMilli()))))
		}}
}

func throttled(err error) bool {
	var e *exeunt.ThrottledError
	return errors.As(err, &e)
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func wantField(t testing.TB, err error, field, code string) {
	t.Helper()
	var f *exeunt.FieldError
	if !errors.As(err, &f) || f.Field != field || f.Code != code {
		t.Errorf("got error %v, want %s: %s", err, field, code)
	}
}
