package signin

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// NewAccount is what somebody fills in to get an account.
type NewAccount struct {
	Handle   string
	Name     string // "" becomes the handle
	Email    string // optional
	Password string
}

// String leaves the password out of whatever prints the account.
func (n NewAccount) String() string { return "signin.NewAccount(" + n.Handle + ")" }

// GoString does so for %#v.
func (n NewAccount) GoString() string { return n.String() }

func fieldError(field, code, message string) error {
	return &exeunt.FieldError{Field: field, Code: code, Err: &exeunt.Error{Code: code, Message: message + " Nothing was changed."}}
}

// SignUp creates an account and proves it, so that its owner can be signed in
// at once. What might happen besides the store's: a FieldError;
// ErrSignUpClosed; ThrottledError. The e-mail address identifies nobody until
// it is confirmed, so one that somebody else uses is no error and tells nothing.
func (s *Service) SignUp(ctx context.Context, n NewAccount, from netip.Addr) (exeunt.Proof, error) {
	if !s.SignUpOpen {
		return exeunt.Proof{}, exeunt.ErrSignUpClosed
	}
	if err := s.from(from).takeTwice("sign-up", perSignUp); err != nil {
		return exeunt.Proof{}, err
	}
	return s.create(ctx, n, false, nil, exeunt.Actor{Kind: exeunt.ActorPerson, Address: from})
}

// AddAccount creates an account on an operator's word.
func (s *Service) AddAccount(ctx context.Context, by exeunt.Actor, n NewAccount, emailConfirmed bool) (exeunt.AccountID, error) {
	p, err := s.create(ctx, n, emailConfirmed, nil, by)
	return p.Account, err
}

// Invitation is a single-use link that creates an account. What it fills in
// cannot be chosen by whoever uses it.
type Invitation = store.Invite

// Invite makes a single-use link's token. What v fills in stands; the rest is
// chosen by whoever uses it. What could never become an account is refused
// here, not to the person who comes with the link: as a FieldError.
// A link that is still good for the same handle or e-mail address dies with it,
// which replaced tells.
func (s *Service) Invite(ctx context.Context, v Invitation) (t exeunt.Token, replaced bool, err error) {
	if v, err = s.cleanInvitation(ctx, v); err != nil {
		return t, false, err
	}
	t = exeunt.NewToken(exeunt.UseInvite)
	replaced, err = s.Store.AddInvite(ctx, t.Hash(), v, s.Now())
	return t, replaced, err
}

// Invites returns the links that can still be used.
func (s *Service) Invites(ctx context.Context) ([]Invitation, error) {
	return s.Store.Invites(ctx, s.Now())
}

// Uninvite withdraws the links for a handle; ErrNotFound when there is none.
func (s *Service) Uninvite(ctx context.Context, handle string) (int64, error) {
	h, ok := exeunt.ParseHandle(handle)
	if !ok {
		return 0, fmt.Errorf("link for %q: %w", handle, exeunt.ErrNotFound)
	}
	n, err := s.Store.DropInvites(ctx, h, s.Now())
	if err == nil && n == 0 {
		err = fmt.Errorf("link for @%s: %w", h, exeunt.ErrNotFound)
	}
	return n, err
}

func (s *Service) cleanInvitation(ctx context.Context, v Invitation) (Invitation, error) {
	var err error
	if v.Handle != "" {
		if v.Handle, err = cleanHandle(v.Handle); err != nil {
			return v, err
		}
		switch _, err = s.Authority.AccountByHandle(ctx, v.Handle); {
		case err == nil:
			return v, errHandleTaken
		case !errors.Is(err, exeunt.ErrNotFound):
			return v, err
		}
	}
	if v.Name, err = CleanName(v.Name, ""); err != nil {
		return v, err
	}
	v.Email, err = CleanEmail(v.Email)
	return v, err
}

var errHandleTaken = &exeunt.FieldError{Field: "handle", Code: "taken", Err: exeunt.ErrHandleTaken}

func cleanHandle(text string) (string, error) {
	handle, ok := exeunt.ParseHandle(text)
	if !ok {
		return "", fieldError("handle", "shape", "A handle has 2 to 30 letters a to z, digits and underscores, and starts with a letter.")
	}
	return handle, nil
}

// LookAtInvite returns an invitation that can still be used, or ErrInviteSpent.
// It spends nothing.
func (s *Service) LookAtInvite(ctx context.Context, t exeunt.Token) (Invitation, error) {
	return s.look(ctx, t, false)
}

// look returns a link that can still be used for what it is meant for.
func (s *Service) look(ctx context.Context, t exeunt.Token, reset bool) (Invitation, error) {
	if t.Use() != exeunt.UseInvite {
		return Invitation{}, exeunt.ErrInviteSpent
	}
	var v Invitation
	err := s.Authority.LookUp(ctx, exeunt.UseInvite, t.Hash(), exeunt.ErrInviteSpent, func(ctx context.Context) (err error) {
		v, err = s.Store.Invite(ctx, t.Hash(), s.Now())
		return err
	})
	if err == nil && reset == v.Account.IsZero() {
		return Invitation{}, exeunt.ErrInviteSpent
	}
	return v, err
}

// Redeem creates the account of an invite and spends it, both or neither.
func (s *Service) Redeem(ctx context.Context, t exeunt.Token, n NewAccount, from netip.Addr) (exeunt.Proof, error) {
	v, err := s.LookAtInvite(ctx, t)
	if err != nil {
		return exeunt.Proof{}, err
	}
	for _, f := range []struct{ mine, theirs *string }{{&n.Handle, &v.Handle}, {&n.Name, &v.Name}, {&n.Email, &v.Email}} {
		if *f.theirs != "" {
			*f.mine = *f.theirs
		}
	}
	hash := t.Hash()
	return s.create(ctx, n, v.EmailConfirmed && n.Email == v.Email, &hash, exeunt.Actor{Kind: exeunt.ActorPerson, Address: from})
}

func (s *Service) create(ctx context.Context, n NewAccount, emailConfirmed bool, invite *exeunt.TokenHash, by exeunt.Actor) (exeunt.Proof, error) {
	a := exeunt.Account{ID: exeunt.NewAccountID(), EmailConfirmed: emailConfirmed && n.Email != "", Created: s.Now()}
	// Everything that is wrong is told at once, as joined FieldErrors.
	var wrong [4]error
	a.Handle, wrong[0] = cleanHandle(n.Handle)
	a.Name, wrong[1] = CleanName(n.Name, a.Handle)
	a.Email, wrong[2] = CleanEmail(n.Email)
	wrong[3] = checkPassword(n.Password, n.Handle, n.Name, n.Email)
	if err := errors.Join(wrong[:]...); err != nil {
		return exeunt.Proof{}, err
	}
	hash, err := s.hasher.hash(ctx, normal(n.Password))
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
	return exeunt.Proof{Account: a.ID, Method: exeunt.MethodPassword, Generation: 1, CredentialVersion: 1}, nil
}

// CleanName returns a display name fit to be shown; an empty one becomes the
// fallback.
func CleanName(name, fallback string) (string, error) {
	name = strings.Join(strings.Fields(strings.ToValidUTF8(name, "")), " ")
	if name == "" {
		name = fallback
	}
	if utf8.RuneCountInString(name) > exeunt.MaxNameLen {
		return "", fieldError("name", "too_long", "A name has at most 80 characters.")
	}
	for _, r := range name {
		if unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return "", fieldError("name", "shape", "A name has no control characters.")
		}
	}
	return name, nil
}

// CleanEmail returns a plain address, of characters that show. "" is allowed and
// stays.
func CleanEmail(email string) (string, error) {
	email = strings.TrimSpace(email)
	if email == "" {
		return "", nil
	}
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || len(email) > exeunt.MaxEmailLen || strings.ContainsFunc(email, invisible) {
		return "", fieldError("email", "shape", "That is not an e-mail address like name@example.com.")
	}
	return email, nil
}

// invisible reports whether a character does not show, or changes how others
// show: controls, directions, zero widths and fillers. Two addresses that look
// alike must not be two.
func invisible(r rune) bool {
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// InviteLife is how long a link that an operator makes can be used.
const InviteLife = 7 * 24 * time.Hour

// FirstInviteLife is how long the link for the first account can be used.
const FirstInviteLife = 24 * time.Hour
