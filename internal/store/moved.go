package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// movedMark is the mark that Copy leaves in the file it has copied. All others are random.
var movedMark = []byte("moved elsewhere.")

// movedError says why a file that was copied is not opened.
type movedError struct{ file string }

func (e movedError) Error() string {
	return fmt.Sprintf("everything in this file was copied to another database; a node on the file would accept "+
		"sessions that have ended there since. Nothing was changed. Serve the other database: set its URL in the "+
		"setting database, or in the file that EXEUNT_DATABASE_FILE names. If no node has ever served it, "+
		"\"exeunt copy --take-back --from %s\" lets this file be served again", e.file)
}

// mustNotBeMoved refuses a file that has the mark. It runs before the schema is brought up to date, so the table may
// not exist yet.
func mustNotBeMoved(ctx context.Context, db *sql.DB, file string) error {
	var there, moved bool
	if err := db.QueryRowContext(ctx,
		`SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'marks')`).
		Scan(&there); err != nil || !there {
		return err
	}
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM marks WHERE id = $1)`, movedMark).
		Scan(&moved); err != nil || !moved {
		return err
	}
	return movedError{file}
}

// markMoved prevents nodes from starting on the file from now on.
func markMoved(ctx context.Context, file *sqliteEngine, now time.Time) error {
	_, err := file.write.ExecContext(ctx, `INSERT INTO marks (id, at) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
		movedMark, ms(now))
	return err
}

// TakeBack lets nodes start on a file that was copied. It does not know what has ended in the other database since.
func TakeBack(ctx context.Context, file string) (err error) {
	e, err := openFile(file)
	if err != nil {
		return err
	}
	read, err := e.open(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("database %s: %w", e.name(), err), e.close())
	}
	defer func() { err = errors.Join(err, read.Close(), e.close()) }()
	done, err := e.write.ExecContext(ctx, `DELETE FROM marks WHERE id = $1`, movedMark)
	if err != nil {
		return fmt.Errorf("database %s: %w", e.name(), err)
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fmt.Errorf("database %s has not been copied, or has been taken back already", e.name()))
	}
	return nil
}

// openFile returns the engine for an existing file, whether it was copied or not.
func openFile(rawURL string) (*sqliteEngine, error) {
	path, ok := SQLitePath(rawURL)
	if !ok {
		return nil, errors.New("invalid URL: use sqlite:PATH, the file in a node's data folder")
	}
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no file %s", path)
		}
		return nil, err
	}
	return &sqliteEngine{path: path, allowMoved: true}, nil
}
