package password

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/bcrypt"
)

// imported is what a stored hash begins with that another program has made. It is compared as that program does, and
// replaced by one of our own when its owner signs in.
const imported = "imported:"

// What a hash of another program may cost at most. At the bounds, a comparison takes about a second.
const (
	maxImportedKiB = 256 * 1024  // of memory
	maxImportedSum = 1024 * 1024 // KiB, times the passes over it
	maxBcryptCost  = 13
	maxLanes       = 64
)

// ImportError says why a hash of another program is not taken over.
type ImportError struct {
	Kind   string // of hash, as "SHA-512 crypt"; "" when it is not known
	Costly bool   // the kind is supported, and this hash costs too much
	Broken bool   // the kind is supported, and this is no hash of it
	why    string
}

func (e *ImportError) Error() string { return e.why }

// Import returns the form in which the hash of another program is stored, or an ImportError. It takes argon2id and
// bcrypt.
func Import(hash string) (stored string, err error) {
	switch kind := kindOf(hash); kind {
	case "argon2id":
		err = affordable(hash)
	case "bcrypt":
		cost, bad := bcrypt.Cost([]byte(hash))
		switch {
		case bad != nil || !bcryptShape(hash):
			err = &ImportError{Kind: kind, Broken: true, why: "this is no complete bcrypt hash, which has 60 characters"}
		case cost > maxBcryptCost:
			err = &ImportError{Kind: kind, Costly: true,
				why: fmt.Sprintf("this bcrypt hash has the cost %d, and at most %d is taken over", cost, maxBcryptCost)}
		}
	case "":
		err = &ImportError{why: "what stands in place of the password is no hash of a known kind"}
	default:
		err = &ImportError{Kind: kind, why: "a password with a hash of the kind " + kind + " cannot be taken over"}
	}
	if err != nil {
		return "", err
	}
	return imported + hash, nil
}

// kindOf names the kind of a hash, as far as it is known.
func kindOf(hash string) string {
	for _, k := range []struct{ prefix, kind string }{
		{"$argon2id$", "argon2id"}, {"$argon2i$", "argon2i"}, {"$argon2d$", "argon2d"},
		{"$2a$", "bcrypt"}, {"$2b$", "bcrypt"}, {"$2y$", "bcrypt"}, {"$2x$", "the broken bcrypt of 2011"},
		{"$5$", "SHA-256 crypt"}, {"$6$", "SHA-512 crypt"}, {"$apr1$", "MD5 of Apache"}, {"$1$", "MD5 crypt"},
		{"{SHA}", "SHA-1"}, {"$pbkdf2", "PBKDF2"}, {"$scrypt$", "scrypt"}, {"$y$", "yescrypt"},
		{"$bcrypt-sha256$", "bcrypt over SHA-256"},
	} {
		if strings.HasPrefix(hash, k.prefix) {
			return k.kind
		}
	}
	if len(hash) == 13 && strings.IndexFunc(hash, notCrypt) < 0 {
		return "DES crypt"
	}
	return ""
}

func notCrypt(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '/')
}

// bcryptShape reports whether all 53 characters of salt and hash are there.
func bcryptShape(hash string) bool {
	return len(hash) == 60 && strings.IndexFunc(hash[7:], notCrypt) < 0
}

// affordable says why an argon2id hash is not taken over. Its parameters come from a file, and what computes them
// takes any, or panics.
func affordable(hash string) error {
	p, salt, key, err := argon2id.DecodeHash(hash)
	switch {
	case errors.Is(err, argon2id.ErrIncompatibleVersion):
		return &ImportError{Kind: "argon2id", Broken: true, why: "this argon2id hash is of another version than 19"}
	case err != nil, p.Iterations < 1, p.Parallelism < 1, p.Memory < 8*uint32(p.Parallelism), len(salt) < 8, len(key) < 16,
		len(salt) > 64, len(key) > 64:
		return &ImportError{Kind: "argon2id", Broken: true,
			why: "this is no complete argon2id hash like $argon2id$v=19$m=65536,t=3,p=4$SALT$KEY"}
	case p.Memory > maxImportedKiB, uint64(p.Memory)*uint64(p.Iterations) > maxImportedSum, p.Parallelism > maxLanes:
		return &ImportError{Kind: "argon2id", Costly: true, why: fmt.Sprintf("this argon2id hash needs %d MiB of memory, "+
			"%d times over, in %d lanes, for each sign-in, and at most %d MiB, %d MiB in all passes together, and %d lanes "+
			"are taken over", p.Memory/1024, p.Iterations, p.Parallelism, maxImportedKiB/1024, maxImportedSum/1024, maxLanes)}
	}
	return nil
}

const (
	// maxPad bounds for how long a refusal is held back, and padFor for how long after the last comparison with an
	// imported hash refusals are.
	maxPad = time.Second
	padFor = 24 * time.Hour
)

// pace is how long a comparison with an imported hash has taken lately. While there are any, a refusal by a hash of our
// own, or for somebody who does not exist, takes as long: otherwise the time would tell who is here and has not signed
// in since the import.
type pace struct {
	took time.Duration
	last time.Time
}

// noteImported notes how long a comparison has taken. A quarter more covers that the next may take longer.
func (h *Hasher) noteImported(started time.Time) {
	took := time.Since(started)
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.pace.last) > padFor {
		h.pace.took = 0
	}
	h.pace.took = max(h.pace.took, min(took+took/4, maxPad))
	h.pace.last = time.Now()
}

// holdBack waits until a refusal has taken as long as one by an imported hash. It holds no place meanwhile, and computes
// nothing.
func (h *Hasher) holdBack(ctx context.Context, started time.Time) {
	h.mu.Lock()
	took := h.pace.took
	if time.Since(h.pace.last) > padFor {
		took = 0
	}
	h.mu.Unlock()
	left := took - time.Since(started)
	if left <= 0 {
		return
	}
	wait := time.NewTimer(left)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

// checkImported compares a password with a hash of another program, which has hashed it as it was typed. Most keyboards
// type its normal form; if this one does not, that is compared too.
func checkImported(password, hash string) (ok bool, err error) {
	for _, typed := range []string{password, normal(password)} {
		if kindOf(hash) == "bcrypt" {
			// Of a longer password bcrypt sees the first 72 bytes, in every program.
			err = bcrypt.CompareHashAndPassword([]byte(hash), []byte(typed[:min(len(typed), 72)]))
			ok = err == nil
			if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
				err = nil
			}
		} else {
			ok, _, err = argon2id.CheckHash(typed, hash)
		}
		if ok || err != nil || normal(password) == password {
			return ok, err
		}
	}
	return false, nil
}
