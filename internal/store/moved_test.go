package store

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/exeunt/exeunt/internal/testpg"
)

// open tells whether a node would start on the database.
func open(t *testing.T, url string) error {
	t.Helper()
	s, err := Open(t.Context(), Options{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = s.Close()
	}
	return err
}

func wantMoved(t *testing.T, err error) {
	t.Helper()
	if !errors.As(err, new(movedError)) {
		t.Fatalf("a file that was copied: %v", err)
	}
	for _, words := range []string{"Nothing was changed", "EXEUNT_DATABASE_FILE",
		"exeunt copy --take-back --from sqlite:/"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("it does not say %q: %v", words, err)
		}
	}
}

// A node that started on a file again after everything was copied would accept what has ended in the database since.
func TestNothingOpensAFileThatWasCopied(t *testing.T) {
	file := newStore(t)
	v := file.session(file.account().ID)
	mark, err := file.LeaveMark(t.Context(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	trial := copying(file.url, testpg.NewDatabase(t))
	trial.Trial = true
	if err := Copy(t.Context(), trial); err != nil {
		t.Fatal(err)
	}
	if err := open(t, file.url); err != nil {
		t.Fatalf("after a trial: %v", err)
	}
	if err := TakeBack(t.Context(), file.url); err == nil || !strings.Contains(err.Error(), "has not been copied") {
		t.Errorf("taken back from nowhere: %v", err)
	}

	// The second time the file has the mark already, which is its own.
	for range 2 {
		c := copying(file.url, testpg.NewDatabase(t))
		if err := Copy(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		wantMoved(t, open(t, file.url))
		wantMoved(t, Migrate(t.Context(), file.url, slog.New(slog.DiscardHandler)))
		s := openStore(t, c.To)
		for name, want := range map[string]bool{string(mark): true, string(movedMark): false} {
			if has, err := s.HasMark(t.Context(), []byte(name)); err != nil || has != want {
				t.Errorf("the copy has the mark %x: %v, %v", name, has, err)
			}
		}
		s.end(endOne(v))
	}

	if err := TakeBack(t.Context(), file.url); err != nil {
		t.Fatal(err)
	}
	back := openStore(t, file.url)
	if got, err := back.Session(t.Context(), v.Account, v.ID); err != nil || got.End != nil {
		t.Errorf("taken back: %+v, %v", got, err)
	}
}

// Where a copy was not completed the file goes on.
func TestACopyThatFailsLeavesTheFile(t *testing.T) {
	file := newStore(t)
	file.session(file.account().ID)
	file.Close()
	c := copying(file.url, testpg.NewDatabase(t))
	ctx, stop := context.WithCancel(t.Context())
	c.Told = func(at Copied) {
		if at.Rest == 0 {
			stop()
		}
	}
	if err := Copy(ctx, c); err == nil {
		t.Fatal("a copy that was stopped says that it is complete")
	}
	if err := open(t, file.url); err != nil {
		t.Errorf("after a copy that failed: %v", err)
	}

	// When the copy is complete but the file cannot be marked, the error says so.
	file = file.reopen()
	file.exec(`CREATE TRIGGER full BEFORE INSERT ON marks BEGIN SELECT RAISE(ABORT, 'no'); END`)
	file.Close()
	c.Told = func(Copied) {}
	if err := Copy(t.Context(), c); err == nil || !strings.Contains(err.Error(), "everything was copied") ||
		!strings.Contains(err.Error(), "start no node on it again") {
		t.Errorf("without a mark: %v", err)
	}
	s := openStore(t, c.To)
	if n := s.count(`SELECT count(*) FROM sessions`); n != 1 {
		t.Errorf("%d sessions are there", n)
	}

	missing := strings.TrimPrefix(file.url, "sqlite:") + "x"
	for _, err := range []error{Copy(t.Context(), copying("sqlite:"+missing, c.To)),
		TakeBack(t.Context(), "sqlite:"+missing)} {
		if err == nil || !strings.Contains(err.Error(), "there is no file") {
			t.Errorf("of a file that is not there: %v", err)
		}
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Errorf("it has been made: %v", err)
	}
}
