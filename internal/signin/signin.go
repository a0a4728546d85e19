// Package signin authenticates people. It answers with the next step: they have
// proved who they are, or more is needed, or they are refused.
//
// It owns the choice of the account whose password is checked, the challenges between
// two steps, and how often passwords and codes may be guessed. It creates no accounts (account does) and starts no
// session: the authority does, from a Proof.
package signin

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/passkey"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Config is what a Service is made of. All fields but Passkeys are needed.
type Config struct {
	Store  *store.Store
	Hasher *password.Hasher
	Master keys.Master // which has sealed the secrets of authenticator apps
	// Passkeys is the site that passkeys are made for; nil when it can have none.
	Passkeys *passkey.Site
	Now      func() time.Time
	Log      *slog.Logger
}

// Service is safe for concurrent use.
type Service struct {
	Config
	throttle *throttle.Throttle
	regulars regulars
	inFlight inFlight
	untold   untold
}

// New returns a service.
func New(c Config) *Service {
	return &Service{Config: c, throttle: throttle.New(c.Now),
		untold: untold{rate: throttle.New(c.Now), of: map[exeunt.AccountID]int{}, writing: make(chan struct{}, maxTracing)}}
}

// Password checks the password of an account. The identifier is a handle or a
// confirmed e-mail address. Besides the next step it may return
//   - ErrWrongCredentials: no such account, another password, or an account that
//     has none; neither the answer nor its time reveals which (OWASP ASVS 5.0, 6.3.8).
//   - ErrDisabled: the right password of a disabled account.
//   - ThrottledError: too many failures or sign-ins lately; the password was not
//     checked.
//   - ErrBusy: too many sign-ins, to this account or to all, wait to be hashed.
//   - ErrUnavailable: the store is overloaded or unavailable.
func (s *Service) Password(ctx context.Context, identifier, password string, from netip.Addr) (step Step, err error) {
	return s.PasswordOn(ctx, exeunt.TokenHash{}, identifier, password, from)
}

// PasswordOn is Password in a browser that presents a device, by the hash of its token. From a device that the account is
// used with, its owner gets in whatever strangers try.
func (s *Service) PasswordOn(
	ctx context.Context, device exeunt.TokenHash, identifier, password string, from netip.Addr,
) (step Step, err error) {
	// The account's generation and credential version are read before the password is
	// checked: the proof starts a session only if they are still the same.
	account, credential, err := s.Store.Identify(ctx, identifier)
	if err != nil && !errors.Is(err, exeunt.ErrNotFound) {
		return Step{}, err
	}
	defer func() { s.trace(account.ID, exeunt.Actor{Kind: exeunt.ActorPerson, Address: from}, err) }()
	attempt, err := s.attempt(identifier, from, s.device(ctx, account.ID, device))
	if err != nil {
		return Step{}, err
	}
	proof, err := s.verify(ctx, attempt, account, credential, password)
	if err != nil {
		return Step{}, err
	}
	step, err = s.step(ctx, proof)
	step.deleting = account.Status == exeunt.AccountDeleting
	return step, err
}

// Confirmation is what somebody who is signed in proves again with: with a passkey alone, or with the password and, if
// the account has a factor, a code.
type Confirmation struct {
	Password string
	Code     string // of an authenticator app, or a recovery code
	Passkey  string // what a passkey has answered to Asked
	Asked    Asked
}

// String leaves the secrets out.
func (Confirmation) String() string { return "signin.Confirmation(…)" }

// GoString is String, for %#v.
func (c Confirmation) GoString() string { return c.String() }

// Confirm has somebody who is signed in prove again who they are, before something
// that a stranger at their screen must not do (OWASP ASVS 5.0, 7.5.1). It asks for all
// that a sign-in asks for. A wrong password or code counts like one of a sign-in.
// Besides the errors of Password and of a code it may return a FieldError, "wrong".
func (s *Service) Confirm(ctx context.Context, by exeunt.Actor, c Confirmation) (step Step, err error) {
	if c.Passkey != "" {
		step.proof, err = s.confirmByPasskey(ctx, by, c.Asked, c.Passkey)
		return step, err
	}
	if c.Password == "" {
		return Step{needs: exeunt.Methods{exeunt.MethodPassword}}, nil
	}
	proof, err := s.present(ctx, by, c.Password)
	if err != nil {
		return Step{}, err
	}
	step, err = s.step(ctx, proof)
	if err != nil || step.Done() || c.Code == "" {
		return step, err
	}
	defer func() { s.trace(by.Account, by, err) }()
	return s.code(ctx, store.Challenge{Proof: proof}, c.Code, by)
}

// KnowsPassword is nil for somebody who knows the present password of the actor's account. It proves less than a
// sign-in may ask for. Its errors are those of Confirm.
func (s *Service) KnowsPassword(ctx context.Context, by exeunt.Actor, password string) error {
	if password == "" {
		_, err := Proof(Step{needs: exeunt.Methods{exeunt.MethodPassword}}, nil)
		return err
	}
	_, err := s.present(ctx, by, password)
	return err
}

// present checks the present password of somebody who is signed in.
func (s *Service) present(ctx context.Context, by exeunt.Actor, password string) (proof exeunt.Proof, err error) {
	account, credential, err := s.Store.Credential(ctx, by.Account)
	if err != nil {
		return proof, err
	}
	defer func() { s.trace(account.ID, by, err) }()
	attempt, err := s.attempt(account.Handle, by.Address, noDevice)
	if err != nil {
		return proof, err
	}
	proof, err = s.verify(ctx, attempt, account, credential, password)
	if errors.Is(err, exeunt.ErrWrongCredentials) {
		err = &exeunt.FieldError{Field: "current", Code: "wrong", Err: errWrongCurrent}
	}
	return proof, err
}

var errWrongCurrent = &exeunt.Error{Code: "wrong", Message: "That is not the current password. Nothing was changed."}

// verify checks a password. An unknown account, and one without a password, have a
// credential that no password matches.
func (s *Service) verify(
	ctx context.Context, attempt *attempt, a exeunt.Account, c store.Credential, password string,
) (exeunt.Proof, error) {
	success, err := s.allowSuccess(a.ID, attempt.from)
	if err != nil {
		attempt.GiveBack()
		return exeunt.Proof{}, err
	}
	mine := regular{attempt.identifier, attempt.Wide()}
	if err := s.inFlight.enter(ctx, mine); err != nil {
		attempt.GiveBack()
		success.GiveBack()
		return exeunt.Proof{}, err
	}
	ok, outdated, err := s.Hasher.Check(ctx, password, c.PasswordHash)
	s.inFlight.leave(mine)
	switch {
	case err != nil:
		attempt.GiveBack()
		success.GiveBack()
		return exeunt.Proof{}, err
	case !ok:
		success.GiveBack()
		return exeunt.Proof{}, attempt.failed()
	}
	attempt.succeeded()
	if a.Status != exeunt.AccountActive && a.Status != exeunt.AccountDeleting {
		return exeunt.Proof{}, exeunt.ErrDisabled
	}
	if outdated {
		s.rehash(ctx, a, password)
	}
	return exeunt.Proof{
		Account: a.ID, Methods: exeunt.Methods{exeunt.MethodPassword}, At: s.Now(),
		Generation: a.Generation, CredentialVersion: a.CredentialVersion,
	}, nil
}

// rehash renews a hash made with weaker settings. A failure is harmless: the next
// sign-in tries again.
func (s *Service) rehash(ctx context.Context, a exeunt.Account, password string) {
	hash, err := s.Hasher.Hash(ctx, password)
	if err == nil {
		err = s.Store.Rehash(ctx, a.ID, a.CredentialVersion, hash)
	}
	if err != nil {
		s.Log.Warn("cannot renew the hash of a password", "account", a.ID, "err", err)
	}
}
