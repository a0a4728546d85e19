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

// TokenFile is a TokenStore: files of mode 0600 in a folder of mode 0700. A
// retired token is in a file of its own until the server has confirmed the
// sign-out, because the server needs it to end the session.
type TokenFile struct {
	// Dir is the app's own folder. Save creates it.
	Dir string
}

const (
	tokenFileName = "token"
	retiredPrefix = "sign-out-"
)

func (f TokenFile) path(name string) string { return filepath.Join(f.Dir, name) }

// Load returns the token. It removes a damaged file.
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

// Save stores a token. After a crash the file is complete or missing.
func (f TokenFile) Save(t Secret) error {
	if t.IsZero() {
		return errors.New("the token is empty: save the one that a sign-in returned")
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return err
	}
	if err := f.Retire(); err != nil {
		return err
	}
	return f.Replace(t)
}

// Replace writes the new token to a file of its own and renames it over the old one: a
// crash leaves either.
func (f TokenFile) Replace(t Secret) error {
	if t.IsZero() {
		return errors.New("the token is empty: store the one that the server returned")
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

// Retire renames the token's file, which is one step for other readers.
func (f TokenFile) Retire() error {
	err := os.Rename(f.path(tokenFileName), f.path(retiredPrefix+rand.Text()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(f.Dir)
}

// Finish calls end with each retired token.
func (f TokenFile) Finish(end func(Secret) error) error {
	entries, err := os.ReadDir(f.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), retiredPrefix) {
			errs = append(errs, f.finishOne(e.Name(), end))
		}
	}
	return errors.Join(errs...)
}

func (f TokenFile) finishOne(name string, end func(Secret) error) error {
	t, err := readToken(f.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // another process of the app was faster
	case errors.Is(err, errDamaged):
		// It names no session any more, so there is nothing to end.
	case err != nil:
		return err
	default:
		if err := end(t); err != nil {
			return err
		}
	}
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

var errDamaged = errors.New("not a token")

// LongestToken bounds the length of a token in bytes.
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

// syncDir makes a rename durable. Windows supports no such call and needs none.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	for _, unsupported := range []error{errors.ErrUnsupported, fs.ErrInvalid, fs.ErrPermission} {
		if errors.Is(err, unsupported) {
			return nil
		}
	}
	return err
}
