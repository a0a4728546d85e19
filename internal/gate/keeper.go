package gate

import (
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/web"
)

// keeper is a client that keeps the answer in its own memory and judges later
// events by it. The zero keeper is anybody else, and is told nothing.
type keeper struct {
	id       exeunt.ClientID
	position authority.Position
}

// keeper returns who wants to keep the answer, by its key; ok is false for a
// key that is nobody's. It comes before the check: the position it takes must
// not hold an event that the answer does not.
func (g *Gate) keeper(r *http.Request) (k keeper, ok bool) {
	given := r.Header[client.HeaderClientKey]
	if len(given) == 0 {
		return k, true
	}
	key, err := exeunt.ParseToken(given[0])
	if err != nil || len(given) > 1 {
		return k, false
	}
	c, ok := g.authority.ClientByKey(key)
	if !ok {
		return k, false
	}
	// A node that has lost its log answers the check itself with 503.
	k.id = c.ID
	k.position, _ = g.authority.Position()
	return k, true
}

// mayKeep refuses a client the app sessions of others.
func (k keeper) mayKeep(ans authority.Answer) bool {
	return k.id == "" || ans.App.IsZero() || ans.Client == k.id
}

// tell appends what it takes to keep the answer. A session's own token is
// answered for, but not kept.
func (k keeper) tell(b []byte, ans authority.Answer) []byte {
	if k.id == "" || ans.App.IsZero() {
		return b
	}
	b = web.AppendLine(b, client.HeaderEpoch, k.position.Epoch)
	b = appendNumber(b, client.HeaderSeq, k.position.Seq)
	if k.position.Digest != "" {
		b = web.AppendLine(b, client.HeaderDigest, k.position.Digest)
	}
	b = appendNumber(b, client.HeaderGeneration, ans.Generation())
	b = appendNumber(b, client.HeaderIdle, ans.Idle().Milliseconds())
	return appendMillis(b, client.HeaderExpiresAt, ans.ExpiresAt())
}
