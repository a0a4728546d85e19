package account

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/signin"
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
	door  *signin.Service
	t     testing.TB
	clock *atomic.Int64
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
	a := authority.New(authority.Config{Store: s, Live: index, Feed: f, Policy: exeunt.DefaultPolicy(), Now: now, Log: log,
		Retention: store.Retention{Ended: 90 * 24 * time.Hour, Audit: 365 * 24 * time.Hour},
		Secrets:   func(text string) [][sha256.Size]byte { return [][sha256.Size]byte{sha256.Sum256([]byte(text))} }})
	hasher, err := password.New(cheap)
	if err != nil {
		t.Fatal(err)
	}
	d.door = signin.New(signin.Config{Store: s, Hasher: hasher, Now: now, Log: log})
	master, err := keys.ParseMaster(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	d.Service = New(Config{Store: s, Master: master, Authority: a, Hasher: hasher, SignUpOpen: true, Now: now, Log: log})
	return d
}

func (d *desk) pass(by time.Duration) { d.clock.Add(int64(by)) }

func (d *desk) add(handle, email string, confirmed bool) exeunt.AccountID {
	d.t.Helper()
	id, err := d.AddAccount(context.Background(), exeunt.System(), NewAccount{Handle: handle, Email: email, Password: goodPassword}, confirmed)
	if err != nil {
		d.t.Fatal(err)
	}
	return id
}

func (d *desk) password(ctx context.Context, identifier, password string, from netip.Addr) (exeunt.Proof, error) {
	return signin.Proof(d.door.Password(ctx, identifier, password, from))
}

// try signs in and returns what it says.
func (d *desk) try(identifier, password string, from netip.Addr) error {
	_, err := d.password(context.Background(), identifier, password, from)
	return err
}

// change changes the password of somebody who says that current is theirs.
func (d *desk) change(by exeunt.Actor, from exeunt.Token, current, next string) (authority.Ending, exeunt.Token, error) {
	return d.ChangePassword(context.Background(), by, from, "", next, d.confirm(by, current))
}

func (d *desk) confirm(by exeunt.Actor, current string) Prove {
	return func(ctx context.Context) (exeunt.Proof, error) {
		return signin.Proof(d.door.Confirm(ctx, by, signin.Confirmation{Password: current}))
	}
}

// signInFrom starts a session, so that the account knows the address.
func (d *desk) signInFrom(handle string, from netip.Addr) (exeunt.Token, exeunt.Session) {
	d.t.Helper()
	p, err := d.password(context.Background(), handle, goodPassword, from)
	if err != nil {
		d.t.Fatal(err)
	}
	token, s, err := d.Authority.Start(context.Background(), authority.SignIn{Proof: p, Kind: exeunt.KindKept, Address: from})
	if err != nil {
		d.t.Fatal(err)
	}
	return token, s
}

// check asks about a browser's session.
func (d *desk) check(t exeunt.Token) authority.Answer {
	return d.Authority.Check(context.Background(), authority.Credential{Token: t, Use: authority.AsPair})
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
