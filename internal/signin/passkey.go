package signin

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/passkey"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// perPasskeys limits answers that are refused, by address: each costs a look-up and a signature. Nobody guesses a
// passkey, so accounts have no rate, and whoever guesses at passwords uses up nothing of this.
var perPasskeys = throttle.Twice{
	Near: throttle.Rate{Burst: 50, Every: 5 * time.Second},
	Wide: throttle.Rate{Burst: 500, Every: 500 * time.Millisecond},
}

// Asked is what a browser keeps of a question to a passkey. It is stored nowhere until it is answered, so asking costs
// nothing however often it is done; then it is spent (WebAuthn Level 3, section 13.4.3).
type Asked struct {
	Token   exeunt.Token
	Expires time.Time
	// Form is the key of the form that the answer came with: the same answer in another form is a replay.
	Form string
}

// identity is what the same answer in the same form is recognised by.
func (a Asked) identity(answer string) string { return a.Form + "\x00" + answer }

// What a passkey is asked for. What it has answered for one is of no use for another.
const (
	signInWith = "sign in"
	secondStep = "second step"
	confirmFor = "confirm "
)

// challengeOf is what the passkey signs. It follows from a token that only the browser has, so nothing that is stored
// tells it, and whoever sees it does not learn the token.
func challengeOf(t exeunt.Token, what string) []byte {
	sum := sha256.Sum256([]byte("passkey " + what + "\x00" + t.Reveal()))
	return sum[:]
}

// HasPasskeys reports whether the site can have passkeys.
func (s *Service) HasPasskeys() bool { return s.Passkeys != nil }

// PasskeyDomain is the name that the site's passkeys belong to.
func (s *Service) PasskeyDomain() string { return s.Passkeys.Domain() }

// NewAsked returns the question that the browser has, unless that is old or answered: then another one.
func (s *Service) NewAsked(ctx context.Context, has Asked) (Asked, error) {
	now := s.Now()
	if has.Token.Use() == exeunt.UseChallenge && now.Before(has.Expires.Add(-exeunt.ChallengeLife/2)) {
		_, err := s.Store.Challenge(ctx, has.Token.Hash(), now)
		if err == nil {
			has = Asked{} // answered
		} else if errors.Is(err, exeunt.ErrChallengeOver) {
			return has, nil
		} else {
			return has, err
		}
	}
	return Asked{Token: exeunt.NewToken(exeunt.UseChallenge), Expires: now.Add(exeunt.ChallengeLife)}, nil
}

// AskSignIn is what a browser is asked to sign somebody in: for any passkey of this site, so that nobody has to say
// first who they are.
func (s *Service) AskSignIn(a Asked) ([]byte, error) {
	return s.Passkeys.Ask(challengeOf(a.Token, signInWith), nil)
}

// AskSecond is what a browser is asked as the second step of the sign-in to an account.
func (s *Service) AskSecond(ctx context.Context, t exeunt.Token, account exeunt.AccountID) ([]byte, error) {
	return s.askOne(ctx, challengeOf(t, secondStep), account)
}

// AskConfirm is what the browser of somebody who is signed in is asked.
func (s *Service) AskConfirm(ctx context.Context, a Asked, by exeunt.Actor) ([]byte, error) {
	return s.askOne(ctx, challengeOf(a.Token, confirmFor+by.Session.String()), by.Account)
}

func (s *Service) askOne(ctx context.Context, challenge []byte, account exeunt.AccountID) ([]byte, error) {
	list, _, err := s.Store.Factors(ctx, account)
	if err != nil {
		return nil, err
	}
	var known []passkey.Known
	for _, f := range list {
		if f.Kind != exeunt.FactorPasskey {
			continue
		}
		data, err := s.Store.FactorData(ctx, f)
		if err != nil {
			return nil, err
		}
		key, err := passkey.ReadKey(data)
		if err != nil {
			return nil, err
		}
		known = append(known, passkey.Known{Credential: f.Credential, Transports: key.Transports})
	}
	return s.Passkeys.Ask(challenge, known)
}

// AnsweredBy is whose passkey an answer says that it is of. Nothing of it is verified.
func AnsweredBy(answer string) (id exeunt.AccountID, credential []byte) {
	read, err := passkey.ReadAnswer(answer)
	if err != nil {
		return id, nil
	}
	id, _ = read.Account()
	return id, read.Credential()
}

// Passkey proves who somebody is by a passkey alone, which is several factors in one. The same answer proves the same
// again, for the session that it has started. Outcomes: nil; ErrChallengeOver; a FieldError for "passkey": "unknown",
// "refused", or "cloned" when the authenticator has counted backwards; ErrDisabled; ErrDeleting, with
// the proof, as of Ask; a ThrottledError; ErrUnavailable, ErrNotConfirmed.
func (s *Service) Passkey(ctx context.Context, a Asked, answer string, by exeunt.Actor) (proof exeunt.Proof, err error) {
	c, before, err := s.asked(ctx, a, answer)
	if err != nil {
		return before, err
	}
	if before.Repeated {
		return before, s.admits(ctx, &Answered{Proof: before}, nil)
	}
	refused := s.throttle.From(by.Address)
	if wait := refused.TakeTwice("passkeys", perPasskeys); wait > 0 {
		refused.GiveBack()
		return proof, &exeunt.ThrottledError{RetryAfter: wait}
	}
	use := store.Use{Challenge: c, Answer: answerOf(c, a.identity(answer)), By: by}
	proof, err = s.passkey(ctx, use, challengeOf(a.Token, signInWith), answer)
	if _, again, lost := s.asked(ctx, a, answer); err != nil && lost == nil && again.Repeated {
		proof, err = again, nil // the same answer was first
	}
	if err == nil {
		refused.GiveBack()
	}
	return proof, s.admits(ctx, &Answered{Proof: proof}, err)
}

// confirmByPasskey proves anew who somebody is who is signed in.
func (s *Service) confirmByPasskey(
	ctx context.Context, by exeunt.Actor, a Asked, answer string,
) (proof exeunt.Proof, err error) {
	c, _, err := s.asked(ctx, a, "")
	if err != nil {
		return proof, err
	}
	c.Proof.Account = by.Account
	use := store.Use{Challenge: c, Answer: answerOf(c, a.identity(answer)), By: by}
	return s.passkey(ctx, use, challengeOf(a.Token, confirmFor+by.Session.String()), answer)
}

// ConfirmedBy reports whether the browser's question was answered with just this: the same form was sent before.
func (s *Service) ConfirmedBy(ctx context.Context, a Asked, answer string, by exeunt.Actor) bool {
	_, before, err := s.asked(ctx, a, answer)
	return err == nil && before.Repeated && before.Account == by.Account
}

// asked returns the browser's question as a challenge that is open, or what the same answer to it has proved before;
// ErrChallengeOver when it is over.
func (s *Service) asked(ctx context.Context, a Asked, answer string) (c store.Challenge, before exeunt.Proof, err error) {
	if s.Passkeys == nil || a.Token.Use() != exeunt.UseChallenge || !s.Now().Before(a.Expires) {
		return c, before, exeunt.ErrChallengeOver
	}
	c, err = s.Store.Challenge(ctx, a.Token.Hash(), s.Now())
	switch {
	case errors.Is(err, exeunt.ErrChallengeOver):
		return store.Challenge{Hash: a.Token.Hash(), Purpose: store.ChallengePasskey, Expires: a.Expires}, before, nil
	case err != nil:
		return c, before, err
	}
	var out Answered
	err = s.again(c, a.identity(answer), &out)
	return c, out.Proof, err
}

// passkey checks an answer, and records that the passkey was used. The challenge has what was proved before, and whose
// passkey it must be, unless that is for the passkey to tell.
func (s *Service) passkey(
	ctx context.Context, use store.Use, challenge []byte, answer string,
) (proof exeunt.Proof, err error) {
	used, err := s.checkPasskey(ctx, use.Challenge.Proof.Account, challenge, answer)
	use.By.Account = used.factor.Account
	defer func() { s.trace(use.By.Account, use.By, err) }()
	if err != nil {
		return proof, err
	}
	if use.Challenge.Purpose == store.ChallengePasskey {
		use.Challenge.Proof = exeunt.Proof{Account: used.account.ID, Generation: used.account.Generation,
			CredentialVersion: used.account.CredentialVersion}
	}
	data, err := used.key.Data()
	if err != nil {
		return proof, err
	}
	success, err := s.allowSuccess(used.account.ID, use.By.Address)
	if err != nil {
		return proof, err
	}
	use.Challenge.Proof = s.with(use.Challenge.Proof, exeunt.MethodPasskey)
	err = s.Store.UseFactor(ctx, used.factor, int64(used.key.Count), data, use, s.Now())
	switch {
	case err == nil:
		return use.Challenge.Proof, nil
	case errors.Is(err, exeunt.ErrCodeUsed): // it was removed, or has answered somebody else, in this moment
		err = s.refusedPasskey(errRefusedPasskey, err)
	}
	success.GiveBack()
	return proof, err
}

// usedPasskey is a passkey that has answered rightly, whose it is, and what is stored of it next.
type usedPasskey struct {
	factor  exeunt.Factor
	account exeunt.Account
	key     passkey.Key
}

// checkPasskey verifies an answer. must is whose passkey it has to be; zero for a passkey that tells that itself.
func (s *Service) checkPasskey(
	ctx context.Context, must exeunt.AccountID, challenge []byte, answer string,
) (u usedPasskey, err error) {
	if s.Passkeys == nil {
		return u, exeunt.ErrChallengeOver
	}
	read, err := passkey.ReadAnswer(answer)
	if err != nil {
		return u, s.refusedPasskey(errRefusedPasskey, err)
	}
	found, data, err := s.Store.Passkey(ctx, read.Credential())
	if errors.Is(err, exeunt.ErrNotFound) {
		return u, s.refusedPasskey(errUnknownPasskey, err)
	} else if err != nil {
		return u, err
	}
	// WebAuthn Level 3, section 7.2 step 6.
	if says, ok := read.Account(); must.IsZero() && (!ok || says != found.Account) {
		return u, s.refusedPasskey(errRefusedPasskey, errors.New("the answer is of another account than its passkey"))
	} else if !must.IsZero() && must != found.Account {
		return u, s.refusedPasskey(errOthersPasskey, errors.New("the passkey is of another account"))
	}
	u.factor = found
	// The account is read before the answer is checked, as with a password.
	if u.account, err = s.Store.Account(ctx, found.Account); err != nil {
		return u, err
	}
	before, err := passkey.ReadKey(data)
	if err != nil {
		return u, err
	}
	cloned := false
	u.key, cloned, err = s.Passkeys.Verify(read, challenge, found.Account, before)
	switch {
	case err != nil:
		err = s.refusedPasskey(errRefusedPasskey, err)
	case cloned:
		err = s.refusedPasskey(errClonedPasskey, errors.New("the authenticator has counted backwards"))
	case u.account.Status != exeunt.AccountActive && u.account.Status != exeunt.AccountDeleting:
		err = exeunt.ErrDisabled
	}
	return u, err
}

// refusedPasskey is what somebody reads whose passkey is not taken. why is for operators.
func (s *Service) refusedPasskey(what *exeunt.Error, why error) error {
	s.Log.Debug("a passkey is refused", "reason", what.Code, "err", why)
	return &exeunt.FieldError{Field: "passkey", Code: what.Code, Err: what}
}

// What is wrong with an answer.
var (
	errUnknownPasskey = &exeunt.Error{Code: "unknown_passkey",
		Message: "This passkey is not registered here, or not any more. Sign in another way."}
	errRefusedPasskey = &exeunt.Error{Code: "refused_passkey",
		Message: "This site could not verify what the passkey has answered, so nothing was done. Try again, or use another way."}
	errOthersPasskey = &exeunt.Error{Code: "others_passkey",
		Message: "That passkey is of another account, so nothing was done. Use one of this account."}
	errClonedPasskey = &exeunt.Error{Code: "cloned_passkey",
		Message: "This passkey has counted backwards, as a copy of it would. It was not taken: use another way, and then remove it."}
)
