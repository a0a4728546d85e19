package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/factor"
	"github.com/exeunt/exeunt/internal/names"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
	"github.com/exeunt/exeunt/internal/ui"
)

// Setup is an authenticator app that somebody is about to add, or recovery codes that are about to be made. The form
// keeps it, sealed, so that sent twice it does the same, and nothing is stored before it counts. It prints masked.
type Setup struct {
	Factor  exeunt.FactorID
	Session exeunt.SessionID // whose form it is
	Secret  []byte
	Codes   []string
	Expires time.Time
}

// String leaves the secrets out.
func (s Setup) String() string { return "account.Setup(" + s.Factor.String() + ")" }

// GoString is String, for %#v.
func (s Setup) GoString() string { return s.String() }

const setupLife = 30 * time.Minute

// SetUp draws a secret and codes for the actor's form.
func (s *Service) SetUp(by exeunt.Actor) Setup {
	out := Setup{Factor: exeunt.NewFactorID(), Session: by.Session, Secret: factor.NewSecret(), Expires: s.Now().Add(setupLife)}
	for _, c := range factor.NewRecoveryCodes(exeunt.RecoveryCodeCount) {
		out.Codes = append(out.Codes, c.Reveal())
	}
	return out
}

// Usable reports whether the actor may still send the form.
func (s *Service) Usable(by exeunt.Actor, set Setup) bool {
	return set.Session == by.Session && !by.Session.IsZero() && s.Now().Before(set.Expires)
}

// FactorForm is what every form has that changes the factors.
type FactorForm struct {
	From   exeunt.Token // what the actor has presented
	Key    string       // of the form
	Others bool         // whether every other session ends
	Prove  Prove
}

// FactorsChanged is what such a form did.
type FactorsChanged struct {
	Ended int64        // other sessions
	Token exeunt.Token // the session's new one; zero if it has the old one
	Codes []string     // recovery codes that were made; nil if none were
}

// AddApp adds an authenticator app, if the code is the one that it shows, and recovery codes if the account has none.
// Sent twice, it adds one. Besides the errors of prove and of the authority's ChangeFactors it may return a FieldError
// for "app_code" or "name", a ThrottledError or ErrManyFactors.
func (s *Service) AddApp(
	ctx context.Context, by exeunt.Actor, set Setup, name, code string, f FactorForm,
) (out FactorsChanged, err error) {
	if name, err = factorName(name, "Authenticator app"); err != nil {
		return out, err
	}
	if out, ok, err := s.addedBefore(ctx, by, set, f); ok || err != nil {
		return out, err
	}
	out, err = s.addApp(ctx, by, set, name, code, f)
	if err != nil || out.Codes == nil {
		// The same form may have been first.
		if first, ok, lost := s.addedBefore(ctx, by, set, f); ok && lost == nil {
			return first, nil
		}
	}
	return out, err
}

func (s *Service) addApp(
	ctx context.Context, by exeunt.Actor, set Setup, name, code string, f FactorForm,
) (out FactorsChanged, err error) {
	if !s.Usable(by, set) {
		return out, fieldError("app_code", "setup_over", "This page was open for too long. Scan the new code.")
	}
	step, drift, ok := factor.Match(set.Secret, code, s.Now())
	switch {
	case drift != 0:
		return out, fieldError("app_code", "clock", "The clock of your phone is wrong. Set it to automatic, and type the next code.")
	case !ok:
		return out, fieldError("app_code", "wrong_code", "That is not what the app shows now. Type the next code.")
	}
	proof, err := s.mayChange(ctx, by, f)
	if err != nil {
		return out, err
	}
	change, account, err := s.factorChange(ctx, by, set)
	if err != nil {
		return out, err
	}
	sealed, err := s.Master.Seal(factor.Purpose(set.Factor), set.Secret)
	if err != nil {
		return out, err
	}
	change.Add = &store.NewFactor{Data: sealed,
		Factor: exeunt.Factor{ID: set.Factor, Account: by.Account, Kind: exeunt.FactorTOTP, Name: name, Counter: step}}
	out, err = s.changeFactors(ctx, by, proof, change, account, ui.MailFactorAdded, name, f)
	if err == nil && change.Codes != nil {
		out.Codes = set.Codes
	}
	return out, err
}

// addedBefore returns what the same form has done before.
func (s *Service) addedBefore(
	ctx context.Context, by exeunt.Actor, set Setup, f FactorForm,
) (out FactorsChanged, ok bool, err error) {
	list, codes, err := s.Store.Factors(ctx, by.Account)
	i := slices.IndexFunc(list, func(f exeunt.Factor) bool { return f.ID == set.Factor })
	if err != nil || i < 0 {
		return out, false, err
	}
	if s.Usable(by, set) && codes.Made.Equal(list[i].Created) {
		out.Codes = set.Codes
	}
	if f.Others {
		_, out.Token, _, err = s.Authority.Repetition(ctx, by, f.From, f.Key, exeunt.ReasonFactorChange)
	}
	return out, true, err
}

// factorChange begins a change that adds a factor: with recovery codes, if the account has none.
func (s *Service) factorChange(
	ctx context.Context, by exeunt.Actor, set Setup,
) (c store.FactorChange, a exeunt.Account, err error) {
	if a, err = s.Store.Account(ctx, by.Account); err != nil {
		return c, a, err
	}
	_, codes, err := s.Store.Factors(ctx, by.Account)
	if err == nil && codes.Left == 0 {
		c.Codes, err = s.hashCodes(ctx, set.Codes)
	}
	return c, a, err
}

// hashCodes hashes recovery codes like passwords, for they are short (OWASP ASVS 5.0, 6.5.2).
func (s *Service) hashCodes(ctx context.Context, codes []string) (hashes []string, err error) {
	for _, text := range codes {
		c, ok := factor.ParseRecoveryCode(text)
		if !ok {
			return nil, exeunt.ErrBadRequest
		}
		h, err := s.Hasher.Hash(ctx, c.Secret())
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, h)
	}
	return hashes, nil
}

// RemoveFactor removes a factor; ErrNotFound when there is none.
func (s *Service) RemoveFactor(
	ctx context.Context, by exeunt.Actor, id exeunt.FactorID, f FactorForm,
) (out FactorsChanged, err error) {
	list, _, err := s.Store.Factors(ctx, by.Account)
	if err != nil {
		return out, err
	}
	i := slices.IndexFunc(list, func(f exeunt.Factor) bool { return f.ID == id })
	if i < 0 {
		return out, exeunt.ErrNotFound
	}
	account, err := s.Store.Account(ctx, by.Account)
	if err != nil {
		return out, err
	}
	proof, err := s.mayChange(ctx, by, f)
	if err != nil {
		return out, err
	}
	return s.changeFactors(ctx, by, proof, store.FactorChange{Remove: id}, account, ui.MailFactorRemoved, list[i].Name, f)
}

// Factors returns the factors of an account, oldest first, and how many recovery codes it has, for an operator.
func (s *Service) Factors(
	ctx context.Context, by exeunt.Actor, a exeunt.Account,
) ([]exeunt.Factor, exeunt.RecoveryCodes, error) {
	if by.Kind != exeunt.ActorOperator {
		return nil, exeunt.RecoveryCodes{}, exeunt.ErrForbidden
	}
	return s.Store.Factors(ctx, a.ID)
}

// DropFactors removes a factor of somebody who has lost it, or with the zero ID all of them, for an operator. Every
// session of the account ends. It returns what was removed; ErrNotFound when there is nothing to remove.
func (s *Service) DropFactors(
	ctx context.Context, by exeunt.Actor, a exeunt.Account, id exeunt.FactorID,
) (removed []exeunt.Factor, out authority.Ending, err error) {
	list, _, err := s.Factors(ctx, by, a)
	if err != nil {
		return nil, out, err
	}
	var called []string
	for _, f := range list {
		if id.IsZero() || f.ID == id {
			removed, called = append(removed, f), append(called, f.Name)
		}
	}
	if removed == nil {
		return nil, out, fmt.Errorf("factor: %w", exeunt.ErrNotFound)
	}
	mails, err := s.Notify.ForAccount(a, ui.MailFactorRemoved, ui.MailData{At: s.Now(), Factor: strings.Join(called, ", ")})
	if err != nil {
		return nil, out, err
	}
	out, err = s.Authority.DropFactors(ctx, by, a.ID, store.FactorChange{Remove: id, RemoveAll: id.IsZero()},
		a.CredentialVersion, mails)
	return removed, out, err
}

// MakeCodes replaces the account's recovery codes; a form sent twice makes the same. An account without a factor has no
// use for them: a FieldError for "setup", "no_factor".
func (s *Service) MakeCodes(ctx context.Context, by exeunt.Actor, set Setup, f FactorForm) (out FactorsChanged, err error) {
	if !s.Usable(by, set) {
		return out, fieldError("setup", "setup_over", "This page was open for too long. Nothing was changed; send it again.")
	}
	account, err := s.Store.Account(ctx, by.Account)
	if err != nil {
		return out, err
	}
	factors, _, err := s.Store.Factors(ctx, by.Account)
	if err != nil {
		return out, err
	}
	if len(factors) == 0 {
		return out, fieldError("setup", "no_factor", "Recovery codes stand in for an authenticator app. Add one first.")
	}
	proof, err := s.mayChange(ctx, by, f)
	if err != nil {
		return out, err
	}
	hashes, err := s.hashCodes(ctx, set.Codes)
	if err != nil {
		return out, err
	}
	out, err = s.changeFactors(ctx, by, proof, store.FactorChange{Codes: hashes}, account, ui.MailCodesMade, "", f)
	out.Codes = set.Codes
	return out, err
}

// perFactorChange limits changes of an account's factors: each is hashed for, stored and told by mail.
var perFactorChange = throttle.Rate{Burst: 10, Every: 6 * time.Minute}

// mayChange has the actor prove who they are and counts the change, before anything is hashed.
func (s *Service) mayChange(ctx context.Context, by exeunt.Actor, f FactorForm) (exeunt.Proof, error) {
	proof, err := s.prove(ctx, by, f.Prove)
	if err != nil {
		return proof, err
	}
	key := "factors " + by.Account.String()
	if wait := s.throttle.Take(key, perFactorChange, throttle.WideNetwork(by.Address)); wait > 0 {
		return proof, &exeunt.ThrottledError{RetryAfter: wait, Limit: exeunt.LimitProfileChanges}
	}
	return proof, nil
}

func (s *Service) changeFactors(
	ctx context.Context, by exeunt.Actor, proof exeunt.Proof, c store.FactorChange, a exeunt.Account, mail ui.MailTemplate, name string,
	f FactorForm,
) (out FactorsChanged, err error) {
	mails, err := s.Notify.ForAccount(a, mail, ui.MailData{At: s.Now(), Factor: name})
	if err != nil {
		return out, err
	}
	if !f.Others {
		return out, s.Store.ChangeFactors(ctx, by, f.From.Hash(), proof.CredentialVersion, c, s.Now(), mails...)
	}
	var ending authority.Ending
	ending, out.Token, err = s.Authority.ChangeFactors(ctx, by, f.From, f.Key, c, proof.CredentialVersion, mails)
	out.Ended = ending.Ended
	return out, err
}

// factorName returns a name of a factor that people can read.
func factorName(name, fallback string) (string, error) {
	name = strings.Join(strings.Fields(names.Display(strings.ToValidUTF8(name, ""))), " ")
	if name == "" {
		name = fallback
	}
	if utf8.RuneCountInString(name) > exeunt.MaxFactorNameLen || !names.Shows(name) {
		return "", fieldError("name", "too_long", "A name has 1 to 60 characters that people can read.")
	}
	return name, nil
}
