package account

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
	"github.com/exeunt/exeunt/internal/notify"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
	"github.com/exeunt/exeunt/internal/ui"
)

const (
	// MailLinkLife is for how long a link works that confirms an address, or that sets a new password by mail.
	MailLinkLife = 30 * time.Minute
	// UndoLife is for how long a change of a confirmed address can be undone.
	UndoLife = 7 * 24 * time.Hour
)

// SendsMails reports whether mails can be sent. Otherwise pages do not offer what needs them.
func (s *Service) SendsMails() bool { return s.Notify.Enabled() }

// linkByMail makes a link, and the mail that has it, which is of no use any more when the link has expired.
func (s *Service) linkByMail(
	l store.Link, path string, life time.Duration, m notify.Message,
) (*store.Ask, error) {
	t := exeunt.NewToken(exeunt.UseLink)
	l.Hash, l.Account, l.Expires = t.Hash(), m.Account, s.Now().Add(life)
	m.Data.Link, m.Data.Life, m.Until = s.Notify.Site+path+t.Reveal(), life, l.Expires
	mails, err := s.Notify.Prepare(m)
	if err != nil {
		return nil, err
	}
	return &store.Ask{Link: l, Mail: mails[0]}, nil
}

// askConfirm asks whoever reads the address whether it is the account's; nil without a mail server or an address.
func (s *Service) askConfirm(a exeunt.Account, address string) (*store.Ask, error) {
	if !s.SendsMails() || address == "" {
		return nil, nil
	}
	return s.linkByMail(store.Link{Purpose: store.LinkConfirm, Data: address}, "/confirm/", MailLinkLife, notify.Message{
		Account: a.ID, To: address, Locale: a.Language, Template: ui.MailConfirmAddress, Data: ui.MailData{Handle: a.Handle, Address: address}})
}

// askUndo tells the account's present address that another one replaces it, or none, and how to undo that; nil without a
// mail server or a confirmed address.
func (s *Service) askUndo(a exeunt.Account, next string) (*store.Ask, error) {
	if !s.SendsMails() || !a.EmailConfirmed || a.Email == "" {
		return nil, nil
	}
	m := notify.Message{Account: a.ID, To: a.Email, Locale: a.Language, Template: ui.MailAddressChanged,
		Data: ui.MailData{Handle: a.Handle, Address: next, At: s.Now()}}
	if next == "" {
		m.Template = ui.MailAddressRemoved
	}
	return s.linkByMail(store.Link{Purpose: store.LinkUndo, Data: a.Email}, "/undo/", UndoLife, m)
}

// unsent is the error for people when a mail was too many.
func unsent(err error) error {
	if errors.Is(err, store.ErrManyMails) {
		return &exeunt.ThrottledError{RetryAfter: time.Hour, Limit: exeunt.LimitMails}
	}
	return err
}

// perConfirm limits the mails to confirm an address that an account asks for, and perForm has the same form send one.
var (
	perConfirm = throttle.Rate{Burst: 5, Every: 10 * time.Minute}
	perForm    = throttle.Rate{Burst: 1, Every: MailLinkLife}
)

// SendConfirm sends the mail again that asks to confirm the actor's address, or the pending one. A form that is sent
// twice sends one mail. It may return ErrOtherEmail, when there is none to confirm; ErrSignedOut; a ThrottledError;
// ErrUnavailable or ErrNotConfirmed.
func (s *Service) SendConfirm(ctx context.Context, by exeunt.Actor, form string) error {
	a, err := s.Store.Account(ctx, by.Account)
	if err != nil {
		return err
	}
	address := a.EmailPending
	if address == "" && !a.EmailConfirmed {
		address = a.Email
	}
	ask, err := s.askConfirm(a, address)
	if err != nil {
		return err
	}
	if ask == nil {
		return exeunt.ErrOtherEmail
	}
	permits := s.throttle.From(by.Address)
	if permits.Take("confirm "+a.ID.String()+" "+form, perForm) > 0 {
		return nil
	}
	if wait := permits.Take("confirm "+a.ID.String(), perConfirm); wait > 0 {
		permits.GiveBack()
		return &exeunt.ThrottledError{RetryAfter: wait, Limit: exeunt.LimitMails}
	}
	if err = s.Store.AskConfirm(ctx, *ask, by, s.Now()); err != nil {
		permits.GiveBack()
	}
	return unsent(err)
}

// DropPending forgets the actor's pending address. The present one stays.
func (s *Service) DropPending(ctx context.Context, by exeunt.Actor) error {
	return s.Store.DropPending(ctx, by)
}

// mailLink returns a link of a mail, also a spent one, and its account; ErrLinkSpent when it does not work any more. It
// does not spend it.
func (s *Service) mailLink(
	ctx context.Context, t exeunt.Token, purpose store.LinkPurpose,
) (l store.Link, a exeunt.Account, err error) {
	if t.Use() != exeunt.UseLink {
		return l, a, exeunt.ErrLinkSpent
	}
	err = s.Authority.LookUp(ctx, exeunt.UseLink, t.Hash(), exeunt.ErrLinkSpent, func(ctx context.Context) (err error) {
		if l, err = s.Store.Link(ctx, t.Hash(), s.Now()); errors.Is(err, exeunt.ErrNotFound) {
			err = exeunt.ErrLinkSpent
		}
		return err
	})
	if err == nil && l.Purpose != purpose {
		err = exeunt.ErrLinkSpent
	}
	if err == nil {
		a, err = s.Store.Account(ctx, l.Account)
	}
	return l, a, err
}

// Confirming is what a link that confirms an address is about.
type Confirming struct {
	Handle, Address string
	Replaces        string // the confirmed address that it replaces; "" when there is none
	Done            bool   // it is confirmed
}

// LookAtConfirm says what a link confirms, or ErrLinkSpent. It does not spend it.
func (s *Service) LookAtConfirm(ctx context.Context, t exeunt.Token) (Confirming, error) {
	c, _, err := s.confirming(ctx, t)
	return c, err
}

func (s *Service) confirming(ctx context.Context, t exeunt.Token) (c Confirming, a exeunt.Account, err error) {
	l, a, err := s.mailLink(ctx, t, store.LinkConfirm)
	if err != nil {
		return c, a, err
	}
	c = Confirming{Handle: a.Handle, Address: l.Data}
	switch {
	case a.EmailConfirmed && a.Email == l.Data:
		c.Done = true
	case !l.Spent.IsZero():
		err = exeunt.ErrLinkSpent
	case a.EmailPending == l.Data:
		c.Replaces = a.Email
	case a.Email != l.Data || a.EmailPending != "":
		err = exeunt.ErrLinkSpent
	}
	return c, a, err
}

// Confirm confirms an address by a link and spends the link. If the address replaces a confirmed one, that one is told
// and can undo it. Sent twice it is confirmed once. It may return ErrLinkSpent, ErrEmailTaken, a ThrottledError,
// ErrUnavailable or ErrNotConfirmed.
func (s *Service) Confirm(ctx context.Context, t exeunt.Token, from netip.Addr) error {
	c, a, err := s.confirming(ctx, t)
	if err != nil || c.Done {
		return err
	}
	if err := s.countLink(t, from); err != nil {
		return err
	}
	hash := t.Hash()
	by := exeunt.Actor{Kind: exeunt.ActorLink, Account: a.ID, Address: from}
	_, err = s.confirm(ctx, by, a, c.Address, store.Confirmation{Link: &hash})
	if errors.Is(err, exeunt.ErrLinkSpent) || errors.Is(err, exeunt.ErrOtherEmail) {
		if c, _, again := s.confirming(ctx, t); again == nil && c.Done {
			return nil // by the same form
		}
		return exeunt.ErrLinkSpent
	}
	return err
}

func (s *Service) confirm(
	ctx context.Context, by exeunt.Actor, a exeunt.Account, address string, c store.Confirmation,
) (exeunt.Profile, error) {
	var err error
	if names.Key(address) != names.Key(a.Email) {
		if c.Undo, err = s.askUndo(a, address); err != nil {
			return exeunt.Profile{}, err
		}
	}
	p, err := s.Authority.SaveProfile(ctx, a.ID, func(ctx context.Context) (exeunt.Profile, error) {
		return s.Store.ConfirmEmail(ctx, a.ID, address, by, s.Now(), c)
	})
	return p, unsent(err)
}

// ConfirmEmail records that an operator has confirmed the account's e-mail address,
// and returns the address as the account has it. It may return a FieldError;
// ErrOtherEmail, when the account has another address; ErrEmailTaken; ErrForbidden;
// ErrUnavailable or ErrNotConfirmed.
func (s *Service) ConfirmEmail(
	ctx context.Context, by exeunt.Actor, id exeunt.AccountID, email string,
) (string, error) {
	if by.Kind != exeunt.ActorOperator {
		return "", exeunt.ErrForbidden
	}
	email, err := cleanEmail(email)
	if err != nil {
		return "", err
	}
	a, err := s.Store.Account(ctx, id)
	if err != nil {
		return "", err
	}
	p, err := s.confirm(ctx, by, a, email, store.Confirmation{})
	return p.Email, err
}

// Undoing is what a link is about that undoes a change of an address.
type Undoing struct {
	Handle  string
	Address string // that the account gets back
	Now     string // the one that it has; "" when there is none
	Done    bool   // it was undone; the same link leads to a new password
}

// LookAtUndo says what a link undoes, or ErrLinkSpent. It does not spend it.
func (s *Service) LookAtUndo(ctx context.Context, t exeunt.Token) (Undoing, error) {
	l, a, err := s.mailLink(ctx, t, store.LinkUndo)
	if err != nil {
		return Undoing{}, err
	}
	u := Undoing{Handle: a.Handle, Address: l.Data, Now: a.Email, Done: !l.Spent.IsZero()}
	if u.Done {
		if _, err := s.LookAtReset(ctx, resetAfterUndo(t)); err != nil {
			return Undoing{}, leftOfUndo(err)
		}
	}
	return u, nil
}

// leftOfUndo: once the new password is set, or the link to that has expired, nothing is left of the undo's link.
func leftOfUndo(err error) error {
	if errors.Is(err, exeunt.ErrInviteSpent) {
		return exeunt.ErrLinkSpent
	}
	return err
}

// resetAfterUndo is the link for a new password that an undo leads to. It is made from the undo's own, so that the same
// form sent again leads to the same, and nobody else can tell it.
func resetAfterUndo(t exeunt.Token) exeunt.Token {
	return exeunt.TokenFrom(exeunt.UseInvite, sha256.Sum256([]byte("a new password after "+t.Reveal())))
}

// Undo puts back the address of a link, ends every session and the password, since whoever changed the address knew it,
// and returns the token of a link that sets a new one, all in one transaction. The address that the account had is told
// if it was confirmed. Sent twice it is one undo. It may return ErrLinkSpent, ErrEmailTaken, a ThrottledError,
// ErrUnavailable or ErrNotConfirmed.
func (s *Service) Undo(ctx context.Context, t exeunt.Token, from netip.Addr) (exeunt.Token, error) {
	reset := resetAfterUndo(t)
	l, a, err := s.mailLink(ctx, t, store.LinkUndo)
	if err != nil {
		return exeunt.Token{}, err
	}
	if l.Spent.IsZero() {
		if err := s.countLink(t, from); err != nil {
			return exeunt.Token{}, err
		}
		var mails []store.NewMail
		if names.Key(a.Email) != names.Key(l.Data) {
			if mails, err = s.Notify.ForAccount(a, ui.MailAddressUndone, ui.MailData{At: s.Now()}); err != nil {
				return exeunt.Token{}, err
			}
		}
		undo := store.Undo{Link: t.Hash(), Reset: reset.Hash(), Expires: s.Now().Add(MailLinkLife)}
		if _, err = s.Authority.UndoAddress(ctx, a.ID, undo, from, mails...); err == nil {
			return reset, nil
		}
		if !errors.Is(err, exeunt.ErrLinkSpent) {
			return exeunt.Token{}, err
		}
	}
	_, err = s.LookAtReset(ctx, reset) // by the same form
	return reset, leftOfUndo(err)
}
