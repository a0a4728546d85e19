package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// OnlyOwner refuses a file or folder to which other users of the machine have access: they may have read or changed
// it already. One that is not there is none.
func OnlyOwner(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	mode := "600"
	if info.IsDir() {
		mode = "700"
	}
	return fmt.Errorf("others have access to %s (mode %v): run chmod %s on it", path, info.Mode().Perm(), mode)
}

// SyncFolder makes durable which files a folder has.
func SyncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// diskProblem says what is wrong with a file's disk, and what to do; nil if the error is not about that.
func diskProblem(path string, err error) error {
	folder := filepath.Dir(path)
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("no space left on the disk of %s: free some (%w)", folder, err)
	case errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk quota of this user is used up in %s: free some space, or raise it (%w)", folder, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the disk of %s is read-only: find out why (perhaps it has failed; see the kernel's log), "+
			"and mount it for writing (%w)", folder, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not write in %s: give it to the user who runs the node (%w)", path, err)
	}
	return nil
}

// tryDisk writes a little into a folder, to learn why it cannot be written. It returns nil when it can.
func tryDisk(folder string) error {
	f, err := os.CreateTemp(folder, ".try-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 64<<10))
	return errors.Join(err, f.Sync(), f.Close())
}
