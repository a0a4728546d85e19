package authority

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

// RenewalGrace is how long after a renewal the old token is not called signed out: requests of other tabs are under
// way with it, and a browser stores the new pair's cookies one after the other. It is refused all the same.
const RenewalGrace = 30 * time.Second

// EndOthers ends every session of the actor's account but the actor's own, whose token is from, and gives that one
// another token in the same transaction: a copy of the old one must not survive (OWASP ASVS 5.0, 7.2.4). The token
// that it returns is zero if the outcome is that of an earlier request, and from is the token that it was given.
// Besides the errors of End it may return ErrRenewed: another request has renewed the token first, nothing was
// changed.
func (a *Authority) EndOthers(
	ctx context.Context, by exeunt.Actor, from exeunt.Token, key string,
) (Ending, exeunt.Token, error) {
	return a.endOthers(ctx, by, from, key, exeunt.ReasonSignedOut, store.Change{})
}

// SecureOthers is EndOthers because somebody else may have used the account, and begins to secure it in the same
// transaction.
func (a *Authority) SecureOthers(
	ctx context.Context, by exeunt.Actor, from exeunt.Token, key string,
) (Ending, exeunt.Token, error) {
	return a.endOthers(ctx, by, from, key, exeunt.ReasonSecured, store.Change{Secure: true})
}

// ReplacePassword is EndOthers with a new password hash in the same transaction. credential is the version of the
// password that the person has just proved; ErrSignInAgain when it changed meanwhile. Mails tell of it; they are
// queued in that transaction.
func (a *Authority) ReplacePassword(
	ctx context.Context, by exeunt.Actor, from exeunt.Token, key, hash string, credential int64,
	mails ...store.NewMail,
) (Ending, exeunt.Token, error) {
	change := store.Change{PasswordHash: hash, Credential: credential, Mails: mails}
	return a.endOthers(ctx, by, from, key, exeunt.ReasonPasswordChange, change)
}

// ChangeFactors is EndOthers with a change of the account's factors in the same transaction.
func (a *Authority) ChangeFactors(
	ctx context.Context, by exeunt.Actor, from exeunt.Token, key string, c store.FactorChange, credential int64,
	mails []store.NewMail,
) (Ending, exeunt.Token, error) {
	change := store.Change{Factors: &c, Credential: credential, Mails: mails}
	return a.endOthers(ctx, by, from, key, exeunt.ReasonFactorChange, change)
}

// DropFactors is for an operator, who removes factors that somebody has lost: it ends every session of the account in
// the same transaction. credential is the version that the operator has looked at.
func (a *Authority) DropFactors(
	ctx context.Context, by exeunt.Actor, account exeunt.AccountID, c store.FactorChange, credential int64,
	mails []store.NewMail,
) (Ending, error) {
	if by.Kind != exeunt.ActorOperator {
		return Ending{}, exeunt.ErrForbidden
	}
	rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeAccount},
		Reason: exeunt.ReasonFactorChange}
	return a.end(ctx, by, rev, store.Change{Factors: &c, Credential: credential, Mails: mails})
}

func (a *Authority) endOthers(
	ctx context.Context, by exeunt.Actor, from exeunt.Token, key string, why exeunt.Reason, change store.Change,
) (Ending, exeunt.Token, error) {
	if key == "" {
		key = rand.Text()
	}
	next, rev := a.successors(from, key)[0], others(by, key, why)
	rev.Renewal = exeunt.Renewal{From: from.Hash(), To: next.Hash()}
	out, err := a.end(ctx, by, rev, change)
	switch {
	case err != nil:
		return out, exeunt.Token{}, err
	case out.Already:
		// Either the same request has just been carried out, and its answer has this token too, or long ago.
		_, next, err = a.successor(ctx, from, key)
		if errors.Is(err, exeunt.ErrNotFound) {
			return out, exeunt.Token{}, nil
		}
	}
	return out, next, err
}

func others(by exeunt.Actor, key string, why exeunt.Reason) exeunt.Revocation {
	return exeunt.Revocation{Reason: why, Key: key,
		Target: exeunt.Target{Account: by.Account, Scope: exeunt.ScopeOthers, Session: by.Session}}
}

// successors are the tokens that a renewal with that key makes of a token, one for each secret key in use, the
// active one's first. Nothing needs to be stored for them: whoever repeats the request with the same token and key
// gets the same successor, and nobody else can tell it, because the secret is the server's.
func (a *Authority) successors(from exeunt.Token, key string) []exeunt.Token {
	var out []exeunt.Token
	for _, secret := range a.secrets("renew " + from.Reveal() + " " + key) {
		out = append(out, exeunt.TokenFrom(from.Use(), secret))
	}
	return out
}

// successor returns the token that a renewal with that key has just made of this one, or ErrNotFound: there was none,
// it had another key, or it is longer ago than RenewalGrace.
func (a *Authority) successor(ctx context.Context, from exeunt.Token, key string) (store.Renewed, exeunt.Token, error) {
	r, err := a.store.Renewed(ctx, from.Hash())
	if err == nil && a.now().Sub(r.At) < RenewalGrace {
		for _, next := range a.successors(from, key) {
			// A form with a proof renews twice if it also ends the others: by that, and by its proof.
			for _, last := range append([]exeunt.Token{next}, a.successors(next, key)...) {
				if h := last.Hash(); subtle.ConstantTimeCompare(h[:], r.To[:]) == 1 {
					return r, last, nil
				}
			}
		}
	}
	if err == nil {
		err = exeunt.ErrNotFound
	}
	return r, exeunt.Token{}, err
}

// Repeated returns the new credential of somebody who repeats, with the old one, the very request that renewed it:
// its answer was lost, or the button was pressed twice. The key is in that request and nowhere else, so whoever has
// copied only the old token is refused: ErrRenewed. ErrUnavailable when the store cannot tell.
func (a *Authority) Repeated(ctx context.Context, old Credential, key string) (Credential, Answer, error) {
	if !old.Use.Takes(old.Token) || len(key) < shortestSecretKey {
		return Credential{}, Answer{}, exeunt.ErrRenewed
	}
	_, next, err := a.successor(ctx, old.Token, key)
	if errors.Is(err, exeunt.ErrNotFound) {
		return Credential{}, Answer{}, exeunt.ErrRenewed
	}
	if err != nil {
		return Credential{}, Answer{}, err
	}
	c := Credential{Token: next, Use: old.Use}
	ans := a.Check(ctx, c)
	if !ans.Usable() {
		return Credential{}, Answer{}, exeunt.ErrSignedOut
	}
	return c, ans, nil
}

// shortestSecretKey is the length from which on an idempotency key is taken for one that nobody guesses.
const shortestSecretKey = 16

// Repetition returns the outcome of an EndOthers, or with ReasonPasswordChange of a ReplacePassword, that the actor has
// carried out with that key, and the token that it was answered with if it has just renewed this one. known is false
// if there was none. ErrKeyReused when the key was used for something else; ErrUnavailable when the store cannot tell.
func (a *Authority) Repetition(
	ctx context.Context, by exeunt.Actor, from exeunt.Token, key string, why exeunt.Reason,
) (out Ending, next exeunt.Token, known bool, err error) {
	if key == "" {
		return out, next, false, nil
	}
	if out, known, err = a.store.Outcome(ctx, by, others(by, key, why)); !known || err != nil {
		return out, next, false, err
	}
	if _, next, err = a.successor(ctx, from, key); errors.Is(err, exeunt.ErrNotFound) {
		err = nil
	}
	return out, next, true, err
}

// IssuedAt is when the answer's credential was handed out: at the sign-in, or at the last renewal.
func (a *Authority) IssuedAt(ctx context.Context, ans Answer) (time.Time, error) {
	renewed, err := a.store.LastRenewal(ctx, ans.Account, ans.Session)
	if err != nil || renewed.Before(ans.IssuedAt()) {
		return ans.IssuedAt(), err
	}
	return renewed, nil
}

// renewed answers for a token that the store does not know: it may be one that was replaced.
func (a *Authority) renewed(ctx context.Context, use exeunt.TokenUse, h exeunt.TokenHash) (live.State, error) {
	if use != exeunt.UseSession {
		return live.NoSuch, nil
	}
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	r, err := a.store.Renewed(ctx, h)
	switch {
	case errors.Is(err, exeunt.ErrNotFound):
		return live.NoSuch, nil
	case err != nil:
		return live.Indeterminate, err
	case a.now().Sub(r.At) < RenewalGrace:
		return live.Renewed, nil
	}
	return live.Ended, nil
}
