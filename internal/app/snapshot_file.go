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
	"reflect"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

const (
	// snapshotFile is the name of the file in the data folder to which a node writes its table of sessions every few
	// minutes and when it stops. It only makes the next start faster: without it, each session is loaded when its token
	// is first used.
	snapshotFile  = "live.snapshot"
	snapshotEvery = 5 * time.Minute
	// syncStep is how much is written between two calls of fsync, so that a sign-out's fsync does not wait long.
	syncStep = 4 << 20
	// replayMost is how many events a start replays at most; with more since the file, memory starts empty.
	replayMost = 1_000_000
)

// binding tells whether a file belongs to the database. Everything that changes a check's answer is an event, except
// for three things: later activity, for which live asks the store; the policy, by which a start shortens sessions; and
// sessions that the database never had, because it is another one or an older one that was restored.
type binding struct {
	// Installation is the hash of a key that was made at the first start.
	Installation string
	// Mark was written to the database after the sessions were written to the file: a database without it is older than
	// the file.
	Mark   []byte
	Policy exeunt.Policy
}

// saveSnapshotFile writes the file. After a crash it is complete or unchanged.
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
	return store.SyncFolder(n.Config.Data)
}

// bind is called after the sessions are written: none of them may be newer than the mark.
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

// installation returns the names of this installation. There is more than one while keys are rotated.
func (n *Node) installation(ctx context.Context) (names []string, err error) {
	keys, err := n.Store.Keys(ctx, pairKeys)
	for _, k := range keys {
		sum := sha256.Sum256(k.Sealed)
		names = append(names, hex.EncodeToString(sum[:]))
	}
	return names, err
}

// syncingFile calls fsync after every syncStep.
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

// saveSnapshotFileRegularly writes the file every snapshotEvery, if the table has changed.
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
			n.log.Warn("the snapshot file was not saved; the last one stays valid, trying again later", "err", err)
			continue
		}
		saved = now
	}
}

// loadSnapshotFile fills the table, which is empty at the log's head, from the last run's file, and replays the events
// since. It reports whether it could. It removes a file that cannot be used: the cause may pass, and the file would
// then wrongly seem usable.
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
		n.log.Info("the snapshot file was not loaded; sessions are loaded one by one", "file", path, "because", err)
		if err := os.Remove(path); err != nil {
			n.log.Warn("the snapshot file could not be removed; the next save replaces it", "err", err)
		}
		return false
	}
	if n.follower != nil && head > 0 {
		n.follower.GoOn(&since.Last)
	}
	n.log.Info("sessions loaded from the snapshot file", "tokens", index.Len())
	return true
}

// loadFrom fills the table from the file, and returns the log range that it replayed. The range includes the file's
// last event, which must still be in the log to show that there is no gap.
func (n *Node) loadFrom(
	ctx context.Context, index *live.Index, f *os.File, head int64,
) (since store.LogRange, err error) {
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

// checkBinding returns an error if the file does not belong to the database as it is.
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
		return errors.New("it belongs to another installation")
	case !reflect.DeepEqual(was.Policy, n.Config.SessionPolicy()):
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

var errOlder = errors.New("it is newer than the database, which may have been restored from a backup")
