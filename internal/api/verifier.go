package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/web"
)

// longestAgo bounds the age of noted activity, in milliseconds.
const longestAgo = 1 << 40

func (a *API) verifierCalls(h huma.API) {
	op := byKey(operation(http.MethodPost, "/api/v1/events/echo", tagVerifiers, "echo",
		"Get the position of the event log", http.StatusOK))
	op.Description = "A verifier may answer from memory until S - age after it *sent* this question, where S is its " +
		"longest staleness, and only once it has applied every event up to seq. It asks again every S/4. GET " +
		"/api/v1/events has all the rules."
	huma.Register(h, op, a.echo)
	op = byKey(operation(http.MethodPost, "/api/v1/activity", tagVerifiers, "note-activity", "Report activity",
		http.StatusOK))
	op.Description = "For sessions that the app checks in its own process. Only the client's own app sessions count. " +
		"Send at most one batch every five seconds, or every tenth of the idle timeout if that is less."
	huma.Register(h, op, a.noteActivity)
}

// client returns the client whose key the call carries, or the problem to answer with.
func (a *API) client(ctx context.Context) (exeunt.Client, error) {
	c, ok := a.OAuth.CheckedByKey(bearerOf(ctx).Token)
	if !ok {
		return c, a.problem(ctx, exeunt.ErrClientKey)
	}
	return c, nil
}

type echoInput struct{ Body client.Echo }

type echoOutput struct{ Body client.Echoed }

func (a *API) echo(ctx context.Context, in *echoInput) (*echoOutput, error) {
	if _, err := a.client(ctx); err != nil {
		return nil, err
	}
	at, err := a.Authority.Position()
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	q := in.Body
	out := client.Echoed{Position: web.Position(at, a.Authority.Now()), Nonce: q.Nonce, History: client.HistorySame}
	if a.Authority.LogDiverges(q.Epoch, q.Seq, q.Digest) {
		out.History = client.HistoryReload
	}
	return &echoOutput{out}, nil
}

type activityInput struct{ Body client.ActivityNote }

type activityOutput struct{ Body client.ActivityNoted }

// noteActivity accepts the whole batch or answers 503, after which the batch may be sent
// again: only the latest activity of a session counts.
func (a *API) noteActivity(ctx context.Context, in *activityInput) (*activityOutput, error) {
	c, err := a.client(ctx)
	if err != nil {
		return nil, err
	}
	now := a.Authority.Now()
	out := &activityOutput{client.ActivityNoted{Now: now.UnixMilli(), Dead: []string{}}}
	for _, s := range in.Body.Seen {
		var h exeunt.TokenHash
		b, err := hex.DecodeString(s.Token)
		if err != nil || copy(h[:], b) != len(h) {
			return nil, a.problem(ctx, exeunt.ErrBadRequest)
		}
		switch a.Authority.NoteActivity(ctx, c.ID, h,
			now.Add(-min(time.Duration(s.Ago), longestAgo)*time.Millisecond)) {
		case authority.Usable:
		case authority.Indeterminate:
			return nil, a.problem(ctx, exeunt.ErrUnavailable)
		default:
			out.Body.Dead = append(out.Body.Dead, s.Token)
		}
	}
	return out, nil
}
