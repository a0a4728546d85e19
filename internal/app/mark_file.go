package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

const (
	// markFile is the name of the file in the data folder in which a node notes how far the log is that it has confirmed
	// to anybody. A database that is put back is compared with it.
	markFile = "log.mark"
	// markSyncEvery is how often the file is synced. What was noted since is lost only if the machine fails, not if the
	// process does.
	markSyncEvery = time.Second
	// markRenewEvery is how often the file is replaced by a new one, so that an older copy that is written over it is
	// noticed by its identity.
	markRenewEvery = time.Minute
	// markSlot is how much of the file one of its two notes takes. They are written in turn, so that a write which
	// the machine's failure interrupts leaves the other one.
	markSlot = 4096
)

// logMark is what a node remembers of the log outside the database.
type logMark struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	file   *os.File // nil before the first note, and after Close
	noted  markNote
	synced int64 // turn of the note that was synced last
	failed bool  // the last write failed, which has been logged
}

// markNote is the content of the file.
type markNote struct {
	Turn int64
	// File identifies the file that the note was written to: a copy of the file has another identity.
	File    string
	History []byte
	// Own is after the last event that this node committed. It is noted before anybody is told of the commit.
	Own store.Position
	// Followed is after the last event of the log that a heartbeat has confirmed, of several nodes' events.
	Followed store.Position
	// Number is the least that a database file must have beside which a write-ahead log lies.
	Number int32
}

func (n *markNote) memory() store.Memory {
	return store.Memory{History: n.History, Places: []store.Position{n.Own, n.Followed}}
}

// errNoMark says that the file cannot be used, and why.
type errNoMark struct {
	because string
	copied  bool // but its content is whole
}

func (e errNoMark) Error() string { return e.because }

// read reads the file. Its error is an errNoMark if there is no file, or none that can be used.
func (m *logMark) read() error {
	if err := store.OnlyOwner(m.path); err != nil {
		return err
	}
	f, err := os.Open(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoMark{because: "the file " + m.path + ", in which this node notes how far the log is, is missing"}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	content := make([]byte, 2*markSlot)
	size, _ := f.ReadAt(content, 0) // what is missing has no valid note
	for slot := range 2 {
		var note markNote
		part := content[min(slot*markSlot, size):min((slot+1)*markSlot, size)]
		line, _, _ := strings.Cut(string(part), "\n") // what follows is left of a longer note
		sum, text, _ := strings.Cut(line, " ")
		if sum == markSum(text) && json.Unmarshal([]byte(text), &note) == nil && note.Turn > m.noted.Turn {
			m.noted = note
		}
	}
	info, err := os.Lstat(m.path)
	if err != nil {
		return err
	}
	names, err := links(f)
	if err != nil {
		return err
	}
	switch identity, err := fileIdentity(f); {
	case err != nil:
		return err
	case m.noted.Turn == 0:
		return errNoMark{because: "the file " + m.path + ", in which this node notes how far the log is, is damaged"}
	case !info.Mode().IsRegular(), names > 1:
		return errNoMark{because: "the file " + m.path + ", in which this node notes how far the log is, is a link, so the " +
			"data folder may be a copy that has the same file", copied: true}
	case m.noted.File != identity:
		return errNoMark{because: "the file " + m.path + ", in which this node notes how far the log is, was copied here, " +
			"so the data folder may have been put back as a whole", copied: true}
	}
	return nil
}

func markSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// renew writes the note to a new file, which takes the old one's place.
func (m *logMark) renew() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := os.OpenFile(m.path+".new", os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("note how far the log is: %w", err)
	}
	old := m.file
	if m.noted.File, err = fileIdentity(f); err == nil {
		m.file = f
		if err = m.write(); err == nil {
			err = f.Sync()
		}
	}
	if err == nil {
		err = os.Rename(m.path+".new", m.path)
	}
	if err != nil {
		m.file = old
		return fmt.Errorf("note how far the log is: %w", errors.Join(err, f.Close(), os.Remove(f.Name())))
	}
	m.synced = m.noted.Turn
	if old != nil {
		_ = old.Close() // it is no longer in the folder
	}
	return store.SyncFolder(filepath.Dir(m.path))
}

// write writes the note into the next slot. It is called with mu held.
func (m *logMark) write() error {
	m.noted.Turn++
	text, err := json.Marshal(m.noted)
	if err != nil {
		return err
	}
	line := markSum(string(text)) + " " + string(text) + "\n"
	_, err = m.file.WriteAt([]byte(line), m.noted.Turn%2*markSlot)
	return err
}

// note changes the note. An error is logged, once: the database has what is noted here, and only a restored one could
// not be told from it.
func (m *logMark) note(change func(*markNote)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.noted)
	if m.file == nil {
		return
	}
	m.report(m.write())
}

// report logs an error of the file, once, with mu held.
func (m *logMark) report(err error) {
	if err != nil && !m.failed {
		m.log.Error("how far the log is could not be noted; a restored database might go unnoticed", "file", m.path,
			"err", err)
	}
	m.failed = err != nil
}

// own notes what this node has committed.
func (m *logMark) own(events []exeunt.Event) {
	if len(events) == 0 {
		return
	}
	at := store.PositionAfter(&events[len(events)-1])
	m.note(func(n *markNote) {
		// A log that went back under a running node does not lower the mark.
		if at.Seq > n.Own.Seq {
			n.Own = at
		}
	})
}

// followed notes what a heartbeat has confirmed.
func (m *logMark) followed(e *exeunt.Event) {
	m.mu.Lock()
	same := m.noted.Followed.Seq == e.Seq
	m.mu.Unlock()
	if !same {
		m.note(func(n *markNote) { n.Followed = store.PositionAfter(e) })
	}
}

func (m *logMark) memory() store.Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.noted.memory()
}

// raiser gives the database file a number above another, and reports whether the file has it.
type raiser func(ctx context.Context, above int32) (number int32, has bool, err error)

// number raises the database file's number, and notes it once the file has it. It reports whether that is so.
func (m *logMark) number(ctx context.Context, raise raiser) (has bool, err error) {
	m.mu.Lock()
	above := m.noted.Number
	m.mu.Unlock()
	number, has, err := raise(ctx, above)
	if has {
		m.note(func(n *markNote) { n.Number = number })
	}
	return has, err
}

// keepSynced syncs the file in intervals. Now and then it replaces it and raises the database file's number, if
// anything was noted since. It ends when ctx is done.
func (m *logMark) keepSynced(ctx context.Context, raise raiser) {
	sync, renew := time.NewTicker(markSyncEvery), time.NewTicker(markRenewEvery)
	defer sync.Stop()
	defer renew.Stop()
	renewed, numbered := m.memory(), true
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-sync.C:
			err = m.sync()
			if !numbered {
				// What is wrong with the database is logged there.
				numbered, _ = m.number(ctx, raise)
			}
		case <-renew.C:
			noted := m.memory()
			if slices.Equal(noted.Places, renewed.Places) {
				continue
			}
			renewed, numbered = noted, false
			err = m.renew()
		}
		if err != nil {
			m.mu.Lock()
			m.report(err)
			m.mu.Unlock()
		}
	}
}

func (m *logMark) sync() error {
	m.mu.Lock()
	file, turn := m.file, m.noted.Turn
	if file == nil || turn == m.synced {
		m.mu.Unlock()
		return nil
	}
	m.synced = turn
	m.mu.Unlock()
	return file.Sync() // keepSynced alone replaces the file meanwhile
}

// close notes the last place durably, in a new file.
func (m *logMark) close() error {
	if m.file == nil {
		return nil
	}
	err := m.renew()
	m.mu.Lock()
	defer m.mu.Unlock()
	err = errors.Join(err, m.file.Close())
	m.file = nil
	return err
}
