package account

import (
	"cmp"
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
	"github.com/exeunt/exeunt/internal/passkey"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
	"github.com/exeunt/exeunt/internal/ui"
)

// Setup is a factor that somebody is about to add, or recovery codes that are about to be made. The form keeps it,
// sealed, so that sent twice it does the same, and nothing is stored before it counts. It prints masked.
type Setup struct {
	Factor  exeunt.FactorID
	Session exeunt.SessionID // whose form it is
	Secret  []byte           // of an authenticator app; or what a new passkey has to sign
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
	return s.addFactor(ctx, by, set, f, func() (*store.NewFactor, error) { return s.newApp(by, set, name, code) })
}

// AddPasskey adds a passkey, if the browser's answer is one to what it was asked, and recovery codes if the account has
// none. Sent twice, it adds one. label is what the browser is called. Its errors are those of AddApp, with "passkey"
// instead of "app_code", and ErrPasskeyTaken.
func (s *Service) AddPasskey(
	ctx context.Context, by exeunt.Actor, set Setup, name, answer, label string, f FactorForm,
) (out FactorsChanged, err error) {
	return s.addFactor(ctx, by, set, f, func() (*store.NewFactor, error) { return s.newPasskey(by, set, name, answer, label) })
}

// addFactor adds what check returns, once, however often the form is sent.
func (s *Service) addFactor(
	ctx context.Context, by exeunt.Actor, set Setup, f FactorForm, check func() (*store.NewFactor, error),
) (out FactorsChanged, err error) {
	if out, ok, err := s.addedBefore(ctx, by, set, f); ok || err != nil {
		return out, err
	}
	out, err = s.addNew(ctx, by, set, f, check)
	if err != nil || out.Codes == nil {
		// The same form may have been first.
		if first, ok, lost := s.addedBefore(ctx, by, set, f); ok && lost == nil {
			return first, nil
		}
	}
	return out, err
}

// newApp is an authenticator app that shows the code now.
func (s *Service) newApp(by exeunt.Actor, set Setup, name, code string) (*store.NewFactor, error) {
	name, err := factorName(name, "Authenticator app")
	if err != nil {
		return nil, err
	}
	if !s.Usable(by, set) {
		return nil, fieldError("app_code", "setup_over", "This page was open for too long. Scan the new code.")
	}
	step, drift, ok := factor.Match(set.Secret, code, s.Now())
	switch {
	case drift != 0:
		return nil, fieldError("app_code", "clock", "The clock of your phone is wrong. Set it to automatic, and type the next code.")
	case !ok:
		return nil, fieldError("app_code", "wrong_code", "That is not what the app shows now. Type the next code.")
	}
	sealed, err := s.Master.Seal(factor.Purpose(set.Factor), set.Secret)
	return &store.NewFactor{Data: sealed,
		Factor: exeunt.Factor{ID: set.Factor, Account: by.Account, Kind: exeunt.FactorTOTP, Name: name, Counter: step}}, err
}

// newPasskey is a passkey that a browser has just made.
func (s *Service) newPasskey(by exeunt.Actor, set Setup, name, answer, label string) (*store.NewFactor, error) {
	if !s.Usable(by, set) || s.Passkeys == nil {
		return nil, fieldError("passkey", "setup_over", "This page was open for too long. Nothing was changed; send it again.")
	}
	credential, key, err := s.Passkeys.Made(answer, set.Secret, passkey.Person{Account: by.Account})
	if err != nil {
		s.Log.Debug("a new passkey is refused", "account", by.Account, "err", err)
		return nil, fieldError("passkey", "refused_passkey", "This site could not verify the new passkey. Nothing was changed; try again.")
	}
	if name, err = factorName(name, cmp.Or(key.Model(), label)); err != nil {
		return nil, err
	}
	data, err := key.Data()
	return &store.NewFactor{Data: data, Factor: exeunt.Factor{ID: set.Factor, Account: by.Account,
		Kind: exeunt.FactorPasskey, Name: name, Credential: credential, Counter: int64(key.Count)}}, err
}

// AskNewPasskey is what the browser is asked to make.
func (s *Service) AskNewPasskey(ctx context.Context, by exeunt.Actor, set Setup) ([]byte, error) {
	a, err := s.Store.Account(ctx, by.Account)
	if err != nil {
		return nil, err
	}
	list, _, err := s.Store.Factors(ctx, by.Account)
	if err != nil {
		return nil, err
	}
	return s.Passkeys.Make(set.Secret, passkey.Person{Account: a.ID, Handle: a.Handle, Name: cmp.Or(a.Name, a.Handle)},
		Passkeys(list))
}

// OfferPasskey reports whether somebody who has signed in with the password alone may be offered a passkey.
func (s *Service) OfferPasskey(ctx context.Context, id exeunt.AccountID) (bool, error) {
	if s.Passkeys == nil {
		return false, nil
	}
	return s.Store.OfferPasskey(ctx, id)
}

// DeclinePasskey has the actor's account not be offered a passkey again.
func (s *Service) DeclinePasskey(ctx context.Context, by exeunt.Actor) error {
	offer, err := s.Store.OfferPasskey(ctx, by.Account)
	if err != nil || !offer {
		return err
	}
	return s.Store.DeclinePasskey(ctx, by.Account)
}

// Passkeys are the IDs of the passkeys among factors.
func Passkeys(list []exeunt.Factor) (out [][]byte) {
	for _, f := range list {
		if f.Kind == exeunt.FactorPasskey {
			out = append(out, f.Credential)
		}
	}
	return out
}

func (s *Service) addNew(
	ctx context.Context, by exeunt.Actor, set Setup, f FactorForm, check func() (*store.NewFactor, error),
) (out FactorsChanged, err error) {
	added, err := check()
	if err != nil {
		return out, err
	}
	proof, err := s.mayChange(ctx, by, f)
	if err != nil {
		return out, err
	}
	change, account, err := s.factorChange(ctx, by, set)
	if err != nil {
		return out, err
	}
	change.Add = added
	out, err = s.changeFactors(ctx, by, proof, change, account, ui.MailFactorAdded, added.Name, f)
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

// RenameFactor gives a factor another name. It proves nothing, so it needs no proof. It may return a FieldError for
// "name", a ThrottledError, ErrNotFound, ErrSignedOut.
func (s *Service) RenameFactor(ctx context.Context, by exeunt.Actor, id exeunt.FactorID, name string) error {
	name, err := factorName(name, "")
	if err != nil {
		return err
	}
	if err := s.countChange(by); err != nil {
		return err
	}
	return s.Store.RenameFactor(ctx, by, id, name, s.Now())
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
	return proof, s.countChange(by)
}

func (s *Service) countChange(by exeunt.Actor) error {
	key := "factors " + by.Account.String()
	if wait := s.throttle.Take(key, perFactorChange, throttle.WideNetwork(by.Address)); wait > 0 {
		return &exeunt.ThrottledError{RetryAfter: wait, Limit: exeunt.LimitProfileChanges}
	}
	return nil
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
