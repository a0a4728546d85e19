package account

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
	"github.com/exeunt/exeunt/internal/ui"
)

// ChangePassword replaces the password of the actor's account, once they have
// proved who they are, and ends every session but the actor's, which gets another
// token instead of from (OWASP ASVS 5.0, 6.2.3, 7.2.4 and 7.4.3). Besides the errors
// of prove and of the authority's ReplacePassword it may return a FieldError for the
// new password.
func (s *Service) ChangePassword(
	ctx context.Context, by exeunt.Actor, from exeunt.Token, key, next string, prove Prove,
) (authority.Ending, exeunt.Token, error) {
	proof, err := s.prove(ctx, by, prove)
	if err != nil {
		return authority.Ending{}, exeunt.Token{}, err
	}
	hash, err := s.hash(ctx, by.Account, next)
	if err != nil {
		return authority.Ending{}, exeunt.Token{}, err
	}
	a, err := s.Store.Account(ctx, by.Account)
	if err != nil {
		return authority.Ending{}, exeunt.Token{}, err
	}
	mails, err := s.passwordChanged(a)
	if err != nil {
		return authority.Ending{}, exeunt.Token{}, err
	}
	return s.Authority.ReplacePassword(ctx, by, from, key, hash, proof.CredentialVersion, mails...)
}

// passwordChanged is the mail that tells the account's owner of a new password.
func (s *Service) passwordChanged(a exeunt.Account) ([]store.NewMail, error) {
	return s.Notify.ForAccount(a, ui.MailPasswordChanged, ui.MailData{At: s.Now()})
}

// ChangedBefore returns the outcome of the same form of the same session, with the token
// that it was answered with if it has just renewed this one, and false when there is none. It is the
// answer only for somebody who asked for the password that the account has now. prove has them prove that, since for
// a stranger at the screen it is a guess like any other; ErrKeyReused when they cannot, and when the key is that of
// another form.
func (s *Service) ChangedBefore(
	ctx context.Context, by exeunt.Actor, from exeunt.Token, key string, prove Prove,
) (out authority.Ending, token exeunt.Token, known bool, err error) {
	out, token, known, err = s.Authority.Repetition(ctx, by, from, key, exeunt.ReasonPasswordChange)
	if !known || err != nil {
		return out, token, known, err
	}
	var field *exeunt.FieldError
	if _, err = s.prove(ctx, by, prove); errors.As(err, &field) {
		err = exeunt.ErrKeyReused
	}
	if err != nil {
		token = exeunt.Token{}
	}
	return out, token, true, err
}

// ResetBefore returns the handle of the account whose password the link has set, and false when there is none. It is
// for somebody who then proves that they know that password.
func (s *Service) ResetBefore(ctx context.Context, t exeunt.Token) (handle string, ok bool) {
	handle, err := s.Store.ResetBy(ctx, t.Hash())
	return handle, err == nil
}

// hash judges the new password of an account and hashes it. The present password is
// refused as a new one: whoever changes it may do so because somebody else knows it.
func (s *Service) hash(ctx context.Context, id exeunt.AccountID, next string) (string, error) {
	a, present, err := s.Store.Credential(ctx, id)
	if err != nil {
		return "", err
	}
	if err := password.Judge(next, a.Handle, a.Name, a.Email); err != nil {
		return "", err
	}
	if present.PasswordHash != "" {
		same, _, err := s.Hasher.Check(ctx, next, present.PasswordHash)
		if err != nil {
			return "", err
		}
		if same {
			return "", fieldError("password", "same", "That is the present password. Choose another one.")
		}
	}
	return s.Hasher.Hash(ctx, next)
}

// perLink limits how often a password is hashed for one link: its holder is nobody yet,
// and learns whether a password is the account's present one.
var perLink = throttle.Rate{Burst: 10, Every: 30 * time.Second}

// countLink counts a use of a link, before anything is hashed.
func (s *Service) countLink(t exeunt.Token, from netip.Addr) error {
	if wait := s.throttle.Take("link "+t.Hash().String(), perLink, throttle.WideNetwork(from)); wait > 0 {
		return &exeunt.ThrottledError{RetryAfter: wait}
	}
	return nil
}

// ResetLife is how long a link for a new password can be used.
const ResetLife = 24 * time.Hour

// OfferReset creates the token of a single-use link with which the account's owner
// sets a new password. It withdraws an earlier link, and a change of the password
// withdraws this one. The present password stays valid until the link is used.
// Besides the store's errors it may return ErrDisabled.
func (s *Service) OfferReset(ctx context.Context, by exeunt.Actor, a exeunt.Account) (exeunt.Token, error) {
	t, now := exeunt.NewToken(exeunt.UseInvite), s.Now()
	v := Invitation{Handle: a.Handle, Account: a.ID, Expires: now.Add(ResetLife)}
	return t, s.Store.AddReset(ctx, t.Hash(), v, by, now)
}

// LookAtReset returns the account whose password a link sets, or ErrInviteSpent. It
// does not spend the link.
func (s *Service) LookAtReset(ctx context.Context, t exeunt.Token) (exeunt.Account, error) {
	v, err := s.link(ctx, t, true)
	if err != nil {
		return exeunt.Account{}, err
	}
	a, err := s.Store.Account(ctx, v.Account)
	if err == nil && a.Status != exeunt.AccountActive && a.Status != exeunt.AccountDeleting {
		err = exeunt.ErrInviteSpent // a disabled account has no use for a new password
	}
	return a, err
}

// Reset sets the password by a link, spends the link and ends every session of the
// account, in one transaction (OWASP ASVS 5.0, 6.4.3 and 7.4.3). It may return a
// FieldError for the password, a ThrottledError, ErrInviteSpent, ErrUnavailable or ErrNotConfirmed.
func (s *Service) Reset(ctx context.Context, t exeunt.Token, next string, from netip.Addr) (authority.Ending, error) {
	a, err := s.LookAtReset(ctx, t)
	if err != nil {
		return authority.Ending{}, err
	}
	if err := s.countLink(t, from); err != nil {
		return authority.Ending{}, err
	}
	hash, err := s.hash(ctx, a.ID, next)
	if err != nil {
		// The same form may have set the password meanwhile.
		if _, spent := s.LookAtReset(ctx, t); spent != nil {
			err = spent
		}
		return authority.Ending{}, err
	}
	mails, err := s.passwordChanged(a)
	if err != nil {
		return authority.Ending{}, err
	}
	return s.Authority.ResetPassword(ctx, a.ID, t.Hash(), hash, a.CredentialVersion, from, mails...)
}
