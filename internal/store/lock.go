package store

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// DatabaseFile is the name of the database in a data folder.
const DatabaseFile = "exeunt.db"

// InUseError says that another process has locked a data folder.
type InUseError struct{ folder string }

func (e InUseError) Error() string {
	return fmt.Sprintf("data folder %s is in use by another exeunt process; stop that one first, or choose another folder",
		e.folder)
}

// LockFolder locks a data folder for this process, until release. Two processes on one SQLite file would each answer
// from a memory that does not have the other's endings.
func LockFolder(dir string) (release func() error, err error) {
	if err := OnlyOwner(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", cmp.Or(diskProblem(path, err), err))
	}
	// The kernel releases the lock when the process ends, however it ends.
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = InUseError{dir}
	} else if err != nil {
		err = fmt.Errorf("lock the data folder %s: %w", dir, err)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f.Close, nil
}
