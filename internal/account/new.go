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
	// Form is the key of the form that was sent, "" when it has none. Sent twice, it makes one account.
	Form string
	// Language is that of the page with the form, "" when there is none.
	Language string
}

// String leaves the password out.
func (n NewAccount) String() string { return "account.NewAccount(" + n.Handle + ")" }

// GoString is String, for %#v.
func (n NewAccount) GoString() string { return n.String() }

var perSignUp = throttle.Twice{ // new accounts from one address
	Near: throttle.Rate{Burst: 10, Every: time.Minute},
	Wide: throttle.Rate{Burst: 50, Every: 12 * time.Second},
}

// SignUp creates an account and returns a proof of it, so that its owner can be
// signed in at once. Besides the store's errors it may return a FieldError,
// ErrSignUpClosed or a ThrottledError. An e-mail address identifies nobody until it
// is confirmed, so one that somebody else uses is accepted, which reveals nothing.
// Handles that read like those of whoever runs the site are for operators to give.
func (s *Service) SignUp(ctx context.Context, n NewAccount, from netip.Addr) (exeunt.Proof, error) {
	if !s.SignUpOpen {
		return exeunt.Proof{}, exeunt.ErrSignUpClosed
	}
	if s.reserved[reservedKey(n.Handle)] {
		return exeunt.Proof{}, fieldError("handle", "reserved", "That handle is reserved. Choose another.")
	}
	permits := s.throttle.From(from)
	if wait := permits.TakeTwice("sign-up", perSignUp); wait > 0 {
		permits.GiveBack()
		return exeunt.Proof{}, &exeunt.ThrottledError{RetryAfter: wait}
	}
	return s.create(ctx, n, false, &store.Origin{Form: n.Form}, exeunt.Actor{Kind: exeunt.ActorPerson, Address: from})
}

// Made returns the account that the same form, with the same content, or the same link has made before, and false when
// there is none. Whoever asks has not proved that they own it.
func (s *Service) Made(ctx context.Context, n NewAccount, link exeunt.Token) (exeunt.Account, bool) {
	from := store.Origin{Form: n.Form}
	switch {
	case !link.IsZero():
		hash := link.Hash()
		from = store.Origin{Link: &hash}
	case n.Form == "":
		return exeunt.Account{}, false
	}
	a, err := s.Store.MadeBy(ctx, from)
	if err != nil {
		return exeunt.Account{}, false // the answer is then what it would be without a memory
	}
	if link.IsZero() {
		handle, _ := cleanHandle(n.Handle)
		name, _ := cleanName(n.Name, handle)
		email, _ := cleanEmail(n.Email)
		return a, a.Handle == handle && a.Name == name && a.Email == email
	}
	return a, true
}

// AddAccount creates an account for an operator.
func (s *Service) AddAccount(
	ctx context.Context, by exeunt.Actor, n NewAccount, emailConfirmed bool,
) (exeunt.AccountID, error) {
	p, err := s.create(ctx, n, emailConfirmed, nil, by)
	return p.Account, err
}

// create creates an account, and a proof of it: whoever chose the password knows it.
func (s *Service) create(
	ctx context.Context, n NewAccount, emailConfirmed bool, from *store.Origin, by exeunt.Actor,
) (exeunt.Proof, error) {
	a := exeunt.Account{ID: exeunt.NewAccountID(), EmailConfirmed: emailConfirmed && n.Email != "", Created: s.Now(), Language: n.Language}
	// Joined FieldErrors report everything that is wrong at once.
	var wrong [4]error
	a.Handle, wrong[0] = cleanHandle(n.Handle)
	a.Name, wrong[1] = cleanName(n.Name, a.Handle)
	a.Email, wrong[2] = cleanEmail(n.Email)
	wrong[3] = password.Judge(n.Password, n.Handle, n.Name, n.Email)
	if err := errors.Join(wrong[:]...); err != nil {
		return exeunt.Proof{}, err
	}
	switch past, err := s.Store.PastHandle(ctx, s.handleSum(a.Handle), s.Now()); {
	case err != nil:
		return exeunt.Proof{}, err
	case past:
		return exeunt.Proof{}, errHandleTaken
	}
	hash, err := s.Hasher.Hash(ctx, n.Password)
	if err != nil {
		return exeunt.Proof{}, err
	}
	var asks []store.Ask
	if by.Kind == exeunt.ActorPerson && !a.EmailConfirmed { // operators may add many whom they have told themselves
		ask, err := s.askConfirm(a, a.Email)
		if err != nil {
			return exeunt.Proof{}, err
		}
		if ask != nil {
			asks = append(asks, *ask)
		}
	}
	err = s.Store.AddAccount(ctx, a, store.Credential{PasswordHash: hash}, from, by, asks...)
	if errors.Is(err, exeunt.ErrHandleTaken) {
		return exeunt.Proof{}, errHandleTaken
	}
	if err != nil {
		return exeunt.Proof{}, fmt.Errorf("add account: %w", err)
	}
	if s.Created != nil {
		s.Created()
	}
	s.Log.Info("account created", "account", a.ID, "by", by.Kind)
	return exeunt.Proof{
		Account: a.ID, Methods: exeunt.Methods{exeunt.MethodPassword}, At: a.Created,
		Generation: 1, CredentialVersion: 1,
	}, nil
}

var errHandleTaken = &exeunt.FieldError{Field: "handle", Code: "taken", Err: exeunt.ErrHandleTaken}
