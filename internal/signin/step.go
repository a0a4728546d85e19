package signin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/factor"
	"github.com/exeunt/exeunt/internal/store"
)

// Step is what comes next for somebody who proves who they are: they have proved it,
// or more is needed. If they are refused, there is an error instead.
type Step struct {
	proof    exeunt.Proof
	needs    exeunt.Methods // any of which is needed next; none when they have proved it
	deleting bool           // the account is about to be deleted: it can only be kept
}

// Done reports whether nothing more is needed.
func (s Step) Done() bool { return len(s.needs) == 0 }

// step is what comes after the password: accounts that have a factor need it, or a recovery code.
func (s *Service) step(ctx context.Context, p exeunt.Proof) (Step, error) {
	factors, codes, err := s.Store.Factors(ctx, p.Account)
	if err != nil {
		return Step{}, err
	}
	out := Step{proof: p}
	for _, f := range factors {
		if m := f.Method(); !slices.Contains(out.needs, m) {
			out.needs = append(out.needs, m)
		}
	}
	if len(out.needs) > 0 && codes.Left > 0 {
		out.needs = append(out.needs, exeunt.MethodRecovery)
	}
	return out, nil
}

// Proof returns a step's proof, for callers that cannot ask for more: if more is
// needed, they get a FieldError. Its arguments are the results of Password or Confirm.
func Proof(s Step, err error) (exeunt.Proof, error) {
	switch {
	case err != nil:
		return exeunt.Proof{}, err
	case s.Done() && s.deleting:
		return exeunt.Proof{}, exeunt.ErrDeleting
	case s.Done():
		return s.proof, nil
	case slices.Contains(s.needs, exeunt.MethodPassword):
		return exeunt.Proof{}, &exeunt.FieldError{Field: "current", Code: "needed", Err: errNeeded}
	}
	return exeunt.Proof{}, &exeunt.FieldError{Field: "code", Code: "needed", Err: errCodeNeeded}
}

var (
	errNeeded     = &exeunt.Error{Code: "needed", Message: "Type your current password as well. Nothing was changed."}
	errCodeNeeded = &exeunt.Error{Code: "needed",
		Message: "Type a code from your authenticator app as well. Nothing was changed."}
)

// Ask returns a step's proof, or, if more is needed, a FactorRequiredError with a challenge. form is what the caller
// wants to have again when the challenge is answered. With ErrDeleting there is the proof of an account that is about to
// be deleted, for AskToKeep and for nothing else. Its first arguments are the results of Password.
func (s *Service) Ask(ctx context.Context, form string, step Step, err error) (exeunt.Proof, error) {
	if err == nil && step.Done() && step.deleting {
		err = exeunt.ErrDeleting
	}
	if err != nil || step.Done() {
		return step.proof, err
	}
	t, expires := exeunt.NewToken(exeunt.UseChallenge), s.Now().Add(exeunt.ChallengeLife)
	err = s.Store.AddChallenge(ctx, store.Challenge{Hash: t.Hash(), Purpose: store.ChallengeSignIn, Proof: step.proof,
		Form: form, Expires: expires}, maxChallenges)
	if err != nil {
		return exeunt.Proof{}, err
	}
	return exeunt.Proof{}, &exeunt.FactorRequiredError{Challenge: t, Methods: step.needs, Expires: expires}
}

// maxChallenges is how many challenges an account has at a time.
const maxChallenges = 20

// Pending is a challenge that somebody may answer.
type Pending struct {
	Account exeunt.Account
	Methods exeunt.Methods // any of which will do
	Form    string         // what Ask was given
}

// Pending returns what a challenge asks for, also just after it was answered, or ErrChallengeOver.
func (s *Service) Pending(ctx context.Context, t exeunt.Token) (p Pending, err error) {
	c, err := s.challenge(ctx, t)
	if err != nil {
		return p, err
	}
	if p.Account, err = s.Store.Account(ctx, c.Proof.Account); err != nil {
		return p, err
	}
	step, err := s.step(ctx, c.Proof)
	p.Methods, p.Form = step.needs, c.Form
	return p, err
}

func (s *Service) challenge(ctx context.Context, t exeunt.Token) (store.Challenge, error) {
	if t.Use() != exeunt.UseChallenge {
		return store.Challenge{}, exeunt.ErrChallengeOver
	}
	c, err := s.Store.Challenge(ctx, t.Hash(), s.Now())
	if err == nil && (c.Purpose != store.ChallengeSignIn || c.Failures >= exeunt.MaxWrongAnswers) {
		err = exeunt.ErrChallengeOver
	}
	return c, err
}

// Forget drops a challenge: whoever began to sign in starts again.
func (s *Service) Forget(ctx context.Context, t exeunt.Token) error {
	if t.Use() != exeunt.UseChallenge {
		return nil
	}
	return s.Store.DropChallenge(ctx, t.Hash())
}

// Answered is what an answer to a challenge leads to.
type Answered struct {
	Proof exeunt.Proof
	Form  string // what Ask was given
}

// Reply is what a challenge is answered with: one of the two.
type Reply struct {
	Code    string // of an authenticator app, or a recovery code
	Passkey string // what a passkey has answered to AskAgain
}

// String leaves the secrets out.
func (Reply) String() string { return "signin.Reply(…)" }

// GoString is String, for %#v.
func (r Reply) GoString() string { return r.String() }

func (r Reply) answer() string { return cmp.Or(r.Passkey, factor.Digits(r.Code)) }

// Answer answers a challenge with a code of an authenticator app, a recovery code, or a passkey. The same answer to the
// same challenge proves the same again, for the session that it has started. Outcomes: nil; ErrChallengeOver; a
// FieldError for "code": "wrong", "clock" when the phone's clock is off, or "used"; one for "passkey" as of Passkey; a
// ThrottledError; ErrBusy; ErrUnavailable, ErrNotConfirmed.
func (s *Service) Answer(ctx context.Context, t exeunt.Token, r Reply, by exeunt.Actor) (out Answered, err error) {
	c, err := s.challenge(ctx, t)
	if err != nil {
		return out, err
	}
	out.Form = c.Form
	if c.Answer != nil {
		return out, s.admits(ctx, &out, s.again(c, r.answer(), &out))
	}
	by.Account = c.Proof.Account
	defer func() {
		if r.Passkey == "" { // which traces itself
			s.trace(c.Proof.Account, by, err)
		}
	}()
	var step Step
	if err = s.Store.FailChallenge(ctx, c.Hash, exeunt.MaxWrongAnswers, s.Now()); err == nil {
		if r.Passkey != "" {
			use := store.Use{Challenge: c, Answer: answerOf(c, r.answer()), By: by}
			step.proof, err = s.passkey(ctx, use, challengeOf(t, secondStep), r.Passkey)
		} else {
			step, err = s.code(ctx, c, r.Code, by)
		}
	}
	if err != nil {
		// The same answer may have been first.
		if now, lost := s.Store.Challenge(ctx, c.Hash, s.Now()); lost == nil && now.Answer != nil && sameAnswer(now, r.answer()) {
			return out, s.admits(ctx, &out, s.again(now, r.answer(), &out))
		}
	}
	out.Proof = step.proof
	return out, s.admits(ctx, &out, err)
}

// admits is ErrDeleting for the proof of an account that is about to be deleted, as Ask says.
func (s *Service) admits(ctx context.Context, out *Answered, err error) error {
	if err != nil {
		return err
	}
	a, err := s.Store.Account(ctx, out.Proof.Account)
	if err == nil && a.Status == exeunt.AccountDeleting {
		err = exeunt.ErrDeleting
	}
	return err
}

// again proves once more what the same answer has proved.
func (s *Service) again(c store.Challenge, answer string, out *Answered) error {
	if !sameAnswer(c, answer) {
		return exeunt.ErrChallengeOver
	}
	out.Proof = c.Proof
	out.Proof.Repeated = true
	return nil
}

// Fresh returns the proof of somebody's session that is young enough to count again for a change that a stranger must
// not make, and proves all that a sign-in asks for today. ok is false when they must prove it anew.
func (s *Service) Fresh(ctx context.Context, v exeunt.Session, young time.Duration) (p exeunt.Proof, ok bool, err error) {
	if s.Now().Sub(v.Proved) >= young {
		return p, false, nil
	}
	a, err := s.Store.Account(ctx, v.Account)
	if err != nil {
		return p, false, err
	}
	p = exeunt.Proof{Account: v.Account, Methods: v.Methods, At: v.Proved, Generation: a.Generation,
		CredentialVersion: a.CredentialVersion}
	step, err := s.step(ctx, p)
	return p, err == nil && (step.Done() || v.Methods.Several()), err
}

// Needs returns what somebody must prove anew besides the password: none of these, or any.
func (s *Service) Needs(ctx context.Context, id exeunt.AccountID) (exeunt.Methods, error) {
	step, err := s.step(ctx, exeunt.Proof{Account: id})
	return step.needs, err
}

// Factors returns the factors of an account, oldest first, and how many recovery codes it has.
func (s *Service) Factors(ctx context.Context, id exeunt.AccountID) ([]exeunt.Factor, exeunt.RecoveryCodes, error) {
	return s.Store.Factors(ctx, id)
}
