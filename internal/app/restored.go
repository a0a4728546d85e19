package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/exeunt/exeunt/internal/control"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/store"
)

// Decision is how an operator goes on with a database that was restored.
type Decision uint8

const (
	// Undecided refuses such a database.
	Undecided Decision = iota
	// EndSessions ends every session and deletes one-time links and codes. It is done whatever the database is.
	EndSessions
	// TrustDatabase goes on with the database as it is. It is refused where nothing is to be decided.
	TrustDatabase
)

// howToDecide ends every message about a restored database.
const howToDecide = "Sessions that were signed out may be signed in again in it, and used one-time links unused. " +
	"Nothing was changed. Put back the database that belongs here; or start once with --end-sessions, which ends every " +
	"session and deletes unused one-time links: that is right after restoring a backup; or start once with " +
	"--trust-database, which goes on with it as it is: that is right only if no session has ended since it was copied"

var errTrustNotNeeded = errors.New("--trust-database is for a database that was restored or copied, and this one " +
	"continues what this node remembers of it; start without it")

func errRestored(because string) error { return fmt.Errorf("%s. %s", because, howToDecide) }

const (
	wentBack = "the database is older than what this node has confirmed to people, or another one: it lacks what this " +
		"node has noted in "
	notRemembered = "this node cannot tell whether the database is an older one that was restored: "
)

// mustNotBeLost refuses to make a new installation in a folder that is left over from another: its database was lost.
// It runs before the database is opened, which would create the file.
func (n *Node) mustNotBeLost() error {
	if n.Config.Database != "" {
		return nil
	}
	file := filepath.Join(n.Config.Data, store.DatabaseFile)
	info, err := os.Stat(file)
	switch {
	case err == nil && info.Size() > 0:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("database: %w", err)
	}
	what := "is missing"
	if err == nil {
		what = "is empty"
	}
	// The database is made before the key, so a key without one was not left by a start that was interrupted.
	return n.leftOver(fmt.Sprintf("the database %s %s", file, what), keys.MasterFile)
}

// mustNotBeEmpty refuses a database in which nothing has ever been made, if this node has noted or saved something
// about one.
func (n *Node) mustNotBeEmpty(ctx context.Context) error {
	if sealed, err := n.Store.AnyKey(ctx); err != nil || sealed {
		return err
	}
	return n.leftOver("the database is empty")
}

// leftOver returns an error if the data folder has a mark, a snapshot file or one of the other files given, which are
// left of an installation.
func (n *Node) leftOver(problem string, more ...string) error {
	var there []string
	for _, name := range []string{keys.MasterFile, markFile, snapshotFile} {
		if _, err := os.Lstat(filepath.Join(n.Config.Data, name)); err == nil {
			there = append(there, name)
		}
	}
	shows := append(more, markFile, snapshotFile)
	if !slices.ContainsFunc(there, func(name string) bool { return slices.Contains(shows, name) }) {
		return nil
	}
	these := strings.Join(there, ", ")
	return fmt.Errorf("%s, but the data folder holds what belongs to one: %s. Either it was lost: put it back from your "+
		"backup. Or you want a new installation, in which nobody has an account: move %s out of %s first, or choose "+
		"an empty data folder", problem, these, these, n.Config.Data)
}

// openMark compares the log with what this node remembers of it, and carries out the operator's decision.
func (n *Node) openMark(ctx context.Context, decision Decision) error {
	problem, history, err := n.compareMark(ctx, decision)
	if err != nil {
		return err
	}
	switch {
	case decision == EndSessions || decision == TrustDatabase && problem != "":
		if history, err = n.decide(ctx, decision, problem); err != nil {
			return err
		}
	case decision == TrustDatabase:
		return errTrustNotNeeded
	case problem != "":
		return errRestored(problem)
	}
	if string(history) != string(n.mark.noted.History) {
		n.mark.noted.History, n.mark.noted.Own, n.mark.noted.Followed = history, store.Position{}, store.Position{}
	}
	if n.follower == nil {
		// The process may have ended between a commit and its note.
		if n.mark.noted.Own, err = n.Store.LastPlace(ctx); err != nil {
			return err
		}
	}
	if _, err = n.mark.number(ctx, n.Store.RaiseFileNumber); err != nil {
		return err
	}
	return n.mark.renew()
}

// mustBelongToItsLog refuses a file beside which the write-ahead log of a newer one was left. It runs before the
// database is opened, which would mix the two: then the log of events could be whole and sessions be older. No decision
// is enough for that: the log must be moved away first.
func (m *logMark) mustBelongToItsLog(database string, decision Decision) error {
	path, ok := store.SQLitePath(database)
	if !ok {
		return nil
	}
	var none errNoMark
	unusable := m.read()
	if unusable != nil && !errors.As(unusable, &none) {
		return unusable
	}
	has, err := store.HasLog(path)
	if err != nil || !has {
		return err
	}
	number, err := store.FileNumber(path)
	move := fmt.Sprintf("%s-wal and %s-shm", path, path)
	switch {
	case err != nil:
		return err
	case number < m.noted.Number:
		return errRestored(fmt.Sprintf("the database %s is older than its write-ahead log, which was left beside it by a "+
			"newer one: before you choose to go on with it, move %s out of the folder", path, move))
	case unusable != nil && number > 0 && decision == Undecided: // a first start that was killed has left no number
		return errRestored(notRemembered + none.because + ". A write-ahead log lies beside the database: unless both are " +
			"from the same copy, move " + move + " out of the folder before you choose to go on")
	}
	return nil
}

// compareMark returns the name of the log's history, and why it cannot be relied on, "" if it can.
func (n *Node) compareMark(ctx context.Context, decision Decision) (problem string, history []byte, err error) {
	var none errNoMark
	if err = n.mark.read(); err != nil && !errors.As(err, &none) {
		return "", nil, err
	}
	unusable := err != nil
	relation, history, err := n.Store.Compare(ctx, n.mark.noted.memory())
	if err != nil {
		return "", nil, err
	}
	switch {
	case unusable && none.copied && relation == store.Differs:
		return wentBack + n.mark.path, history, nil
	case unusable:
		problem = notRemembered + none.because
	case relation == store.Differs:
		return wentBack + n.mark.path, history, nil
	case relation == store.Unknown:
		problem = notRemembered + "it has been off for longer than events are stored"
	default:
		return "", history, nil
	}
	// Without an account there is no session that could come back.
	if any, err := n.Store.AnyAccount(ctx); err != nil || !any {
		return "", history, err
	}
	if n.follower != nil && decision == Undecided {
		vouched, err := n.isFollowed(ctx)
		if err != nil || vouched {
			return "", history, err
		}
		problem += ", and no other node is running that remembers it"
	}
	return problem, history, nil
}

const (
	// beatsSeen is how many heartbeats another node must have confirmed while this one waits: one may be under way
	// in a node that is about to find that the database went back.
	beatsSeen = 2
	beatsPoll = 100 * time.Millisecond
)

// isFollowed reports whether another node follows the log of a shared database: it has its own note of it.
func (n *Node) isFollowed(ctx context.Context) (bool, error) {
	// A node with the same settings sends twenty heartbeats in this time or more.
	limit := time.After(max(5*n.Config.MaxStaleness, 10*time.Second))
	tick := time.NewTicker(beatsPoll)
	defer tick.Stop()
	first, err := n.Store.Beats(ctx)
	for err == nil {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-limit:
			return false, nil
		case <-tick.C:
		}
		var now map[[16]byte]int64
		now, err = n.Store.Beats(ctx)
		for node, beat := range now {
			if beat >= first[node]+beatsSeen {
				return true, nil
			}
		}
	}
	return false, err
}

// decide records the decision in the log. A crash after that leaves a database whose history has a new name and an
// earlier one; the next start finds that it was decided, or asks again where this node had no note.
func (n *Node) decide(ctx context.Context, decision Decision, problem string) (history []byte, err error) {
	by := control.Operator(os.Getuid())
	accounts, err := n.Store.Decide(ctx, decision == EndSessions, n.mark.noted.History, by, n.now())
	if err != nil {
		return nil, err
	}
	if decision == EndSessions {
		n.log.Warn("every session was ended, and unused one-time links were deleted, as --end-sessions says; "+
			"start without it from now on", "accounts", accounts, "by", by.Label, "because", problem)
	} else {
		n.log.Warn("the database is trusted as it is, as --trust-database says; start without it from now on",
			"by", by.Label, "because", problem)
	}
	_, history, err = n.Store.Compare(ctx, store.Memory{})
	return history, err
}

// acceptLog says whether a running node may go on with a log that is not the one that it followed so far. Until it
// may, this node answers that it cannot tell, and writes nothing.
func (n *Node) acceptLog(ctx context.Context, src feed.Source) error {
	relation, history, err := src.(*store.Follower).Compare(ctx, n.mark.memory())
	if err != nil {
		return err
	}
	switch relation {
	case store.Decided:
		n.mark.note(func(m *markNote) { m.History, m.Own, m.Followed = history, store.Position{}, store.Position{} })
	case store.Continues:
	default:
		err = errRestored(wentBack + n.mark.path)
		if n.Store.Held() == nil {
			n.log.Error("this node accepts no session until the database is put right", "err", err)
		}
		n.Store.Hold(err)
		return err
	}
	n.Store.Hold(nil)
	return nil
}
