package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func (s *testStore) backUp(to string, told func(Copied)) (Backup, error) {
	return s.backUpUntil(s.t.Context(), to, told)
}

func (s *testStore) backUpUntil(ctx context.Context, to string, told func(Copied)) (Backup, error) {
	return BackUp(ctx, BackingUp{From: s.url, To: to, Log: slog.New(slog.DiscardHandler), Told: told})
}

// contents is all of a table's rows, in any order.
func (s *testStore) contents(table string) (out []string) {
	s.t.Helper()
	rows, err := s.read.QueryContext(s.t.Context(), `SELECT * FROM `+table)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		s.t.Fatal(err)
	}
	for rows.Next() {
		row, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		if err := rows.Scan(dest...); err != nil {
			s.t.Fatal(err)
		}
		cells := make([]string, len(columns))
		for i, v := range row {
			if yes, is := v.(bool); is { // which a file has as a number
				v = map[bool]int{false: 0, true: 1}[yes]
			}
			cells[i] = fmt.Sprintf("%s=%v", columns[i], v)
		}
		slices.Sort(cells)
		out = append(out, strings.Join(cells, " "))
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func TestABackupHasEverything(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		a, b := s.account(), s.account()
		s.session(a.ID)
		s.end(endOne(s.session(a.ID)))
		s.session(b.ID)
		s.end(endAll(b.ID))
		if err := s.AddClient(t.Context(), newClient("chirp"), operator, epoch); err != nil {
			t.Fatal(err)
		}
		s.changeGroup("staff", false, a.ID)
		if _, _, err := s.ChangePicture(t.Context(), a.ID, PictureChange{Picture: testPicture(7)}, operator, epoch); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "backup.db")
		var last Copied
		made, err := s.backUp(file, func(c Copied) { last = c })
		if err != nil {
			t.Fatal(err)
		}
		if made.Accounts != 2 || made.Sessions != 1 || made.Events != 5 || last.Rest != 0 || last.Rows == 0 {
			t.Errorf("it holds %+v, and told %+v", made, last)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || info.Size() != made.Bytes {
			t.Errorf("%+v, %v", info, err)
		}
		copied := openStore(t, SQLiteURL(file))
		for _, table := range tables {
			if was, is := s.contents(table), copied.contents(table); !slices.Equal(was, is) {
				t.Errorf("%s was\n%q\nand is\n%q", table, was, is)
			}
		}
		if _, err := s.backUp(file, func(Copied) {}); err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Errorf("over another file: %v", err)
		}
	})
}

// What was confirmed before a backup began is in it, however much ends meanwhile, and nobody waits for it.
func TestABackupUnderLoad(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		const callers = 8
		each := 400
		if testing.Short() {
			each = 100
		}
		var live [callers][]exeunt.Session
		for i := range live {
			a := s.account()
			for range each {
				live[i] = append(live[i], s.session(a.ID))
			}
		}
		var confirmed [callers]atomic.Int64
		total := func() (n int64) {
			for i := range confirmed {
				n += confirmed[i].Load()
			}
			return n
		}
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				for _, v := range live[i] {
					if _, err := s.End(context.Background(), exeunt.System(), endOne(v), Change{}, epoch); err != nil {
						t.Error(err)
					}
					confirmed[i].Add(1)
				}
			})
		}
		for total() < callers*int64(each)/4 {
		}
		var before [callers]int64
		for i := range before {
			before[i] = confirmed[i].Load()
		}
		file := filepath.Join(t.TempDir(), "backup.db")
		first, begun, done := true, time.Now(), total()
		if _, err := s.backUp(file, func(Copied) {
			// In the midst of the backup sign-outs go on.
			for at := total(); first && total() < min(at+callers, callers*int64(each)); {
			}
			first = false
		}); err != nil {
			t.Fatal(err)
		}
		meanwhile := total()
		t.Logf("%.0f endings a second while the backup was made", float64(meanwhile-done)/time.Since(begun).Seconds())
		group.Wait()
		copied := openStore(t, SQLiteURL(file))
		head, err := copied.Head(t.Context())
		if err != nil || head > meanwhile {
			t.Errorf("the log is at %d after %d endings, %v", head, meanwhile, err)
		}
		for i := range before {
			for k, v := range live[i][:before[i]] {
				if got, err := copied.Session(t.Context(), v.Account, v.ID); err != nil || got.End == nil {
					t.Fatalf("the ending number %d of caller %d was confirmed before the backup began, and is not in it: %v", k, i, err)
				}
			}
		}
		// A restored one accepts nobody.
		if _, err := copied.Decide(t.Context(), true, nil, operator, epoch); err != nil {
			t.Fatal(err)
		}
		if n := copied.count(`SELECT count(*) FROM sessions s JOIN accounts a ON a.id = s.account_id
			WHERE s.ended_at IS NULL AND s.generation >= a.generation`); n != 0 {
			t.Errorf("%d sessions are live", n)
		}
		copied.announced = nil
		copied.checkLog()
	})
}

func TestABackupThatIsInterrupted(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		a := s.account()
		for range 20 {
			s.session(a.ID)
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "backup.db")
		left := func() (names []string) {
			list, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				names = append(names, e.Name())
			}
			return names
		}
		for stop, steps := 0, 1; stop < steps; stop++ {
			steps = 0
			ctx, cancel := context.WithCancel(t.Context())
			_, err := s.backUpUntil(ctx, file, func(Copied) {
				if steps == stop {
					cancel()
				}
				steps++
			})
			cancel()
			if err == nil {
				if err := os.Remove(file); err != nil {
					t.Error(err)
				}
				continue
			}
			if names := left(); !errors.Is(err, context.Canceled) || len(names) > 0 {
				t.Fatalf("after step %d: %v, and %q is left", stop, err, names)
			}
		}
		// A killed process has left what it had.
		for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
			if err := os.WriteFile(file+partial+suffix, []byte("half of a backup"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var twin error
		if _, err := s.backUp(file, func(Copied) {
			if twin == nil {
				_, twin = s.backUp(file, func(Copied) {})
			}
		}); err != nil {
			t.Fatal(err)
		}
		if twin == nil || !strings.Contains(twin.Error(), "is being made") {
			t.Errorf("a second one at the same time: %v", twin)
		}
		if names := left(); !slices.Equal(names, []string{"backup.db"}) {
			t.Errorf("%q is there", names)
		}
	})
}

func TestWhatIsNoBackup(t *testing.T) {
	s := newStore(t)
	s.session(s.account().ID)
	file := filepath.Join(t.TempDir(), "backup.db")
	if _, err := s.backUp(file, func(Copied) {}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, content []byte, want string) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyBackup(t.Context(), file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
		if now, err := os.ReadFile(file); err != nil || !slices.Equal(now, content) {
			t.Errorf("%s: it was changed, %v", what, err)
		}
	}
	for cut := 1; cut < len(whole)/pageSize; cut += 7 {
		try(fmt.Sprintf("%d pages", cut), whole[:cut*pageSize], "is damaged, or no backup")
	}
	try("nothing", nil, "is damaged, or no backup")
	try("a text", []byte(strings.Repeat("no database\n", 1000)), "is damaged, or no backup")
	for page := 1; page < len(whole)/pageSize; page += 5 {
		broken := slices.Clone(whole)
		for i := range 64 {
			broken[page*pageSize+i] ^= 0xff
		}
		try(fmt.Sprintf("page %d is damaged", page), broken, "is damaged, or no backup")
	}
	if err := os.WriteFile(file+"-wal", []byte("a log"), 0o600); err != nil {
		t.Fatal(err)
	}
	try("a log beside it", whole, "a write-ahead log lies beside")
	if err := os.Remove(file + "-wal"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := VerifyBackup(t.Context(), file); err != nil || got.Accounts != 1 {
		t.Errorf("the whole one: %+v, %v", got, err)
	}
	newer := openStore(t, SQLiteURL(file))
	if _, err := newer.engine.(*sqliteEngine).write.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
		t.Fatal(err)
	}
	newer.Close()
	if _, err := VerifyBackup(t.Context(), file); err == nil || !strings.Contains(err.Error(), "run the newer program") {
		t.Errorf("of a newer program: %v", err)
	}
	if _, err := VerifyBackup(t.Context(), file+".not-there"); err == nil || errors.Is(err, fs.ErrExist) {
		t.Errorf("none: %v", err)
	}
}
