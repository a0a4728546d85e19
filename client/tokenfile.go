package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TokenFile is a TokenStore: files of mode 0600 in a folder of mode 0700.
// A token whose sign-out the server has not confirmed lies in a file of its
// own until then, because the server wants it in order to end the session.
type TokenFile struct {
	// Dir is the app's own folder, made when it is not there.
	Dir string
}

const (
	tokenFileName = "token"
	owedPrefix    = "sign-out-"
)

func (f TokenFile) path(name string) string { return filepath.Join(f.Dir, name) }

// Load returns the token. What is damaged is removed: it can sign nobody in.
func (f TokenFile) Load() (Secret, error) {
	t, err := readToken(f.path(tokenFileName))
	if errors.Is(err, errDamaged) {
		if err := os.Remove(f.path(tokenFileName)); err != nil {
			return Secret{}, err
		}
		return Secret{}, ErrNoToken
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Secret{}, ErrNoToken
	}
	return t, err
}

// Save keeps a token. The file is whole or not there, also after a crash.
func (f TokenFile) Save(t Secret) error {
	if t.IsZero() {
		return errors.New("there is no token to keep")
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return err
	}
	if err := f.Retire(); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(f.Dir, ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(t.Reveal() + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), f.path(tokenFileName)); err != nil {
		return err
	}
	return syncDir(f.Dir)
}

// Retire renames the token's file, which is one step for whoever reads it.
func (f TokenFile) Retire() error {
	err := os.Rename(f.path(tokenFileName), f.path(owedPrefix+rand.Text()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(f.Dir)
}

// Settle offers each retired token to done.
func (f TokenFile) Settle(done func(Secret) error) error {
	entries, err := os.ReadDir(f.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), owedPrefix) {
			errs = append(errs, f.settleOne(e.Name(), done))
		}
	}
	return errors.Join(errs...)
}

func (f TokenFile) settleOne(name string, done func(Secret) error) error {
	t, err := readToken(f.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // another process of the app was quicker
	case errors.Is(err, errDamaged):
		// It names no session any more, so nothing can be owed for it.
	case err != nil:
		return err
	default:
		if err := done(t); err != nil {
			return err
		}
	}
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

var errDamaged = errors.New("not a token")

// LongestToken is more than any token's length in bytes.
const LongestToken = 256

func readToken(path string) (Secret, error) {
	file, err := os.Open(path)
	if err != nil {
		return Secret{}, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, LongestToken+1))
	if err != nil {
		return Secret{}, err
	}
	s := strings.TrimSpace(string(b))
	if s == "" || len(s) > LongestToken || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Secret{}, fmt.Errorf("%s: %w", path, errDamaged)
	}
	return NewSecret(s), nil
}

// syncDir makes a rename durable. Windows has no such thing and needs none.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}
