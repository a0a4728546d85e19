package authority

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// Ending is the recorded outcome of a revocation.
type Ending = store.Ending

// End ends sessions. When it returns nil the ending is on stable storage, this node's memory has it, and no later
// Check here says Usable. Outcomes:
//   - nil: recorded; Ending.Already says that it had been before.
//   - ErrForbidden: the actor does not have permission.
//   - ErrNotFound: no such session, also when it is somebody else's.
//   - ErrSignedOut: with ScopeOthers, the session to leave alone has itself ended.
//   - ErrKeyReused: the revocation's key was used for another request. Not when a session ends itself.
//   - ThrottledError: sessions of this account have been ended too often lately; see countEnding. Nothing was
//     changed.
//   - ErrUnavailable: nothing was changed. ErrNotConfirmed: it may or may not have been recorded; repeating it with
//     the same key is harmless. While it is in doubt, the sessions it would have ended are refused.
func (a *Authority) End(ctx context.Context, by exeunt.Actor, rev exeunt.Revocation) (Ending, error) {
	return a.end(ctx, by, rev, store.Change{})
}

// ResetPassword sets a new password hash by a one-time link that an operator made, spends the link, and ends every
// session of the account, in one transaction. The actor is the holder of the link. credential is the version of the
// password when the link was opened. ErrInviteSpent when the link is not valid any more.
// Mails tell of it; they are queued in that transaction.
func (a *Authority) ResetPassword(
	ctx context.Context, account exeunt.AccountID, link exeunt.TokenHash, hash string, credential int64,
	from netip.Addr, mails ...store.NewMail,
) (Ending, error) {
	by := exeunt.Actor{Kind: exeunt.ActorLink, Account: account, Address: from}
	rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeAccount},
		Reason: exeunt.ReasonPasswordChange}
	return a.end(ctx, by, rev, store.Change{PasswordHash: hash, Credential: credential, Link: &link, Mails: mails})
}

// NotMe ends every session of the account because a sign-in was somebody else's, and with them all that is under way, in
// one transaction (OWASP ASVS 5.0, 7.4.3). It begins to secure the account. The actor is somebody signed in, whose own session ends too, or the holder of a
// mail's link. Besides the errors of End it may return ErrAnswered, ErrNotAsked and ErrInviteSpent.
func (a *Authority) NotMe(ctx context.Context, key string, n store.NotMe) (Ending, error) {
	rev := exeunt.Revocation{Target: exeunt.Target{Account: n.By.Account, Scope: exeunt.ScopeAccount},
		Reason: exeunt.ReasonNotMe, Key: key}
	return a.end(ctx, n.By, rev, store.Change{NotMe: &n, Secure: true})
}

// UndoAddress puts back an address that the account had before, by a link that came there by mail, ends the password and
// every session, and stores a link for a new password, in one transaction. ErrLinkSpent when the link is not valid any
// more; ErrEmailTaken when another account has the address. Mails tell of it; they are queued in that transaction.
func (a *Authority) UndoAddress(
	ctx context.Context, account exeunt.AccountID, undo store.Undo, from netip.Addr, mails ...store.NewMail,
) (Ending, error) {
	by := exeunt.Actor{Kind: exeunt.ActorLink, Account: account, Address: from}
	rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeAccount},
		Reason: exeunt.ReasonAddressUndone}
	return a.end(ctx, by, rev, store.Change{Undo: &undo, Mails: mails})
}

// Disable stops an account from signing in and ends all its sessions, in one transaction (OWASP ASVS 5.0, 7.4.2).
func (a *Authority) Disable(ctx context.Context, by exeunt.Actor, account exeunt.AccountID) (Ending, error) {
	if by.Kind != exeunt.ActorOperator {
		return Ending{}, exeunt.ErrForbidden
	}
	rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeAccount},
		Reason: exeunt.ReasonDisabled}
	return a.end(ctx, by, rev, store.Change{Status: exeunt.AccountDisabled})
}

// Secure ends every session of an account because somebody else may have used it, and begins to secure it, in one
// transaction: for an operator or the holder of a link.
func (a *Authority) Secure(ctx context.Context, by exeunt.Actor, account exeunt.AccountID) (Ending, error) {
	rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeAccount},
		Reason: exeunt.ReasonSecured}
	return a.end(ctx, by, rev, store.Change{Secure: true})
}

// BeginDeletion ends all sessions of an account and has it deleted after exeunt.DeletionGrace, or for an operator at once,
// in one transaction (OWASP ASVS 5.0, 7.4.2). handle is kept from others until the log has forgotten the account.
// credential is the version of the password and factors that the person has proved: ErrSignInAgain when they have changed.
func (a *Authority) BeginDeletion(
	ctx context.Context, by exeunt.Actor, account exeunt.AccountID, key string, handle store.HandleSum, atOnce bool,
	credential int64, mails []store.NewMail,
) (Ending, error) {
	after := a.now()
	if !atOnce || by.Kind != exeunt.ActorOperator {
		after = after.Add(exeunt.DeletionGrace)
	}
	rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeAccount},
		Reason: exeunt.ReasonDeleted, Key: key}
	return a.end(ctx, by, rev, store.Change{Credential: credential, Mails: mails,
		Deletion: &store.Deletion{After: after, Handle: handle, Reserved: after.Add(a.retention.Audit)}})
}

func (a *Authority) end(
	ctx context.Context, by exeunt.Actor, rev exeunt.Revocation, change store.Change,
) (Ending, error) {
	if !by.MayEnd(rev) {
		if by.Kind == exeunt.ActorPerson && by.Account != rev.Account {
			return Ending{}, exeunt.ErrNotFound // do not reveal that it exists
		}
		return Ending{}, exeunt.ErrForbidden
	}
	// Somebody who signs out and closes the window has still signed out: a complete request is carried out, whether
	// or not anybody waits for the answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.patience)
	defer cancel()
	judge, err := a.countEnding(ctx, by, rev, change)
	if err != nil {
		return Ending{}, fmt.Errorf("end %s: %w", rev.Scope, err)
	}
	if rev.Key == "" && rev.Scope != exeunt.ScopeSession {
		// Ending many twice is not the same as once. If the outcome becomes unknown, resolve finds it by this key.
		rev.Key = rand.Text()
	}
	out, err := a.store.End(ctx, by, rev, change, a.now())
	if err == nil && out.Already {
		// The store calls the feed before it returns, so memory has what this call recorded. What another node or an
		// earlier attempt recorded may have to be read first.
		if unread := a.feed.Confirm(ctx); unread != nil {
			out, err = Ending{}, fmt.Errorf("%w (%w)", exeunt.ErrNotConfirmed, unread)
		}
	}
	judge(err)
	if errors.Is(err, exeunt.ErrNotConfirmed) {
		a.putInDoubt(inDoubtEnding{by: by, rev: rev, change: !change.IsZero()})
	}
	if err != nil {
		return out, fmt.Errorf("end %s: %w", rev.Scope, err)
	}
	a.logEnded(ctx, by, rev, out)
	if out.Unmailed > 0 {
		a.log.Warn("a mail about it was not queued: this account or address got too many of that sort lately",
			"account", rev.Account, "reason", rev.Reason)
	}
	return out, nil
}

// logEnded leaves out empty fields: it writes a line for every sign-out.
func (a *Authority) logEnded(ctx context.Context, by exeunt.Actor, rev exeunt.Revocation, out Ending) {
	if !a.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	line := append(make([]slog.Attr, 0, 8), slog.String("account", rev.Account.String()),
		slog.String("scope", string(rev.Scope)), slog.String("reason", string(rev.Reason)),
		slog.String("by", string(by.Kind)), slog.Int64("seq", out.Seq))
	if !rev.Session.IsZero() {
		line = append(line, slog.String("session", rev.Session.String()))
	}
	if !rev.AppSession.IsZero() {
		line = append(line, slog.String("app", rev.AppSession.String()))
	}
	if out.Already {
		line = append(line, slog.Bool("already", true))
	} else if rev.Scope != exeunt.ScopeSession {
		line = append(line, slog.Int64("ended", out.Ended))
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "sessions ended", line...)
}

// commitPatience is how long an ending or another change may take before its outcome counts as unknown.
const commitPatience = 10 * time.Second

type queuedEnd struct {
	by  exeunt.Actor
	rev exeunt.Revocation
}

// EndSoon ends a session for the authority itself, without delaying the request that found it. If the queue is full,
// the next request that finds it does so again: until it is ended it is refused all the same.
func (a *Authority) EndSoon(rev exeunt.Revocation) {
	select {
	case a.queue <- queuedEnd{exeunt.System(), rev}:
	default:
		a.log.Warn("too many endings are waiting; the next request of this session ends it", "session", rev.Session)
	}
}

// declare ends a session that has timed out, if the store agrees. It first saves the activity known here, so that
// the store has it too.
func (a *Authority) declare(
	ctx context.Context, account exeunt.AccountID, session exeunt.SessionID, reason exeunt.Reason,
) error {
	if err := a.save(ctx, a.live.UnsavedOf(session)); err != nil {
		return err
	}
	rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeSession, Session: session},
		Reason: reason}
	_, err := a.end(ctx, exeunt.System(), rev, store.Change{})
	if errors.Is(err, store.ErrStillGood) {
		s, err := a.store.Session(ctx, account, session)
		if err != nil {
			return err
		}
		a.live.StillGood(session, s.Seen)
		return nil
	}
	return err
}

// SignedOutHere returns the sign-out by which the holder of a dead token has left, if it was asked for with this very
// token: with its session alone or with every session of the account. ErrNotFound when it ended otherwise.
func (a *Authority) SignedOutHere(
	ctx context.Context, t exeunt.Token,
) (v exeunt.Session, scope exeunt.Scope, out Ending, err error) {
	release, ok := a.lookups.enter(ctx)
	if !ok {
		return v, "", out, exeunt.ErrUnavailable
	}
	defer release()
	sn, err := a.store.Load(ctx, t.Use(), t.Hash())
	if err == nil {
		scope, out, err = a.store.OwnSignOut(ctx, sn.Session)
	}
	return sn.Session, scope, out, err
}

// WhyEnded returns when and why a dead token, or its session or app session, ended, and false when there is no such
// token. It returns neither account nor device: whoever holds a dead token may be a thief, or the next user of the
// computer.
func (a *Authority) WhyEnded(
	ctx context.Context, t exeunt.Token,
) (at time.Time, reason exeunt.Reason, known bool, err error) {
	release, ok := a.lookups.enter(ctx)
	if !ok {
		return at, "", false, exeunt.ErrUnavailable
	}
	defer release()
	sn, err := a.store.Load(ctx, t.Use(), t.Hash())
	if errors.Is(err, exeunt.ErrNotFound) {
		r, err := a.store.Renewed(ctx, t.Hash())
		if errors.Is(err, exeunt.ErrNotFound) {
			return at, "", false, nil
		}
		return r.At, exeunt.ReasonRenewed, err == nil, err
	}
	if err != nil {
		return at, "", false, err
	}
	if a.refreshSeen(&sn.Session); sn.Session.End == nil {
		if reason := sn.Session.Overdue(a.now()); reason != "" {
			// This request is the first to find it: record the end before reporting it.
			if err := a.declare(ctx, sn.Session.Account, sn.Session.ID, reason); err != nil {
				return at, "", true, err
			}
			sn, err = a.store.Load(ctx, t.Use(), t.Hash())
			if err != nil {
				return at, "", true, err
			}
		}
	}
	for _, e := range []*exeunt.Ended{appEnd(sn.App), sn.Session.End} {
		if e != nil {
			return e.At, e.Reason, true, nil
		}
	}
	return at, "", true, nil
}

func appEnd(app *exeunt.AppSession) *exeunt.Ended {
	if app == nil {
		return nil
	}
	return app.End
}
