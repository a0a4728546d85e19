// Package signin finds out who somebody is. It answers with the next step: they
// have proved it, or more is needed, or they are refused. Today a password is all
// there is to prove it by; decision 23 says where other factors come in.
//
// It owns whose password is looked at, and how often one may be guessed. It makes
// no accounts (account does) and starts no session: the authority does, from a
// Proof.
package signin

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Config is what a Service is made of. All fields are needed.
type Config struct {
	Store  *store.Store
	Hasher *password.Hasher
	Now    func() time.Time
	Log    *slog.Logger
}

// Service is safe for concurrent use.
type Service struct {
	Config
	places   *throttle.Throttle
	regulars regulars
}

// New returns a service.
func New(c Config) *Service { return &Service{Config: c, places: throttle.New(c.Now)} }

// Password proves an account by its password. The identifier is a handle or a
// confirmed e-mail address. What might happen:
//   - nil: the next step.
//   - ErrWrongCredentials: no such account, another password, or an account that
//     has none; neither the answer nor the time it takes tells which (OWASP ASVS
//     5.0, 6.3.8).
//   - ErrDisabled: the right password of a disabled account.
//   - ThrottledError: too many failures lately; nothing was checked.
//   - ErrUnavailable: the store or the hashing is overloaded or away.
func (s *Service) Password(ctx context.Context, identifier, password string, from netip.Addr) (Step, error) {
	// The account's generation and credential version are read before the
	// password is looked at: a session is started from the proof only if they
	// are unchanged then.
	account, credential, err := s.Store.Identify(ctx, identifier)
	if err != nil && !errors.Is(err, exeunt.ErrNotFound) {
		return Step{}, err
	}
	attempt, err := s.attempt(identifier, from)
	if err != nil {
		return Step{}, err
	}
	return s.look(ctx, attempt, account, credential, password)
}

// Confirm has somebody who is signed in prove anew who they are, before something
// that a stranger at their screen must not do (OWASP ASVS 5.0, 7.5.1). A password
// is needed; a wrong one is counted like a guess at the door. What might happen
// besides what Password says: a FieldError, "wrong".
func (s *Service) Confirm(ctx context.Context, by exeunt.Actor, password string) (Step, error) {
	if password == "" {
		return Step{needs: exeunt.MethodPassword}, nil
	}
	account, credential, err := s.Store.Credential(ctx, by.Account)
	if err != nil {
		return Step{}, err
	}
	attempt, err := s.attempt(account.Handle, by.Address)
	if err != nil {
		return Step{}, err
	}
	step, err := s.look(ctx, attempt, account, credential, password)
	if errors.Is(err, exeunt.ErrWrongCredentials) {
		err = &exeunt.FieldError{Field: "current", Code: "wrong", Err: errWrongCurrent}
	}
	return step, err
}

var errWrongCurrent = &exeunt.Error{Code: "wrong", Message: "That is not the current password. Nothing was changed."}

// look looks at a password. Nobody's account, and one without a password, have a
// credential that nothing matches.
func (s *Service) look(ctx context.Context, attempt *attempt, a exeunt.Account, c store.Credential, password string) (Step, error) {
	ok, outdated, err := s.Hasher.Check(ctx, password, c.PasswordHash)
	switch {
	case err != nil:
		attempt.GiveBack()
		return Step{}, err
	case !ok:
		return Step{}, attempt.failed()
	}
	attempt.succeeded()
	if a.Status != exeunt.AccountActive {
		return Step{}, exeunt.ErrDisabled
	}
	if outdated {
		s.rehash(ctx, a, password)
	}
	return Step{proof: exeunt.Proof{
		Account: a.ID, Methods: exeunt.Methods{exeunt.MethodPassword}, At: s.Now(),
		Generation: a.Generation, CredentialVersion: a.CredentialVersion,
	}}, nil
}

// rehash renews a hash made with weaker settings. Failing is harmless: the next
// sign-in tries again.
func (s *Service) rehash(ctx context.Context, a exeunt.Account, password string) {
	hash, err := s.Hasher.Hash(ctx, password)
	if err == nil {
		err = s.Store.Rehash(ctx, a.ID, a.CredentialVersion, hash)
	}
	if err != nil {
		s.Log.Warn("a password could not be hashed anew", "account", a.ID, "err", err)
	}
}
