package stream

import (
	"context"
	"net/http"
	"time"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/web"
)

// closeLook is how often a stream looks while something is about to happen: the
// warning is showing, or the authority cannot tell.
const closeLook = time.Second

// follow tells the state as events until the session ends.
func (s *Stream) follow(who asker) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, ans := who(r)
		if !ans.Usable() {
			web.WriteState(w, s.states.Of(r.Context(), c.Token, ans))
			return
		}
		leave, ok := s.enter(holder{session: ans.Session, app: ans.App}, maxOpen)
		if !ok {
			web.WriteState(w, client.State{State: client.Unknown})
			return
		}
		defer leave()
		news := s.Authority.Listen(ans.Account)
		defer news.Close()
		// Asked again now that it listens, so that nothing falls between.
		if ans = s.Authority.Check(r.Context(), c); !ans.Usable() {
			web.WriteState(w, s.states.Of(r.Context(), c.Token, ans))
			return
		}
		f := following{Stream: s, Credential: c, out: client.NewStreamWriter(w)}
		f.run(r.Context(), ans, news.C())
	}
}

// following is one open stream.
type following struct {
	*Stream
	authority.Credential
	out  *client.StreamWriter
	told client.State // what the reader knows
	idle time.Time    // the idle end it was told
}

func (f *following) run(ctx context.Context, ans authority.Answer, news <-chan struct{}) {
	heart := time.NewTicker(client.Beat)
	defer heart.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
	if f.tell(f.states.Of(ctx, f.Token, ans), ans) != nil {
		return
	}
	for f.told.State != client.Over {
		look.Reset(f.nextLook(ans))
		var err error
		select {
		case <-news:
			ans, err = f.look(ctx)
			if err == nil && f.told.State != client.Over {
				err = f.out.Changed()
			}
		case <-look.C:
			ans, err = f.look(ctx)
		case <-heart.C:
			if ans, err = f.look(ctx); err == nil {
				err = f.out.Beat()
			}
		case <-ctx.Done():
			return
		case <-f.Done:
			return
		}
		if err != nil {
			return // the reader has gone, or has stopped reading
		}
	}
}

// look asks again and tells what is new.
func (f *following) look(ctx context.Context) (authority.Answer, error) {
	ans := f.Authority.Check(ctx, f.Credential)
	s := f.states.Of(ctx, f.Token, ans)
	warns := s.State == client.Live && s.WarnIn == 0 && f.told.WarnIn > 0
	if s.State == f.told.State && ans.IdleAt().Equal(f.idle) && !warns {
		return ans, nil
	}
	return ans, f.tell(s, ans)
}

func (f *following) tell(s client.State, ans authority.Answer) error {
	f.told, f.idle = s, ans.IdleAt()
	return f.out.State(s)
}

// nextLook is when the state may change without an event: the warning's
// moment, the idle or the absolute end.
func (f *following) nextLook(ans authority.Answer) time.Duration {
	if f.told.State != client.Live {
		return closeLook
	}
	warn, end := f.states.TimeLeft(ans)
	if warn > 0 {
		return warn
	}
	return min(end, closeLook)
}
