// Package signin turns what a person shows, today a password, into a Proof,
// and makes accounts and their passwords.
//
// It owns the hashing of passwords, their strength, and the throttling of
// guesses. It starts and ends no session: the authority does, from the Proof.
package signin

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Config is what a Service is made of. All fields are needed.
type Config struct {
	Store      *store.Store
	Authority  *authority.Authority
	SignUpOpen bool
	Now        func() time.Time
	Log        *slog.Logger
	Hashing    Hashing
}

// Service is safe for concurrent use.
type Service struct {
	Config
	hasher   *hasher
	places   *throttle.Throttle
	regulars regulars
}

// New returns a service.
func New(c Config) (*Service, error) {
	h, err := newHasher(c.Hashing)
	if err != nil {
		return nil, err
	}
	return &Service{Config: c, hasher: h, places: throttle.New(c.Now)}, nil
}

// Password proves an account by its password. The identifier is a handle or a
// confirmed e-mail address. What might happen:
//   - nil: proven.
//   - ErrWrongCredentials: no such account or another password; neither the
//     answer nor the time it takes tells which (OWASP ASVS 5.0, 6.3.8).
//   - ErrDisabled: the right password of a disabled account.
//   - ThrottledError: too many failures lately; nothing was checked.
//   - ErrUnavailable: the store or the hashing is overloaded or away.
func (s *Service) Password(ctx context.Context, identifier, password string, from netip.Addr) (exeunt.Proof, error) {
	// The account's generation and credential version are read before the
	// password is looked at: a session is started from the proof only if they
	// are unchanged then.
	account, credential, err := s.Store.Identify(ctx, identifier)
	unknown := errors.Is(err, exeunt.ErrNotFound)
	if err != nil && !unknown {
		return exeunt.Proof{}, err
	}
	attempt, err := s.attempt(identifier, from)
	if err != nil {
		return exeunt.Proof{}, err
	}
	hash := credential.PasswordHash
	if unknown {
		hash = s.hasher.decoy // takes as long as a real one and matches nothing
	}
	ok, outdated, err := s.hasher.check(ctx, normal(password), hash)
	switch {
	case err != nil:
		attempt.refund()
		return exeunt.Proof{}, err
	case !ok || unknown:
		return exeunt.Proof{}, attempt.failed()
	}
	attempt.succeeded()
	if account.Status != exeunt.AccountActive {
		return exeunt.Proof{}, exeunt.ErrDisabled
	}
	if outdated {
		s.rehash(ctx, account, password)
	}
	return exeunt.Proof{Account: account.ID, Method: exeunt.MethodPassword, Generation: account.Generation, CredentialVersion: account.CredentialVersion}, nil
}

// rehash renews a hash made with weaker settings. Failing is harmless: the next
// sign-in tries again.
func (s *Service) rehash(ctx context.Context, a exeunt.Account, password string) {
	hash, err := s.hasher.hash(ctx, normal(password))
	if err == nil {
		err = s.Store.Rehash(ctx, a.ID, a.CredentialVersion, hash)
	}
	if err != nil {
		s.Log.Warn("a password could not be hashed anew", "account", a.ID, "err", err)
	}
}

// ChangePassword replaces the password of the actor's account, after checking
// the current one, and ends every session but the actor's (OWASP ASVS 5.0,
// 6.2.3 and 7.4.3). What might happen besides what Password and the authority's
// ReplacePassword say: a FieldError for the new password or, as "wrong", for
// the current one.
func (s *Service) ChangePassword(ctx context.Context, by exeunt.Actor, current, next string) (authority.Ending, error) {
	account, err := s.current(ctx, by, current)
	if err != nil {
		return authority.Ending{}, err
	}
	if err := checkPassword(next, account.Handle, account.Name, account.Email); err != nil {
		return authority.Ending{}, err
	}
	hash, err := s.hasher.hash(ctx, normal(next))
	if err != nil {
		return authority.Ending{}, err
	}
	return s.Authority.ReplacePassword(ctx, by, by.Session, hash, account.CredentialVersion)
}

// Profile is what somebody changes of their own profile in one step.
type Profile struct {
	Name, Email string
	Current     string // their password, needed when the address becomes another
}

// String leaves the password out of whatever prints it.
func (p Profile) String() string { return "signin.Profile" }

// GoString does so for %#v.
func (p Profile) GoString() string { return p.String() }

// ChangeProfile saves name and e-mail address. An address can become a way to
// sign in, so another one needs the current password, like a new password
// (OWASP ASVS 5.0, 7.5.1). A new address identifies nobody until it is
// confirmed. What might happen besides what the authority's ChangeProfile says:
// a FieldError, ThrottledError, ErrUnavailable; then nothing has changed.
func (s *Service) ChangeProfile(ctx context.Context, by exeunt.Actor, p Profile) error {
	account, err := s.Store.Account(ctx, by.Account)
	if err != nil {
		return err
	}
	if p.Name, err = CleanName(p.Name, account.Handle); err != nil {
		return err
	}
	if p.Email, err = CleanEmail(p.Email); err != nil {
		return err
	}
	change := authority.ProfileChange{Name: &p.Name}
	if p.Email != account.Email {
		if p.Current == "" {
			return &exeunt.FieldError{Field: "current", Code: "needed", Err: errCurrentNeeded}
		}
		if _, err := s.current(ctx, by, p.Current); err != nil {
			return err
		}
		change.Email = &p.Email
	}
	return s.Authority.ChangeProfile(ctx, by, by.Account, change)
}

// current checks the current password of the actor's account, counted like a
// guess at the door, and returns the account as it was before.
func (s *Service) current(ctx context.Context, by exeunt.Actor, password string) (exeunt.Account, error) {
	account, credential, err := s.Store.Credential(ctx, by.Account)
	if err != nil {
		return account, err
	}
	attempt, err := s.attempt(account.Handle, by.Address)
	if err != nil {
		return account, err
	}
	ok, _, err := s.hasher.check(ctx, normal(password), credential.PasswordHash)
	switch {
	case err != nil:
		attempt.refund()
		return account, err
	case !ok:
		return account, &exeunt.FieldError{Field: "current", Code: "wrong", Err: errWrongCurrent}
	}
	attempt.succeeded()
	return account, nil
}

var errCurrentNeeded = &exeunt.Error{Code: "needed", Message: "To change the e-mail address, type your current password as well. Nothing was changed."}

var errWrongCurrent = &exeunt.Error{Code: "wrong", Message: "That is not the current password. Nothing was changed."}
