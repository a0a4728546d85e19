package account

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// NewAccount is what somebody fills in to get an account.
type NewAccount struct {
	Handle   string
	Name     string // "" becomes the handle
	Email    string // optional
	Password string
}

// String leaves the password out of whatever prints the account.
func (n NewAccount) String() string { return "account.NewAccount(" + n.Handle + ")" }

// GoString does so for %#v.
func (n NewAccount) GoString() string { return n.String() }

var perSignUp = throttle.Twice{ // new accounts from one address
	Near: throttle.Rate{Burst: 10, Every: time.Minute},
	Wide: throttle.Rate{Burst: 50, Every: 12 * time.Second},
}

// SignUp creates an account and proves it, so that its owner can be signed in
// at once. What might happen besides the store's: a FieldError;
// ErrSignUpClosed; ThrottledError. The e-mail address identifies nobody until
// it is confirmed, so one that somebody else uses is no error and tells nothing.
func (s *Service) SignUp(ctx context.Context, n NewAccount, from netip.Addr) (exeunt.Proof, error) {
	if !s.SignUpOpen {
		return exeunt.Proof{}, exeunt.ErrSignUpClosed
	}
	places := s.places.From(from)
	if wait := places.TakeTwice("sign-up", perSignUp); wait > 0 {
		places.GiveBack()
		return exeunt.Proof{}, &exeunt.ThrottledError{RetryAfter: wait}
	}
	return s.create(ctx, n, false, nil, exeunt.Actor{Kind: exeunt.ActorPerson, Address: from})
}

// AddAccount creates an account on an operator's word.
func (s *Service) AddAccount(ctx context.Context, by exeunt.Actor, n NewAccount, emailConfirmed bool) (exeunt.AccountID, error) {
	p, err := s.create(ctx, n, emailConfirmed, nil, by)
	return p.Account, err
}

// create makes an account. Whoever has chosen its password has proved to know it.
func (s *Service) create(
	ctx context.Context, n NewAccount, emailConfirmed bool, invite *exeunt.TokenHash, by exeunt.Actor,
) (exeunt.Proof, error) {
	a := exeunt.Account{ID: exeunt.NewAccountID(), EmailConfirmed: emailConfirmed && n.Email != "", Created: s.Now()}
	// Everything that is wrong is told at once, as joined FieldErrors.
	var wrong [4]error
	a.Handle, wrong[0] = cleanHandle(n.Handle)
	a.Name, wrong[1] = cleanName(n.Name, a.Handle)
	a.Email, wrong[2] = cleanEmail(n.Email)
	wrong[3] = password.Judge(n.Password, n.Handle, n.Name, n.Email)
	if err := errors.Join(wrong[:]...); err != nil {
		return exeunt.Proof{}, err
	}
	hash, err := s.Hasher.Hash(ctx, n.Password)
	if err != nil {
		return exeunt.Proof{}, err
	}
	err = s.Store.AddAccount(ctx, a, store.Credential{PasswordHash: hash}, invite, by)
	if errors.Is(err, exeunt.ErrHandleTaken) {
		return exeunt.Proof{}, errHandleTaken
	}
	if err != nil {
		return exeunt.Proof{}, fmt.Errorf("add account: %w", err)
	}
	s.Log.Info("account created", "account", a.ID, "by", by.Kind)
	return exeunt.Proof{
		Account: a.ID, Methods: exeunt.Methods{exeunt.MethodPassword}, At: a.Created, Generation: 1, CredentialVersion: 1,
	}, nil
}

var errHandleTaken = &exeunt.FieldError{Field: "handle", Code: "taken", Err: exeunt.ErrHandleTaken}
