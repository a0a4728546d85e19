package signin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/factor"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Codes have six digits, so somebody who has the password must not try many. Each challenge has MaxWrongAnswers, and
// each account these permits; a network that the account is used from has some of its own, so that whoever has the
// password cannot keep its owner out.
var (
	perFactor        = throttle.Rate{Burst: 10, Every: 5 * time.Minute}
	perFactorRegular = throttle.Rate{Burst: 5, Every: 10 * time.Minute}
)

// code checks a code of an authenticator app or a recovery code, and records that it was used. The challenge has what
// was proved before.
func (s *Service) code(ctx context.Context, c store.Challenge, code string, by exeunt.Actor) (Step, error) {
	giveBack, err := s.allowCode(c.Proof.Account, by)
	if err != nil {
		return Step{}, err
	}
	step, err := s.match(ctx, c, code, by)
	var wrong *exeunt.FieldError
	if !errors.As(err, &wrong) {
		giveBack()
	}
	return step, err
}

// allowCode counts a guess at a code in advance.
func (s *Service) allowCode(id exeunt.AccountID, by exeunt.Actor) (giveBack func(), err error) {
	p := s.throttle.From(by.Address)
	wait := p.Take("factor "+id.String(), perFactor)
	if wait == 0 {
		return p.GiveBack, nil
	}
	p.GiveBack()
	a, err := s.Store.Account(context.Background(), id)
	if err == nil && s.regulars.contains(regular{canonical(a.Handle), p.Wide()}) {
		if own := p.Take("factor "+id.String()+" "+p.Wide().String(), perFactorRegular); own == 0 {
			return p.GiveBack, nil
		}
		p.GiveBack()
	}
	return nil, &exeunt.ThrottledError{RetryAfter: wait}
}

func (s *Service) match(ctx context.Context, c store.Challenge, code string, by exeunt.Actor) (Step, error) {
	use := store.Use{Challenge: c, Answer: answerOf(c, factor.Digits(code)), By: by}
	if recovery, ok := factor.ParseRecoveryCode(code); ok {
		return s.recovery(ctx, use, recovery)
	}
	factors, _, err := s.Store.Factors(ctx, c.Proof.Account)
	if err != nil {
		return Step{}, err
	}
	var drift time.Duration
	var lost error
	for _, f := range factors {
		if f.Kind != exeunt.FactorTOTP {
			continue
		}
		data, err := s.Store.FactorData(ctx, f)
		if err != nil {
			return Step{}, err
		}
		secret, err := s.Master.Open(factor.Purpose(f.ID), data)
		if err != nil {
			lost = err
			continue
		}
		step, off, ok := factor.Match(secret, code, s.Now())
		if off != 0 {
			drift = off
		}
		if ok {
			use.Challenge.Proof = s.with(c.Proof, exeunt.MethodTOTP)
			err := s.Store.UseFactor(ctx, f, step, nil, use, s.Now())
			return Step{proof: use.Challenge.Proof}, usedCode(err)
		}
	}
	switch {
	case drift != 0:
		return Step{}, wrongCode(errClock)
	case lost != nil:
		s.Log.Warn("the secret of an authenticator app cannot be read: another master key has sealed it", "account",
			c.Proof.Account, "err", lost)
		return Step{}, wrongCode(errKeyLost)
	}
	return Step{}, wrongCode(errWrongCode)
}

func (s *Service) recovery(ctx context.Context, use store.Use, code factor.RecoveryCode) (Step, error) {
	hash, err := s.Store.RecoveryHash(ctx, use.Challenge.Proof.Account, code.Number)
	if err != nil {
		return Step{}, err
	}
	ok, _, err := s.Hasher.Check(ctx, code.Secret(), hash)
	switch {
	case err != nil:
		return Step{}, err
	case !ok:
		return Step{}, wrongCode(errWrongCode)
	}
	use.Challenge.Proof = s.with(use.Challenge.Proof, exeunt.MethodRecovery)
	err = s.Store.UseRecoveryCode(ctx, use.Challenge.Proof.Account, code.Number, hash, use, s.Now())
	return Step{proof: use.Challenge.Proof}, usedCode(err)
}

// with is a proof by one more method.
func (s *Service) with(p exeunt.Proof, m exeunt.Method) exeunt.Proof {
	p.Methods, p.At = append(slices.Clone(p.Methods), m), s.Now()
	return p
}

func wrongCode(why *exeunt.Error) error {
	return &exeunt.FieldError{Field: "code", Code: why.Code, Err: why}
}

// usedCode says in the field that a code was used.
func usedCode(err error) error {
	if errors.Is(err, exeunt.ErrCodeUsed) {
		return wrongCode(exeunt.ErrCodeUsed)
	}
	return err
}

var (
	errWrongCode = &exeunt.Error{Code: "wrong_code",
		Message: "That code is not right. Type the one that your app shows now, or a recovery code."}
	errClock = &exeunt.Error{Code: "clock",
		Message: "That code is of another time: the clock of your phone is wrong. Set it to automatic and type the next " +
			"code, or use a recovery code."}
)

var errKeyLost = &exeunt.Error{Code: "key_lost",
	Message: "This site cannot check codes of your app any more. Use a recovery code, or ask whoever runs this site."}

// answerOf identifies an answer to a challenge, so that the same can be recognised. It tells nobody the answer, which is
// of no use any more in any case.
func answerOf(c store.Challenge, answer string) []byte {
	sum := sha256.Sum256(append(c.Hash[:], answer...))
	return sum[:]
}

func sameAnswer(c store.Challenge, answer string) bool {
	return subtle.ConstantTimeCompare(c.Answer, answerOf(c, answer)) == 1
}
