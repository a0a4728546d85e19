package account

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/names"
	"github.com/exeunt/exeunt/internal/notify"
	"github.com/exeunt/exeunt/internal/passkey"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Config is what a Service is made of. All fields but Created, Notify and Place are needed.
type Config struct {
	Store      *store.Store
	Authority  *authority.Authority
	Hasher     *password.Hasher
	Master     keys.Master   // seals the secrets of authenticator apps
	Passkeys   *passkey.Site // that passkeys are made for; nil: it can have none
	SignUpOpen bool
	Reserved   []string        // handles that strangers cannot take
	Created    func()          // called after an account was made
	Notify     *notify.Service // nil: no mails
	Place      Place           // nil: places are unknown
	Now        func() time.Time
	Log        *slog.Logger
}

// Place says about where an address is, "" when that is unknown.
type Place func(netip.Addr) string

// of is "" without one.
func (p Place) of(a netip.Addr) string {
	if p == nil || !a.IsValid() {
		return ""
	}
	return p(a)
}

// Service is safe for concurrent use.
type Service struct {
	Config
	throttle *throttle.Throttle // of sign-ups, profile changes, pictures and uses of links
	reserved map[string]bool
	drawing  chan struct{} // has room for the one upload whose picture is being made
}

// New returns a service.
func New(c Config) *Service {
	s := &Service{Config: c, throttle: throttle.New(c.Now), reserved: map[string]bool{}, drawing: make(chan struct{}, 1)}
	for _, h := range c.Reserved {
		s.reserved[reservedKey(h)] = true
	}
	return s
}

// reservedKey is the form in which reserved handles are compared: no_reply and no.reply read like noreply.
func reservedKey(handle string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.TrimPrefix(names.Key(handle), "@"))
}

// Disable stops an account from signing in and ends all its sessions, in one
// transaction. Ending.Already reports that it was disabled before.
func (s *Service) Disable(ctx context.Context, by exeunt.Actor, a exeunt.Account) (authority.Ending, error) {
	if a.Status == exeunt.AccountDisabled {
		return authority.Ending{Already: true}, nil
	}
	return s.Authority.Disable(ctx, by, a.ID)
}

// Enable lets a disabled account sign in again. It revives no session. already
// reports that the account was enabled before.
func (s *Service) Enable(ctx context.Context, by exeunt.Actor, a exeunt.Account) (already bool, err error) {
	switch {
	case by.Kind != exeunt.ActorOperator:
		return false, exeunt.ErrForbidden
	case a.Status != exeunt.AccountDisabled:
		return true, nil
	}
	return false, s.Store.Enable(ctx, a.ID, by, s.Now())
}

// Prove has the actor prove again who they are. It is called only when a change
// needs that.
type Prove func(context.Context) (exeunt.Proof, error)

// prove returns a new proof, and refuses one of another account.
func (s *Service) prove(ctx context.Context, by exeunt.Actor, prove Prove) (exeunt.Proof, error) {
	p, err := prove(ctx)
	if err == nil && p.Account != by.Account {
		err = exeunt.ErrForbidden
	}
	return p, err
}
