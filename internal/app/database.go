package app

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/exeunt/exeunt/internal/store"
)

// Migrate brings a database's schema up to date.
func Migrate(ctx context.Context, database string) error {
	return store.Migrate(ctx, database, slog.Default())
}

// Copied tells how far Copy is.
type Copied = store.Copied

// Copy takes everything from a file to an empty PostgreSQL database, while no
// node uses the file.
func Copy(ctx context.Context, from, to string, told func(Copied)) error {
	path, ok := strings.CutPrefix(from, "sqlite:")
	if !ok {
		return errors.New("--from must be sqlite:PATH, the file in a node's data folder")
	}
	release, err := LockFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(store.Copy(ctx, from, to, slog.Default(), told), release())
}
