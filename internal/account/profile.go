package account

import (
	"context"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Profile is what people can change of their own profile.
type Profile struct{ Name, Email string }

// ChangeProfile saves name and e-mail address. People can sign in with a confirmed
// address, so a new one needs a proof, like a new password (OWASP ASVS 5.0, 7.5.1).
// It identifies nobody until it is confirmed: with a mail server it gets a mail with a
// link for that, and a confirmed address stays the account's until then. from is the token that the actor has
// presented. Besides the errors of prove it may return a FieldError; ErrSignedOut, when
// the actor's session has ended; ErrRenewed, when it has another token by now;
// ErrSignInAgain, when the password changed after it was proved; a ThrottledError;
// ErrUnavailable or ErrNotConfirmed. A profile that is equal to the present one changes
// and counts nothing.
func (s *Service) ChangeProfile(
	ctx context.Context, by exeunt.Actor, from exeunt.Token, p Profile, prove Prove,
) error {
	account, err := s.Store.Account(ctx, by.Account)
	if err != nil {
		return err
	}
	if p.Name, err = cleanName(p.Name, account.Handle); err != nil {
		return err
	}
	if p.Email, err = cleanEmail(p.Email); err != nil {
		return err
	}
	if p == (Profile{Name: account.Name, Email: account.Email}) {
		return nil
	}
	change := store.ProfileChange{Name: &p.Name, Token: from.Hash()}
	if p.Email != account.Email {
		proof, err := s.prove(ctx, by, prove)
		if err != nil {
			return err
		}
		change.Email, change.Credential = &p.Email, proof.CredentialVersion
		if change.Confirm, err = s.askConfirm(account, p.Email); err != nil {
			return err
		}
		if p.Email == "" {
			if change.Undo, err = s.askUndo(account, ""); err != nil {
				return err
			}
		}
	}
	return unsent(s.changeProfile(ctx, by, change))
}

// ChangeDisplay saves the choice of light or dark. It may return a ThrottledError.
func (s *Service) ChangeDisplay(ctx context.Context, by exeunt.Actor, d exeunt.Display) error {
	account, err := s.Store.Account(ctx, by.Account)
	if err != nil || account.Display == d {
		return err
	}
	return s.changeProfile(ctx, by, store.ProfileChange{Display: &d})
}

// ChooseLanguage saves the language of mails to the actor's account, chosen by them or not. It may return a ThrottledError.
func (s *Service) ChooseLanguage(ctx context.Context, by exeunt.Actor, tag string, chosen bool) error {
	a, err := s.Store.Account(ctx, by.Account)
	if err != nil || a.Language == tag && a.LanguageChosen == chosen {
		return err
	}
	key := "profile " + by.Account.String()
	if wait := s.throttle.Take(key, perProfile, throttle.WideNetwork(by.Address)); wait > 0 {
		return &exeunt.ThrottledError{RetryAfter: wait, Limit: exeunt.LimitProfileChanges}
	}
	return s.Store.ChooseLanguage(ctx, by, tag, chosen)
}

// perProfile limits how often an account's profile may change. Each change is an event that every node reads and that
// is stored for months.
var perProfile = throttle.Rate{Burst: 30, Every: 10 * time.Second}

func (s *Service) changeProfile(ctx context.Context, by exeunt.Actor, c store.ProfileChange) error {
	key := "profile " + by.Account.String()
	if wait := s.throttle.Take(key, perProfile, throttle.WideNetwork(by.Address)); wait > 0 {
		return &exeunt.ThrottledError{RetryAfter: wait, Limit: exeunt.LimitProfileChanges}
	}
	_, err := s.Authority.SaveProfile(ctx, by.Account, func(ctx context.Context) (exeunt.Profile, error) {
		return s.Store.ChangeProfile(ctx, by.Account, c, by, s.Now())
	})
	return err
}

func fieldError(field, code, message string) error {
	return &exeunt.FieldError{Field: field, Code: code, Err: &exeunt.Error{Code: code, Message: message}}
}

func cleanHandle(text string) (string, error) {
	handle, ok := exeunt.ParseHandle(names.Key(text))
	if !ok {
		return "", fieldError("handle", "shape",
			"A handle has 2 to 63 letters a to z, digits, dots, hyphens and underscores. It begins with a letter or digit, "+
				"and no dot or hyphen is at its end or beside another.")
	}
	return handle, nil
}

// cleanName returns a valid display name; an empty one becomes the fallback.
func cleanName(name, fallback string) (string, error) {
	name = strings.Join(strings.Fields(strings.ToValidUTF8(name, "")), " ")
	if name == "" {
		name = fallback
	}
	if name != "" && !names.Shows(name) {
		return "", fieldError("name", "invisible", "That name shows nothing. Write one that people can read.")
	}
	name = strings.Join(strings.Fields(names.Display(name)), " ")
	if utf8.RuneCountInString(name) > exeunt.MaxNameLen {
		return "", fieldError("name", "too_long", "A name has at most 80 characters.")
	}
	if strings.ContainsFunc(name, unicode.IsControl) {
		return "", fieldError("name", "shape", "A name has no control characters.")
	}
	return name, nil
}

// cleanEmail returns a plain address of visible characters, without what was pasted along with it. "" is allowed.
func cleanEmail(email string) (string, error) {
	email = names.Pasted(email)
	if email == "" {
		return "", nil
	}
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || len(email) > exeunt.MaxEmailLen ||
		strings.ContainsFunc(email, unicode.IsSpace) || strings.ContainsFunc(email, names.Invisible) || !names.ValidDomain(email) {
		return "", fieldError("email", "shape", "That is not an e-mail address like name@example.com.")
	}
	return email, nil
}
