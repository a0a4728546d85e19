package stream

import (
	"context"
	"net/http"
	"time"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/web"
)

// recheckEvery is how often a stream checks while the warning is showing or the
// authority cannot tell.
const recheckEvery = time.Second

// follow sends the state as events until the session ends.
func (s *Stream) follow(who asker) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, ans := who(r)
		if !ans.Usable() {
			web.WriteState(w, s.states.Of(r.Context(), c.Token, ans))
			return
		}
		leave, err := s.enter(quota{holder{session: ans.Session, app: ans.App}, maxOpen},
			quota{holder{account: ans.Account}, maxOfAccount})
		if err != nil {
			s.Surface.Answer(w, r, err)
			return
		}
		defer leave()
		news := s.Authority.Listen(ans.Account)
		defer news.Close()
		// Check again after listening, so that no change in between is missed.
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
	sent client.State // last
	idle time.Time    // when its session ends if it stays unused
}

func (f *following) run(ctx context.Context, ans authority.Answer, news <-chan struct{}) {
	heart := time.NewTicker(client.Beat)
	defer heart.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
	if f.tell(f.states.Of(ctx, f.Token, ans), ans) != nil {
		return
	}
	for f.sent.State != client.Over {
		if ans.State == authority.Renewed {
			f.await(ctx)
			return
		}
		look.Reset(f.nextCheck(ans))
		var err error
		select {
		case <-news:
			ans, err = f.check(ctx)
			if err == nil && f.sent.State != client.Over {
				err = f.out.Changed()
			}
		case <-look.C:
			ans, err = f.check(ctx)
		case <-heart.C:
			if ans, err = f.check(ctx); err == nil {
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

// check checks the session again and sends its state if that has changed.
func (f *following) check(ctx context.Context) (authority.Answer, error) {
	ans := f.Authority.Check(ctx, f.Credential)
	if ans.State == authority.Renewed {
		return ans, nil
	}
	s := f.states.Of(ctx, f.Token, ans)
	warns := s.State == client.Live && s.WarnIn == 0 && f.sent.WarnIn > 0
	if s.State == f.sent.State && ans.IdleAt().Equal(f.idle) && !warns {
		return ans, nil
	}
	return ans, f.tell(s, ans)
}

// renewalPause is how long a stream stays open after its credential was renewed: by then
// the browser has the answer with the new one.
const renewalPause = 2 * time.Second

// await says nothing more and waits a little before the stream closes. The page then
// opens another one with its new credential.
func (f *following) await(ctx context.Context) {
	pause := time.NewTimer(renewalPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	case <-f.Done:
	}
}

func (f *following) tell(s client.State, ans authority.Answer) error {
	f.sent, f.idle = s, ans.IdleAt()
	return f.out.State(s)
}

// nextCheck is when the state may change without an event: at the warning, or when the
// idle or the absolute timeout has passed.
func (f *following) nextCheck(ans authority.Answer) time.Duration {
	if f.sent.State != client.Live {
		return recheckEvery
	}
	warn, end := f.states.TimeLeft(ans)
	if warn > 0 {
		return warn
	}
	return min(end, recheckEvery)
}
