package signin

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Failures leave a line in the log and, where there is an account, an audit entry. What was typed is in neither: it
// may be a password in the wrong field. Both have a rate, since anybody can cause them. Those of an account without an
// entry of their own are counted in the next one.
var (
	perTracedAccount = throttle.Rate{Burst: 5, Every: 10 * time.Minute}
	// perTracedNetwork bounds the lines of attempts that are throttled. The others are bounded by being throttled.
	perTracedNetwork = throttle.Rate{Burst: 10, Every: 10 * time.Second}
)

// maxTracing is how many audit entries are written at a time; maxUntold is how many accounts' failures are counted.
const (
	maxTracing = 4
	maxUntold  = 1 << 12
)

// untold counts failures that have no audit entry.
type untold struct {
	rate    *throttle.Throttle // of lines and entries
	mu      sync.Mutex
	of      map[exeunt.AccountID]int
	writing chan struct{}
}

// trace records that somebody did not prove who they are. It waits for nothing: otherwise the time of the answer would
// tell whether there is such an account.
func (s *Service) trace(a exeunt.AccountID, by exeunt.Actor, err error) {
	reason := exeunt.CodeOf(err)
	switch reason {
	case exeunt.ErrWrongCredentials.Code, exeunt.ErrDisabled.Code:
	case errWrongCode.Code, errClock.Code, errKeyLost.Code, exeunt.ErrCodeUsed.Code:
		reason = "wrong_code" // after the right password
	case errUnknownPasskey.Code, errRefusedPasskey.Code, errOthersPasskey.Code, errClonedPasskey.Code:
	case errWrongCurrent.Code:
		reason = "wrong_current_password" // of somebody who is signed in
	case "same":
		reason = "present_password" // by a link, see TriedByLink
	case "throttled":
		network := throttle.WideNetwork(by.Address)
		if s.untold.rate.Take(network.String(), perTracedNetwork, network) > 0 {
			return
		}
	default:
		return
	}
	address := "unknown"
	if by.Address.IsValid() {
		address = by.Address.String()
	}
	line := []slog.Attr{slog.String("address", address), slog.String("reason", reason)}
	if !a.IsZero() {
		line = append(line, slog.String("account", a.String()))
	}
	s.Log.LogAttrs(context.Background(), slog.LevelWarn, "sign-in failed", line...)
	if !a.IsZero() {
		s.note(a, by, reason)
	}
}

// TriedByLink records that the form of a one-time link was refused in a way that tells its holder something of the
// account's present password, or was sent too often.
func (s *Service) TriedByLink(a exeunt.AccountID, from netip.Addr, err error) {
	s.trace(a, exeunt.Actor{Kind: exeunt.ActorLink, Account: a, Address: from}, err)
}

// note writes the audit entry in the background.
func (s *Service) note(a exeunt.AccountID, by exeunt.Actor, reason string) {
	if s.untold.rate.Take(a.String(), perTracedAccount, throttle.WideNetwork(by.Address)) > 0 {
		s.untold.add(a, 1)
		return
	}
	select {
	case s.untold.writing <- struct{}{}:
	default:
		s.untold.add(a, 1)
		return
	}
	go func() {
		defer func() { <-s.untold.writing }()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		more, detail := s.untold.take(a), reason
		if more > 0 {
			detail = fmt.Sprintf("%s, and %d more before", reason, more)
		}
		if err := s.Store.AddAudit(ctx, exeunt.AuditEntry{At: s.Now(), Account: a, Action: exeunt.AuditSignInFailed,
			By: by, Detail: detail}); err != nil {
			s.untold.add(a, more+1)
			s.Log.Warn("a failed sign-in could not be written to the audit", "account", a, "err", err)
		}
	}()
}

func (u *untold) add(a exeunt.AccountID, n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.of[a]; known || len(u.of) < maxUntold {
		u.of[a] += n
	}
}

func (u *untold) take(a exeunt.AccountID) (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n = u.of[a]
	delete(u.of, a)
	return n
}
