package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/store"
)

// Backup is what a backup holds.
type Backup = store.Backup

// BackUp makes a backup of a database, whose nodes may go on meanwhile.
func BackUp(ctx context.Context, database, to string, told func(Copied)) (b Backup, err error) {
	work := func() error {
		b, err = store.BackUp(ctx, store.BackingUp{From: database, To: to, Log: slog.Default(), Told: told})
		return err
	}
	path, ok := store.SQLitePath(database)
	if !ok {
		return b, work()
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("there is no file %s", path)
	}
	// While no node has it open, nobody has checked that the file belongs to the log beside it.
	release, locked := store.LockFolder(filepath.Dir(path))
	if locked != nil {
		var inUse store.InUseError
		if !errors.As(locked, &inUse) {
			return b, locked
		}
		return b, work()
	}
	if err := mustBelongToItsLog(database); err != nil {
		return b, errors.Join(err, release())
	}
	return b, errors.Join(work(), release())
}

// Restoring says which backup to restore, and where.
type Restoring struct {
	File string
	// Data is the data folder of a node that is stopped. With a server it may be "": then the first node to start
	// remembers nothing of it.
	Data     string
	Database string // of an empty server; "" for a file in Data
	// Replace moves a database file that is there aside.
	Replace bool
	// MasterKey is in base64; "" is the file in Data, which may not be there yet.
	MasterKey string
	Now       time.Time
	By        exeunt.Actor
	Told      func(Copied)
}

// Restored is what a restore did.
type Restored struct {
	Backup
	// Ended is how many accounts had sessions, which have been ended.
	Ended int64
	// Aside is where the database that was there lies now; "" if there was none.
	Aside     string
	MasterKey FoundKey
}

// FoundKey says whether there is a master key, and whether it is the one that belongs to a backup.
type FoundKey string

const (
	KeyMissing FoundKey = "missing"
	KeyWrong   FoundKey = "wrong" // it does not open what is sealed in the backup
	KeyFits    FoundKey = "fits"
)

// restoring is what a restored file is called until it takes its place.
const restoring = store.DatabaseFile + ".restoring"

// Restore puts a backup in the place of a database. Every session in it is ended first, so that none comes back that
// was ended after the backup. Until the last step nothing but a file beside the database is changed.
func Restore(ctx context.Context, r Restoring) (done Restored, err error) {
	if done.Backup, err = store.VerifyBackup(ctx, r.File); err != nil {
		return done, err
	}
	folder := r.Data
	if folder == "" {
		if folder, err = os.MkdirTemp("", "exeunt-restore-*"); err != nil {
			return done, err
		}
		defer os.RemoveAll(folder)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return done, fmt.Errorf("data folder: %w", err)
	}
	release, err := store.LockFolder(folder)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, release()) }()
	file := filepath.Join(folder, store.DatabaseFile)
	if info, err := os.Stat(file); r.Database == "" && err == nil && info.Size() > 0 && !r.Replace {
		return done, fmt.Errorf("%s has a database already. Nothing was changed. --replace moves it aside", folder)
	}
	stage := filepath.Join(folder, restoring)
	defer func() {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			err = errors.Join(err, remove(stage+suffix))
		}
	}()
	for _, suffix := range []string{"", "-wal", "-shm"} { // of one that was interrupted
		if err := remove(stage + suffix); err != nil {
			return done, err
		}
	}
	if err := duplicate(ctx, r.File, stage); err != nil {
		return done, err
	}
	m := logMark{path: filepath.Join(folder, markFile), log: slog.Default()}
	var none errNoMark
	if err := m.read(); err != nil && !errors.As(err, &none) {
		return done, err
	}
	if err := r.prepare(ctx, stage, &m, &done); err != nil {
		return done, err
	}
	if r.Database != "" {
		if err := store.Copy(ctx, store.Copying{
			From: store.SQLiteURL(stage), To: r.Database, Trial: true, Now: r.Now, Log: slog.Default(), Told: r.Told,
		}); err != nil || r.Data == "" {
			return done, err
		}
		return done, errors.Join(m.renew(), m.close())
	}
	// A crash from here on leaves a folder in which no node starts, until this is repeated.
	if done.Aside, err = aside(file, r.Now); err != nil {
		return done, err
	}
	if err := remove(filepath.Join(folder, snapshotFile)); err != nil {
		return done, err
	}
	if err := errors.Join(m.renew(), m.close()); err != nil {
		return done, err
	}
	return done, errors.Join(os.Rename(stage, file), store.SyncFolder(folder))
}

// prepare ends what is live in the staged file, and notes in m how far its log is then.
func (r *Restoring) prepare(ctx context.Context, stage string, m *logMark, done *Restored) (err error) {
	s, err := store.Open(ctx, store.Options{URL: store.SQLiteURL(stage), Log: slog.Default(),
		Committed: func([]exeunt.Event) error { return nil }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if done.MasterKey, err = r.findKey(ctx, s); err != nil {
		return err
	}
	if done.Ended, err = s.Decide(ctx, true, m.noted.History, r.By, r.Now); err != nil {
		return err
	}
	_, history, err := s.Compare(ctx, store.Memory{})
	if err != nil {
		return err
	}
	last, err := s.LastPlace(ctx)
	if err != nil {
		return err
	}
	m.noted.History, m.noted.Own, m.noted.Followed = history, last, store.Position{}
	if r.Database != "" {
		m.noted.Own, m.noted.Followed = store.Position{}, last
		return nil
	}
	has, err := m.number(ctx, s.RaiseFileNumber)
	if err == nil && !has {
		err = errors.New("the restored file could not be written as a whole; run this again")
	}
	return err
}

func (r *Restoring) findKey(ctx context.Context, s *store.Store) (FoundKey, error) {
	var master keys.Master
	var err error
	switch {
	case r.MasterKey != "":
		master, err = keys.ParseMaster(r.MasterKey)
	case r.Data != "" && keys.HasMaster(r.Data):
		master, err = keys.LoadMaster(r.Data)
	default:
		return KeyMissing, nil
	}
	if err == nil {
		err = master.Check(ctx, s, pairKeys)
	}
	if errors.Is(err, keys.ErrWrongMaster) {
		return KeyWrong, nil
	}
	return KeyFits, err
}

// duplicate copies a file for this user alone, durably.
func duplicate(ctx context.Context, from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, reading{ctx, src})
	return errors.Join(err, dst.Sync(), dst.Close())
}

// reading ends with its context.
type reading struct {
	ctx context.Context
	io.Reader
}

func (r reading) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

// aside moves a database file and its log away.
func aside(file string, now time.Time) (to string, err error) {
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	to = file + ".replaced-" + now.UTC().Format("20060102T150405Z")
	// The log first: a file without its log is older than what was noted, and refused.
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(file+suffix, to+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return to, nil
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
