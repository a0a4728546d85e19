package account

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/names"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/ui"
)

// Arrival is what is known of the browser or app that somebody signs in with.
type Arrival struct {
	Kind    exeunt.SessionKind
	Device  exeunt.Token // of a browser; not used on a shared computer
	Agent   string       // browser and system, or what an app calls itself
	Label   string       // as the session's
	Address netip.Addr
}

// Recognise compares a sign-in with what the account was used with. One that is unfamiliar comes with a notice, and a
// mail to the confirmed address, which are stored when the session starts (OWASP ASVS 5.0, 6.3.5).
func (s *Service) Recognise(ctx context.Context, id exeunt.AccountID, v Arrival) (out store.Recognised, err error) {
	out.Arrival = store.Arrival{Network: exeunt.CoarseNetwork(v.Address), Agent: authority.CleanLabel(v.Agent)}
	switch v.Kind {
	case exeunt.KindKept:
		if !v.Device.IsZero() {
			out.Arrival.Device = v.Device.Hash()
		}
	case exeunt.KindApp: // has no cookies: it is known by its network and agent
		out.Arrival.Device = sha256.Sum256([]byte("app " + out.Arrival.Network.String() + " " + out.Arrival.Agent))
	}
	is, err := s.Store.Recognise(ctx, id, out.Arrival, s.Now())
	if out.Familiar = is.Familiar; is.Familiar || err != nil {
		return out, err
	}
	out.Notice = &store.NewNotice{ID: exeunt.NewNoticeID(), Place: s.Place.of(v.Address)}
	if is.Told {
		return out, nil
	}
	a, err := s.Store.Account(ctx, id)
	if err == nil {
		err = s.mailNotice(a, out.Notice, v)
	}
	return out, err
}

// mailNotice adds the mail to a notice, with a link that works without signing in. There is none without a mail server or
// a confirmed address.
func (s *Service) mailNotice(a exeunt.Account, n *store.NewNotice, v Arrival) error {
	if !s.Notify.Enabled() {
		return nil
	}
	t, now := exeunt.NewToken(exeunt.UseLink), s.Now()
	mails, err := s.Notify.ForAccount(a, ui.MailUnfamiliarSignIn, ui.MailData{At: now, Place: n.Place, Network: v.Address,
		Browser: authority.CleanLabel(v.Label), Link: s.Notify.Site + "/not-me/" + t.Reveal()})
	if err != nil || len(mails) == 0 {
		return err
	}
	n.Mail = &mails[0]
	n.Link = store.Link{Hash: t.Hash(), Account: a.ID, Purpose: store.LinkNotMe, Data: n.ID.String() + " " + a.Email,
		Expires: now.Add(exeunt.NoticeLife)}
	return nil
}

// Notices returns what the account's owner is asked, latest first.
func (s *Service) Notices(ctx context.Context, id exeunt.AccountID) ([]exeunt.Notice, error) {
	return s.Store.OpenNotices(ctx, id, s.Now())
}

// ThisWasMe records that a sign-in was the actor's own. Its outcomes are those of store.AnswerMe.
func (s *Service) ThisWasMe(ctx context.Context, by exeunt.Actor, id exeunt.NoticeID) error {
	return s.Store.AnswerMe(ctx, store.Answering{By: by, Notice: id}, s.Now())
}

// NotMe records that a sign-in was somebody else's, and ends every session of the account, the actor's own too. The key
// makes repeating it harmless. Its outcomes are those of authority.NotMe.
func (s *Service) NotMe(
	ctx context.Context, by exeunt.Actor, key string, id exeunt.NoticeID,
) (authority.Ending, error) {
	return s.Authority.NotMe(ctx, key, store.NotMe{Answering: store.Answering{By: by, Notice: id}})
}

// Disowning is what the link of a mail about a sign-in is about.
type Disowning struct {
	Notice exeunt.Notice
	Handle string
	// Spent: the link was used. What the notice says was then its answer.
	Spent bool

	link    store.Link
	mailbox bool // the mail went to the address that the account has confirmed
}

// LookAtNotMe returns what a link is about, also a spent one, or ErrNotMeLink. It spends nothing: mail scanners follow
// links.
func (s *Service) LookAtNotMe(ctx context.Context, t exeunt.Token) (d Disowning, err error) {
	if t.Use() != exeunt.UseLink {
		return d, exeunt.ErrNotMeLink
	}
	d.link, err = s.Store.Link(ctx, t.Hash(), s.Now())
	if errors.Is(err, exeunt.ErrNotFound) || err == nil && d.link.Purpose != store.LinkNotMe {
		err = exeunt.ErrNotMeLink
	}
	if err != nil {
		return d, err
	}
	a, err := s.Store.Account(ctx, d.link.Account)
	if err != nil {
		return d, err
	}
	name, address, _ := strings.Cut(d.link.Data, " ")
	d.Handle, d.Spent = a.Handle, !d.link.Spent.IsZero()
	d.mailbox = a.EmailConfirmed && names.Key(a.Email) == names.Key(address)
	id, err := exeunt.ParseNoticeID(name)
	if err != nil {
		return d, err
	}
	d.Notice, err = s.Store.Notice(ctx, a.ID, id)
	if errors.Is(err, exeunt.ErrNotFound) { // newer ones took its place
		d.Notice, err = exeunt.Notice{ID: id, Account: a.ID, State: exeunt.NoticeOpen}, nil
		if d.Spent {
			d.Notice.State, d.Notice.Answered = exeunt.NoticeNotMe, d.link.Spent
		}
	}
	return d, err
}

// notMeResetLife is how long the link for a new password works that somebody gets who has disowned a sign-in.
const notMeResetLife = 30 * time.Minute

// AnswerByLink answers by a link, and spends it. That it was somebody else ends every session; then reset is the token
// of a link for a new password, if the mail went to the confirmed mailbox. It does not get around a second step. Outcomes
// are those of store.AnswerMe and authority.NotMe.
func (s *Service) AnswerByLink(
	ctx context.Context, d Disowning, as exeunt.NoticeState, reset exeunt.Token, from netip.Addr,
) error {
	by := exeunt.Actor{Kind: exeunt.ActorLink, Account: d.link.Account, Address: from}
	answering := store.Answering{By: by, Notice: d.Notice.ID, Link: &d.link}
	if as == exeunt.NoticeMe {
		return s.Store.AnswerMe(ctx, answering, s.Now())
	}
	n := store.NotMe{Answering: answering}
	if d.mailbox {
		n.ResetHash = reset.Hash()
		n.Reset = &store.Invite{Handle: d.Handle, Account: d.link.Account, Expires: s.Now().Add(notMeResetLife)}
	}
	_, err := s.Authority.NotMe(ctx, d.link.Hash.String(), n)
	return err
}
