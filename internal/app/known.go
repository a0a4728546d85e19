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
	// knownFile is the name of the file, in a data folder, in which a node leaves
	// what it knows of its sessions, every few minutes and when it stops. It only
	// makes the next start quicker: without it each session is loaded when its
	// token is first seen.
	knownFile  = "live.snapshot"
	knownEvery = 5 * time.Minute
	// knownStep is how much is written between two calls that have the disk take
	// it: a sign-out's own call does not wait long behind so little.
	knownStep = 4 << 20
	// replayMost is how many events a start applies to the file before it rather
	// begins with an empty memory.
	replayMost = 1_000_000
)

// moment tells whether a file goes with the database, and from where in the log
// on it must be brought up to date. Whatever changes a session's answer is an
// event, but for three things: a later activity, for which live asks the store;
// the policy, by which limits are shortened at a start; and a session that was
// never there, as in a database that is another or an older one put back.
type moment struct {
	// Installation is taken from a key that was drawn at its first start.
	Installation string
	// Mark was left in the database once the sessions were written: one that does
	// not have it is an older one, whatever has been done with it since.
	Mark   []byte
	Policy exeunt.Policy
}

// saveKnown leaves the file. It appears whole or not at all.
func (n *Node) saveKnown(ctx context.Context) error {
	path := filepath.Join(n.Config.Data, knownFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = n.Live.Save(&steadyFile{File: f}, func(int64) ([]byte, error) { return n.moment(ctx) })
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("save the known sessions: %w", errors.Join(err, os.Remove(path+".new")))
	}
	return syncFolder(n.Config.Data)
}

// moment is asked for after the sessions are written: none of them may be
// younger than it says.
func (n *Node) moment(ctx context.Context) ([]byte, error) {
	keys, err := n.installation(ctx)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("this installation has no keys yet")
	}
	m := moment{Installation: keys[0], Policy: n.Config.SessionPolicy()}
	if m.Mark, err = n.Store.LeaveMark(ctx, n.now()); err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

// installation returns what identifies it: there is more than one name while
// one key takes over from another.
func (n *Node) installation(ctx context.Context) (names []string, err error) {
	keys, err := n.Store.Keys(ctx, pairKeys)
	for _, k := range keys {
		sum := sha256.Sum256(k.Sealed)
		names = append(names, hex.EncodeToString(sum[:]))
	}
	return names, err
}

// eventAt returns an event by its number; nil is that of 0.
func (n *Node) eventAt(ctx context.Context, seq int64) (*exeunt.Event, error) {
	if seq == 0 {
		return nil, nil
	}
	events, err := n.Store.Events(ctx, seq-1, 1)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 || events[0].Seq != seq {
		return nil, fmt.Errorf("the log does not hold event %d any more", seq)
	}
	return &events[0], nil
}

// steadyFile is a file that is on the disk step by step.
type steadyFile struct {
	*os.File
	loose int
}

func (f *steadyFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if f.loose += n; err == nil && f.loose >= knownStep {
		f.loose, err = 0, f.Sync()
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

// keepKnown leaves the file from time to time, if sessions came or ended.
func (n *Node) keepKnown(ctx context.Context) {
	t := time.NewTicker(knownEvery)
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
		if err := n.saveKnown(ctx); err != nil {
			n.log.Warn("known sessions were not saved; the last file stays good, trying again later", "err", err)
			continue
		}
		saved = now
	}
}

// loadKnown fills the memory, which has begun at the log's head, from the file
// that the last run left, and applies what has happened since. It reports
// whether it could. A file that cannot be used is removed, so that it does not
// seem to be usable later: what makes it unusable may pass.
func (n *Node) loadKnown(ctx context.Context, index *live.Index, head int64) (taken bool) {
	path := filepath.Join(n.Config.Data, knownFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	var since *replay
	if err == nil {
		defer f.Close()
		since, err = n.take(ctx, index, f, head)
	}
	if err != nil {
		index.Reset(head)
		n.log.Info("sessions are loaded one by one, as they are seen", "file", path, "because", err)
		if err := os.Remove(path); err != nil {
			n.log.Warn("the file of known sessions can be neither used nor removed; it is written anew when it can be", "err", err)
		}
		return false
	}
	if n.follower != nil {
		n.follower.GoOn(since.last)
	}
	n.log.Info("sessions are known from the last run", "tokens", index.Len(), "events_since", head-since.from)
	return true
}

// take fills the memory from the file, and returns what has happened since.
func (n *Node) take(ctx context.Context, index *live.Index, f *os.File, head int64) (since *replay, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	err = index.Load(f, info.Size(), func(m live.Mark) error {
		last, err := n.goesWith(ctx, m, head)
		if err == nil {
			since = n.replay(ctx, m.Seq, head, last)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return since, since.into(index)
}

// goesWith says what is in the way of using a file, and otherwise returns the
// event from which on it is to be brought up to date.
func (n *Node) goesWith(ctx context.Context, mark live.Mark, head int64) (*exeunt.Event, error) {
	var was moment
	if err := json.Unmarshal(mark.Caller, &was); err != nil {
		return nil, err
	}
	names, err := n.installation(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case !slices.Contains(names, was.Installation):
		return nil, errors.New("it is of another installation")
	case was.Policy != n.Config.SessionPolicy():
		return nil, errors.New("the policy has changed since it was written")
	case mark.Seq > head:
		return nil, errOlder
	case head-mark.Seq > replayMost:
		return nil, fmt.Errorf("%d events have been recorded since it was written", head-mark.Seq)
	}
	last, err := n.eventAt(ctx, mark.Seq)
	if err != nil {
		return nil, err
	}
	if ours, err := n.Store.HasMark(ctx, was.Mark); err != nil || !ours {
		return nil, cmp.Or(err, errOlder)
	}
	return last, nil
}

var errOlder = errors.New("the database is an older one than it was written from")

// replay is what has happened since a file was written. It is read while that is
// loaded.
type replay struct {
	from, to int64
	last     *exeunt.Event // the one at to

	done   chan struct{}
	events store.LogRange
	err    error
}

func (n *Node) replay(ctx context.Context, from, to int64, at *exeunt.Event) *replay {
	r := &replay{from: from, to: to, last: at, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		if from < to {
			r.events, r.err = n.Store.LogRange(ctx, from, to)
			r.last = &r.events.Last
		}
	}()
	return r
}

func (r *replay) into(index *live.Index) error {
	if <-r.done; r.err != nil {
		return r.err
	}
	index.Replay(r.to, r.events.Ended, r.events.Events)
	return nil
}
