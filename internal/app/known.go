package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

// knownFile is the name of the file, in a data folder, in which a node that
// stops leaves what it knows of its sessions. It only makes the next start
// quicker: without it each session is loaded when its token is first seen.
const knownFile = "live.snapshot"

// moment is what must be as it was for the file to be good: the very database,
// and nothing written to it since. Then no end, no activity and no change of a
// profile can be missing.
type moment struct {
	Position store.Position
	Last     []exeunt.Event
	Policy   exeunt.Policy // the limits of sessions follow it at each start
}

func (n *Node) moment(ctx context.Context) ([]byte, error) {
	p, err := n.Store.Position(ctx)
	if err != nil {
		return nil, err
	}
	last, err := n.Store.Events(ctx, p.Seq-1, 1)
	if err != nil {
		return nil, err
	}
	return json.Marshal(moment{p, last, n.Config.SessionPolicy()})
}

// loadKnown fills the memory from the file that the last run left, if it is
// good. The file is good once: a run that crashes leaves none.
func (n *Node) loadKnown(ctx context.Context, index *live.Index) error {
	path := filepath.Join(n.Config.Data, knownFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(path); err != nil {
		return err
	}
	now, err := n.moment(ctx)
	if err != nil {
		return err
	}
	err = index.Load(f, func(m live.Mark) error {
		if !bytes.Equal(m.Caller, now) {
			return errors.New("the database or the policy has changed since it was written")
		}
		return nil
	})
	if err != nil {
		n.log.Info("sessions are loaded one by one, as they are seen", "file", path, "because", err)
		return nil
	}
	n.log.Info("sessions are known from the last run", "tokens", index.Len())
	return nil
}

// saveKnown leaves the file for the next run. It appears whole or not at all.
func (n *Node) saveKnown(ctx context.Context) error {
	at, err := n.moment(ctx)
	if err != nil {
		return err
	}
	path := filepath.Join(n.Config.Data, knownFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	err = errors.Join(n.Authority.Live.Save(w, at), w.Flush(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("save the known sessions: %w", errors.Join(err, os.Remove(path+".new")))
	}
	return nil
}
