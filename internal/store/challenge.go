package store

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
)

// Challenge is what is remembered of somebody between two steps of proving who they are.
type Challenge struct {
	Hash    exeunt.TokenHash // of its token, which only the browser or app holds
	Purpose ChallengePurpose
	// Proof is what has been proved so far. Its account is zero while nobody has said who they are.
	Proof    exeunt.Proof
	Failures int
	Data     []byte // what the answer is checked against, if that is not stored elsewhere
	Form     string // what goes on when it is answered; for the surface that asks
	Answer   []byte // what it was answered with; nil while it is open
	Expires  time.Time
}

// ChallengePurpose is what a challenge leads to.
type ChallengePurpose string

const (
	// ChallengeSignIn: to a session, once a factor is proved.
	ChallengeSignIn ChallengePurpose = "sign_in"
	// ChallengeKeep: to keeping an account that is about to be deleted. All is proved.
	ChallengeKeep ChallengePurpose = "keep"
	// ChallengePasskey: to what a passkey was asked for. The browser brings it, sealed, with the answer; so it is stored only
	// when it is answered, and until it expires, so that it is answered once.
	ChallengePasskey ChallengePurpose = "passkey"
)

const challengeColumns = `hash, account_id, purpose, methods, proved_at, generation, credential_version, failures, data,
	form, answer, expires`

func scanChallenge(row rowScanner) (c Challenge, err error) {
	var hash []byte
	var methods string
	var proved, expires int64
	err = row.Scan(&hash, &c.Proof.Account, &c.Purpose, &methods, &proved, &c.Proof.Generation,
		&c.Proof.CredentialVersion, &c.Failures, &c.Data, &c.Form, &c.Answer, &expires)
	copy(c.Hash[:], hash)
	c.Proof.Methods, c.Proof.At, c.Expires = exeunt.ParseMethods(methods), at(proved), at(expires)
	return c, err
}

// AddChallenge stores a challenge. Of an account's, at most most stay: those that expire first go.
func (s *Store) AddChallenge(ctx context.Context, c Challenge, most int) error {
	return s.commit(ctx, func(t *tx) error {
		if !c.Proof.Account.IsZero() {
			if _, err := t.exec(`DELETE FROM challenges WHERE hash IN (SELECT hash FROM challenges WHERE account_id = $1
				AND purpose <> 'passkey' ORDER BY expires DESC LIMIT 1000 OFFSET $2)`, c.Proof.Account.Bytes(), most-1); err != nil {
				return err
			}
		}
		data := c.Data
		if data == nil {
			data = []byte{}
		}
		_, err := t.exec(`INSERT INTO challenges (`+challengeColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, $11)`, c.Hash[:], c.Proof.Account.Bytes(), c.Purpose,
			c.Proof.Methods.String(), ms(c.Proof.At), c.Proof.Generation, c.Proof.CredentialVersion, c.Failures, data,
			c.Form, ms(c.Expires))
		return err
	})
}

// Challenge returns a challenge that has not expired, also an answered one, or ErrChallengeOver.
func (s *Store) Challenge(ctx context.Context, hash exeunt.TokenHash, now time.Time) (Challenge, error) {
	c, err := scanChallenge(s.read.QueryRowContext(ctx, `SELECT `+challengeColumns+` FROM challenges
		WHERE hash = $1 AND expires > $2`, hash[:], ms(now)))
	ok, err := found(err)
	if err == nil && !ok {
		return c, exeunt.ErrChallengeOver
	}
	return c, unavailable("challenge", err)
}

// FailChallenge counts a wrong answer, in advance: of many at the same moment only most are looked at. It returns
// ErrChallengeOver when there were most already.
func (s *Store) FailChallenge(ctx context.Context, hash exeunt.TokenHash, most int, now time.Time) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		n, err := t.exec(`UPDATE challenges SET failures = failures + 1 WHERE hash = $1 AND expires > $2
			AND failures < $3 AND answer IS NULL`, hash[:], ms(now), most)
		if err == nil && n == 0 {
			refused = exeunt.ErrChallengeOver
		}
		return refused, err
	})
}

// DropChallenge forgets a challenge: whoever began to sign in starts again.
func (s *Store) DropChallenge(ctx context.Context, hash exeunt.TokenHash) error {
	return s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM challenges WHERE hash = $1`, hash[:])
		return err
	})
}

// answerChallenge closes an open challenge with its answer. It returns false when it is not open any more.
func (t *tx) answerChallenge(c Challenge, answer []byte, now time.Time) (bool, error) {
	if c.Hash == (exeunt.TokenHash{}) {
		return true, nil // there was none: somebody who is signed in confirms who they are
	}
	if c.Purpose == ChallengePasskey {
		return t.addAnswered(c, answer, now)
	}
	n, err := t.exec(`UPDATE challenges SET answer = $1, proved_at = $2, methods = $3, account_id = $4, generation = $5,
		credential_version = $6, failures = 0 WHERE hash = $7 AND answer IS NULL AND expires > $2`, answer, ms(now),
		c.Proof.Methods.String(), c.Proof.Account.Bytes(), c.Proof.Generation, c.Proof.CredentialVersion, c.Hash[:])
	return n == 1, err
}

// addAnswered stores a challenge with its answer. It returns false when it was answered before.
func (t *tx) addAnswered(c Challenge, answer []byte, now time.Time) (bool, error) {
	n, err := t.exec(`INSERT INTO challenges (`+challengeColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, '', $9, $10) ON CONFLICT (hash) DO NOTHING`, c.Hash[:],
		c.Proof.Account.Bytes(), c.Purpose, c.Proof.Methods.String(), ms(now), c.Proof.Generation,
		c.Proof.CredentialVersion, []byte{}, answer, ms(c.Expires))
	return n == 1, err
}
