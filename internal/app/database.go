package app

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/exeunt/exeunt/internal/store"
)

// Migrate brings a database's schema up to date.
func Migrate(ctx context.Context, database string) error {
	if err := mustBelongToItsLog(database); err != nil {
		return err
	}
	return store.Migrate(ctx, database, slog.Default())
}

// Copied is the progress of Copy.
type Copied = store.Copied

// Copy copies everything from a file to an empty PostgreSQL database, while no node uses the file. Unless it is a
// trial, no node starts on the file afterwards.
func Copy(ctx context.Context, from, to string, trial bool, told func(Copied)) error {
	return whileUnused(from, func() error {
		return store.Copy(ctx, store.Copying{
			From: from, To: to, Trial: trial, Now: time.Now(), Log: slog.Default(), Told: told,
		})
	})
}

// TakeBack lets nodes start again on a file that was copied.
func TakeBack(ctx context.Context, from string) error {
	return whileUnused(from, func() error { return store.TakeBack(ctx, from) })
}

// whileUnused locks a file's folder during work, so that no node uses the file.
func whileUnused(file string, work func() error) error {
	path, ok := store.SQLitePath(file)
	if !ok {
		return errors.New("--from must be sqlite:PATH, the file in a node's data folder")
	}
	release, err := store.LockFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := mustBelongToItsLog(file); err != nil {
		return errors.Join(err, release())
	}
	return errors.Join(work(), release())
}

// mustBelongToItsLog refuses a file in a node's data folder that would be mixed with the log of a newer one.
func mustBelongToItsLog(database string) error {
	path, ok := store.SQLitePath(database)
	if !ok {
		return nil
	}
	m := logMark{path: filepath.Join(filepath.Dir(path), markFile), log: slog.Default()}
	return m.mustBelongToItsLog(database, Undecided)
}
