package verify

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exeunt/exeunt/client"
)

// over says in a word why a context is done, "" while it is not.
func over(ctx context.Context) string {
	synctest.Wait()
	var ended *client.EndedError
	switch err := context.Cause(ctx); {
	case err == nil:
		return ""
	case errors.As(err, &ended):
		return "ended " + ended.Reason
	case errors.Is(err, client.ErrUnavailable):
		return "unavailable"
	default:
		return err.Error()
	}
}

// What is open ends in the moment in which the event arrives, and nothing else does. Until then nobody is asked.
func TestWhatIsOpenEndsWithItsSession(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		open := map[string]context.Context{}
		for name, session := range map[string]string{"laptop": "1", "phone": "2", "tablet": "3", "app": "1"} {
			token := f.person("ada", session)
			valid(t, v, token)
			ctx, stop := v.UntilEnd(t.Context(), token)
			defer stop()
			open[name] = ctx
		}
		grace, stop := v.UntilEnd(t.Context(), f.person("grace", "4"))
		defer stop()
		open["grace"] = grace
		synctest.Wait()
		f.asks()
		time.Sleep(10 * time.Minute)
		if n := f.asks(); n != 0 {
			t.Errorf("the gate was asked %d times in ten minutes", n)
		}
		begun := time.Now()
		check := func(when string, ended ...string) {
			t.Helper()
			gone := map[string]bool{}
			for _, name := range ended {
				gone[name] = true
			}
			for name, ctx := range open {
				if got := over(ctx); (got == "ended signed_out") != gone[name] || got != "" && !gone[name] {
					t.Errorf("%s: %s is %q", when, name, got)
				}
			}
		}
		f.tell(client.LogEvent{Kind: client.EventProfileChanged, Account: "acc_ada"})
		f.tell(client.LogEvent{Kind: "moved"})
		check("before any end")
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_2"})
		check("of one session", "phone")
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "others", Account: "acc_ada", Session: "ses_1", Generation: 2})
		check("of all others", "phone", "tablet")
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_ada", Generation: 3})
		check("of all", "phone", "tablet", "laptop", "app")
		f.end(client.LogEvent{Kind: client.EventAppsEnded, Client: "chirp"})
		check("of the app", "phone", "tablet", "laptop", "app", "grace")
		if took := time.Since(begun); took > 0 {
			t.Errorf("it took %v", took)
		}
		if len(v.watchers) != 0 {
			t.Errorf("%d accounts are still watched", len(v.watchers))
		}
	})
}

// A slow authority keeps nothing open for the sake of a reason.
func TestTheReasonIsNotWaitedFor(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		token := f.person("ada", "1")
		valid(t, v, token)
		ctx, stop := v.UntilEnd(t.Context(), token)
		defer stop()
		synctest.Wait()
		f.set(func() { f.away = true })
		begun := time.Now()
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
		if got := over(ctx); got != "ended " || time.Since(begun) > 0 {
			t.Errorf("%q after %v", got, time.Since(begun))
		}
		f.set(func() { f.away = false })
		token = f.person("grace", "2")
		valid(t, v, token)
		ctx, stop = v.UntilEnd(t.Context(), token)
		defer stop()
		synctest.Wait()
		f.set(func() { f.slowNo = time.Minute })
		begun = time.Now()
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_grace", Session: "ses_2"})
		<-ctx.Done()
		if got := over(ctx); got != "ended " || time.Since(begun) > reasonWait {
			t.Errorf("%q after %v", got, time.Since(begun))
		}
	})
}

// Whoever has lost the authority closes what is open when its checks would be refused, and not before.
func TestWhatIsOpenEndsWhenNobodyCanTell(t *testing.T) {
	for name, lose := range map[string]func(*fake){
		"nothing answers":       func(f *fake) { f.set(func() { f.away = true }); f.breakStreams() },
		"nothing arrives":       func(f *fake) { f.set(func() { f.held, f.slowGate, f.slowEcho = true, time.Hour, time.Hour }) },
		"only the gate is away": func(f *fake) { f.set(func() { f.noEcho, f.slowGate = true, time.Hour }) },
	} {
		t.Run(name, func(t *testing.T) {
			verifying(t, func(t *testing.T, f *fake, v *Verifier) {
				token := f.person("ada", "1")
				valid(t, v, token)
				ctx, stop := v.UntilEnd(t.Context(), token)
				defer stop()
				time.Sleep(time.Minute)
				begun := time.Now()
				lose(f)
				time.Sleep(v.MaxStaleness / 2)
				if got := over(ctx); got != "" {
					t.Fatalf("it is over at once: %s", got)
				}
				<-ctx.Done()
				if took := time.Since(begun); over(ctx) != "unavailable" || took > v.MaxStaleness {
					t.Errorf("%q after %v", over(ctx), took)
				}
				f.set(func() { f.away, f.held, f.slowGate, f.slowEcho = false, false, 0, 0 })
			})
		})
	}
}

// While only the log is lost, the gate vouches for what is open, and says when it has ended.
func TestTheGateVouchesForWhatIsOpen(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		token := f.person("ada", "1")
		valid(t, v, token)
		ctx, stop := v.UntilEnd(t.Context(), token)
		defer stop()
		f.set(func() { f.noEcho = true })
		time.Sleep(5 * time.Second)
		f.asks()
		time.Sleep(time.Minute)
		if n := f.asks(); over(ctx) != "" || n < 30 || n > 2*60 {
			t.Errorf("%q, and the gate was asked %d times in a minute", over(ctx), n)
		}
		f.set(func() { f.held = true })
		begun := time.Now()
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
		<-ctx.Done()
		if took := time.Since(begun); over(ctx) != "ended signed_out" || took > v.MaxStaleness {
			t.Errorf("%q after %v", over(ctx), took)
		}
		f.set(func() { f.held = false })
	})
}

// It does not matter whether memory has room for the session, nor when the event comes.
func TestWhatIsOpenNeedsNoMemory(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		var open []context.Context
		for range 5 {
			ctx, stop := v.UntilEnd(t.Context(), f.person("ada", "1"))
			defer stop()
			open = append(open, ctx)
		}
		synctest.Wait()
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
		for _, ctx := range open {
			if got := over(ctx); got != "ended signed_out" {
				t.Errorf("%q", got)
			}
		}
		// The event comes between the gate's answer and its being stored.
		token := f.person("grace", "2")
		asked := false
		v.afterAsk = func() {
			if !asked {
				asked = true
				f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_grace", Session: "ses_2"})
			}
		}
		ctx, stop := v.UntilEnd(t.Context(), token)
		defer stop()
		if got := over(ctx); got != "ended signed_out" {
			t.Errorf("overtaken: %q", got)
		}
		v.afterAsk = nil
	}, func(o *Options) { o.MaxSessions = 1 })
}

func TestWhatIsOpenEndsAtItsLimit(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		token := f.person("ada", "1")
		valid(t, v, token)
		ctx, stop := v.UntilEnd(t.Context(), token)
		defer stop()
		go func() {
			time.Sleep(15 * time.Minute)
			f.set(func() { f.people[token.Reveal()].ended = true }) // which is no event until somebody looks
		}()
		begun := time.Now()
		<-ctx.Done()
		if took := time.Since(begun); over(ctx) != "ended signed_out" || took > 15*time.Minute+v.MaxStaleness {
			t.Errorf("%q after %v", over(ctx), took)
		}
	})
}

// A bubble of fake time fails if a goroutine is left.
func TestWhatIsClosedLeavesNothing(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		request, over := context.WithCancel(t.Context())
		for range 100 {
			ctx, stop := v.UntilEnd(request, f.person("ada", "1"))
			stop()
			stop()
			if <-ctx.Done(); !errors.Is(context.Cause(ctx), context.Canceled) {
				t.Error(context.Cause(ctx))
			}
			v.UntilEnd(request, f.person("ada", "1"))
		}
		ctx, stop := v.UntilEnd(request, client.Secret{})
		defer stop()
		if !errors.Is(context.Cause(ctx), client.ErrSignedOut) {
			t.Error("there is no token")
		}
		over()
		synctest.Wait()
		if len(v.watchers) != 0 {
			t.Errorf("%d accounts are still watched", len(v.watchers))
		}
	})
}
