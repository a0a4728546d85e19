package web

import (
	"time"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
)

// Position is a node's position in the log for verifiers. The age is rounded up, so
// that no verifier takes the node for fresher than it is.
func Position(p authority.Position, now time.Time) client.Position {
	age := (p.Age + time.Millisecond - 1) / time.Millisecond
	at := client.Place{Epoch: p.Epoch, Seq: p.Seq, Digest: p.Digest}
	return client.Position{Place: at, Age: int64(age), Now: now.UnixMilli()}
}
