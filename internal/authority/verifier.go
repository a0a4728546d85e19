package authority

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/live"
)

// Position returns how far this node has read the log: a later check answers by every event up to it. ErrUnavailable
// when memory is not fresh.
func (a *Authority) Position() (feed.Position, error) {
	p := a.feed.Position()
	if a.store.Failed() || !a.feed.Fresh() {
		return feed.Position{}, exeunt.ErrUnavailable
	}
	return p, nil
}

// ResumeLog returns the place after an event of the log, see feed.Resume.
func (a *Authority) ResumeLog(epoch string, seq int64, digest string) (feed.Place, bool) {
	return a.feed.Resume(epoch, seq, digest)
}

// LogDiverges reports whether an event is certainly not part of the log, see feed.Diverges.
func (a *Authority) LogDiverges(epoch string, seq int64, digest string) bool {
	return a.feed.Diverges(epoch, seq, digest)
}

// LogSince returns the events after a place in the log, see feed.Since.
func (a *Authority) LogSince(
	p feed.Place, most int,
) (entries []feed.Entry, next feed.Place, more <-chan struct{}, ok bool) {
	return a.feed.Since(p, most)
}

// NoteActivity counts activity that a client reports of one of its app sessions, at a time that has passed. It
// returns the state of the token with that hash: activity counts only on a usable one, and NoSuch stands for another
// client's.
func (a *Authority) NoteActivity(ctx context.Context, c exeunt.ClientID, h exeunt.TokenHash, at time.Time) live.State {
	if a.store.Failed() {
		return live.Indeterminate
	}
	w := a.feed.Window()
	ans := a.live.Check(h, a.now())
	if !mayAnswer(ans, w) {
		ans = a.ask(ctx, exeunt.UseApp, h)
	}
	if ans.Client != c {
		if ans.Usable() {
			return live.NoSuch
		}
		return ans.State
	}
	if ans.Usable() {
		a.live.Touch(ans, at)
	}
	return ans.State
}
