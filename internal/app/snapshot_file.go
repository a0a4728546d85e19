package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

const (
	// snapshotFile is the name, in a data folder, of the file in which a node leaves its table of sessions every few
	// minutes and when it stops. It only makes the next start quicker: without it each session is loaded when its
	// token is first seen.
	snapshotFile  = "live.snapshot"
	snapshotEvery = 5 * time.Minute
	// syncStep is how much is written between two calls that have the disk take it: a sign-out's own call does not
	// wait long behind so little.
	syncStep = 4 << 20
	// replayMost is how many events a start applies to the file before it rather begins with an empty memory.
	replayMost = 1_000_000
)

// binding tells whether a file goes with the database. Whatever changes a session's answer is an event, but for three
// things: a later activity, for which live asks the store; the policy, by which limits are shortened at a start; and a
// session that was never there, as in a database that is another or an older one put back.
type binding struct {
	// Installation is taken from a key that was drawn at its first start.
	Installation string
	// Mark was left in the database once the sessions were written: one that does not have it is an older one,
	// whatever has been done with it since.
	Mark   []byte
	Policy exeunt.Policy
}

// saveSnapshotFile leaves the file. It appears whole or not at all.
func (n *Node) saveSnapshotFile(ctx context.Context) error {
	path := filepath.Join(n.Config.Data, snapshotFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = n.Live.Save(&syncingFile{File: f}, func(int64) ([]byte, error) { return n.bind(ctx) })
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("save the snapshot file: %w", errors.Join(err, os.Remove(path+".new")))
	}
	return syncFolder(n.Config.Data)
}

// bind is called after the sessions are written: none of them may be younger than the mark.
func (n *Node) bind(ctx context.Context) ([]byte, error) {
	keys, err := n.installation(ctx)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("this installation has no keys yet")
	}
	b := binding{Installation: keys[0], Policy: n.Config.SessionPolicy()}
	if b.Mark, err = n.Store.LeaveMark(ctx, n.now()); err != nil {
		return nil, err
	}
	return json.Marshal(b)
}

// installation returns what identifies it: there is more than one name while one key takes over from another.
func (n *Node) installation(ctx context.Context) (names []string, err error) {
	keys, err := n.Store.Keys(ctx, pairKeys)
	for _, k := range keys {
		sum := sha256.Sum256(k.Sealed)
		names = append(names, hex.EncodeToString(sum[:]))
	}
	return names, err
}

// steadyFile is a file that is on the disk step by step.
type syncingFile struct {
	*os.File
	unsynced int
}

func (f *syncingFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if f.unsynced += n; err == nil && f.unsynced >= syncStep {
		f.unsynced, err = 0, f.Sync()
	}
	return n, err
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// keepSnapshotFile leaves the file from time to time, if sessions came or ended.
func (n *Node) saveSnapshotFileRegularly(ctx context.Context) {
	t := time.NewTicker(snapshotEvery)
	defer t.Stop()
	for saved := n.Live.Changes(); ; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := n.Live.Changes()
		if now == saved || n.Store.Failed() {
			continue
		}
		if err := n.saveSnapshotFile(ctx); err != nil {
			n.log.Warn("the snapshot file was not saved; the last one stays good, trying again later", "err", err)
			continue
		}
		saved = now
	}
}

// loadSnapshotFile fills the memory, which has begun at the log's head, from the file that the last run left, and
// applies what has happened since. It reports whether it could. A file that cannot be used is removed, so that it does
// not seem to be usable later: what makes it unusable may pass.
func (n *Node) loadSnapshotFile(ctx context.Context, index *live.Index, head int64) (loaded bool) {
	path := filepath.Join(n.Config.Data, snapshotFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	var since store.LogRange
	if err == nil {
		defer f.Close()
		since, err = n.loadFrom(ctx, index, f, head)
	}
	if err != nil {
		index.Reset(head)
		n.log.Info("sessions are loaded one by one, as they are seen", "file", path, "because", err)
		if err := os.Remove(path); err != nil {
			n.log.Warn("the snapshot file can be neither used nor removed; it is written anew when it can be", "err", err)
		}
		return false
	}
	if n.follower != nil && head > 0 {
		n.follower.GoOn(&since.Last)
	}
	n.log.Info("sessions are known from the last run", "tokens", index.Len())
	return true
}

// take fills the memory from the file, and returns the log range that it was brought up to date with: from the file's
// own event on, which must still be there to show that there is no gap.
func (n *Node) loadFrom(ctx context.Context, index *live.Index, f *os.File, head int64) (since store.LogRange, err error) {
	info, err := f.Stat()
	if err != nil {
		return since, err
	}
	err = index.Load(f, info.Size(), func(m live.Mark) (err error) {
		if err = n.checkBinding(ctx, m, head); err == nil && head > 0 {
			since, err = n.Store.LogRange(ctx, max(m.Seq-1, 0), head)
		}
		return err
	})
	if err == nil {
		index.Replay(head, since.Ended, since.Events)
	}
	return since, err
}

// goesWith says what is in the way of using a file, if anything is.
func (n *Node) checkBinding(ctx context.Context, mark live.Mark, head int64) error {
	var was binding
	if err := json.Unmarshal(mark.Caller, &was); err != nil {
		return err
	}
	names, err := n.installation(ctx)
	if err != nil {
		return err
	}
	switch {
	case !slices.Contains(names, was.Installation):
		return errors.New("it is of another installation")
	case was.Policy != n.Config.SessionPolicy():
		return errors.New("the policy has changed since it was written")
	case mark.Seq > head:
		return errOlder
	case head-mark.Seq > replayMost:
		return fmt.Errorf("%d events have been recorded since it was written", head-mark.Seq)
	}
	if ours, err := n.Store.HasMark(ctx, was.Mark); err != nil || !ours {
		return cmp.Or(err, errOlder)
	}
	return nil
}

var errOlder = errors.New("the database is an older one than it was written from")
