package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// A file that is put back beside the write-ahead log of a newer one is mixed with it when it is opened, because
// nothing in the two shows that they do not belong together. So the file has a number, which only grows and which is
// remembered elsewhere. It is SQLite's user_version, which can be read without SQLite: four bytes of the file's
// header (SQLite's "Database File Format", section 1.3).
const (
	fileNumberAt  = 60
	fileNumberLen = 4
)

// FileNumber reads the number of a file, without its write-ahead log. A file that is too short to have one has 0.
// It must not be called while this process has the database open: closing the file would end SQLite's locks.
func FileNumber(path string) (int32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("database: %w", err)
	}
	defer f.Close()
	b := make([]byte, fileNumberLen)
	if _, err := f.ReadAt(b, fileNumberAt); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("database: %w", err)
	}
	return int32(binary.BigEndian.Uint32(b)), nil
}

// HasLog reports whether a file has a write-ahead log beside it. An orderly stop leaves none.
func HasLog(path string) (bool, error) {
	info, err := os.Stat(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("database: %w", err)
	}
	return info.Size() > 0, nil
}

// RaiseFileNumber gives the file a number above those that it has had and the one given. It reports whether
// the file itself, without its log, has that durably: a reader may prevent it, then try again. A server has no number.
func (s *Store) RaiseFileNumber(ctx context.Context, above int32) (number int32, has bool, err error) {
	e, ok := s.engine.(*sqliteEngine)
	if !ok {
		return above, true, nil
	}
	if err := s.commit(ctx, func(t *tx) error {
		if err := t.row(`PRAGMA user_version`).Scan(&number); err != nil {
			return err
		}
		number = max(number, above) + 1
		// The statement differs each time, so it is not kept as a prepared one.
		_, err := t.conn.ExecContext(t.ctx, fmt.Sprintf(`PRAGMA user_version = %d`, number))
		return err
	}); err != nil {
		return 0, false, err
	}
	// A checkpoint that has moved all of the log has synced the file, too. On its own connection it delays no commit.
	var busy, pages, moved int64
	if err := e.write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &pages, &moved); err != nil {
		return 0, false, unavailable("move the log into the file", err)
	}
	return number, busy == 0 && moved == pages, nil
}
