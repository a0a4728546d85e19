package authority

import (
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/live"
)

// Memory returns the index as the feed needs it.
func Memory(x *live.Index) feed.Memory {
	return feed.Memory{
		Apply: x.Apply, ApplyOwn: x.ApplyOwn, Applied: x.Applied, Reset: x.Reset,
		PutInDoubt: x.PutInDoubt, Resolve: x.Resolve,
	}
}

// The surfaces use these names and do not import live or feed.
type (
	State    = live.State
	Position = feed.Position
	Place    = feed.Place
	Entry    = feed.Entry
	Listener = feed.Listener
)

// The states that Check returns.
const (
	Usable        = live.Usable
	Ended         = live.Ended
	TimedOut      = live.TimedOut
	NoSuch        = live.NoSuch
	Expired       = live.Expired
	WrongUse      = live.WrongUse
	Incomplete    = live.Incomplete
	Renewed       = live.Renewed
	Indeterminate = live.Indeterminate
)
