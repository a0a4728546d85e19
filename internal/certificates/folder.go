package certificates

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/acme/autocert"
)

// folder keeps the account's key and the certificates with their keys, a file each, which only the node's user may read.
// It does not keep the answers to the CA's challenges: they are needed for seconds, and strangers choose the names that
// are looked up among them.
type folder struct {
	path string

	mu     sync.Mutex
	closed bool
}

var errClosed = errors.New("the node is stopping")

func isAnswer(name string) bool {
	return strings.HasSuffix(name, "+token") || strings.HasSuffix(name, "+http-01")
}

// Get returns autocert.ErrCacheMiss if there is nothing.
func (f *folder) Get(_ context.Context, name string) ([]byte, error) {
	if isAnswer(name) || !filepath.IsLocal(name) {
		return nil, autocert.ErrCacheMiss
	}
	b, err := os.ReadFile(filepath.Join(f.path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, autocert.ErrCacheMiss
	}
	return b, err
}

// Put writes a file whole, or after a crash leaves what was there: half an account's key would keep every later start
// from asking the CA.
func (f *folder) Put(_ context.Context, name string, b []byte) (err error) {
	if isAnswer(name) {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errClosed
	}
	if err := os.MkdirAll(f.path, 0o700); err != nil {
		return err
	}
	t, err := os.CreateTemp(f.path, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = t.Write(b)
	if err = errors.Join(err, t.Sync(), t.Close()); err == nil {
		err = os.Rename(t.Name(), filepath.Join(f.path, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(t.Name()))
	}
	d, err := os.Open(f.path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Delete removes a file.
func (f *folder) Delete(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if isAnswer(name) || f.closed {
		return nil
	}
	if err := os.Remove(filepath.Join(f.path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *folder) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}
