package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/exeunt/exeunt/internal/store"
)

// MasterFile is the name of the master key in a data folder.
const MasterFile = "master.key"

// ParseMaster reads a master key from its text: 32 bytes in base64.
func ParseMaster(text string) (m Master, err error) {
	b, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace([]byte(text))))
	if err != nil || len(b) != keyLen {
		return m, errors.New("invalid master key: use 32 bytes in base64, as `openssl rand -base64 32` prints them")
	}
	m.key = (*[keyLen]byte)(b)
	return m, nil
}

// HasMaster reports whether a data folder has a master key. It is true also if the
// folder cannot be read: LoadMaster then says why.
func HasMaster(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, MasterFile))
	return !errors.Is(err, fs.ErrNotExist)
}

// LoadMaster reads the master key of a data folder, and creates it on the first
// start. A key that others can read is refused: somebody may have read it already.
func LoadMaster(dir string) (Master, error) {
	path := filepath.Join(dir, MasterFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if b, err = makeMaster(path); err != nil {
			return Master{}, fmt.Errorf("make the master key: %w", err)
		}
	}
	if err != nil {
		return Master{}, fmt.Errorf("read the master key: %w", err)
	}
	if err := store.OnlyOwner(path); err != nil {
		return Master{}, err
	}
	m, err := ParseMaster(string(b))
	if err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// makeMaster creates the file atomically: a crash in between leaves only a temporary
// file, with a key that has sealed nothing yet.
func makeMaster(path string) ([]byte, error) {
	key := make([]byte, keyLen)
	rand.Read(key)
	text := []byte(base64.StdEncoding.EncodeToString(key) + "\n")
	f, err := os.CreateTemp(filepath.Dir(path), MasterFile+".*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = store.SyncFolder(filepath.Dir(path))
	}
	return text, err
}
