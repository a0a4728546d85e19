package verify

import (
	"fmt"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
)

func TestActivityIsHandedInInBatches(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		var tokens []client.Secret
		for n := range 3 {
			tokens = append(tokens, f.person("ada", fmt.Sprint(n)))
			f.expect(t, v, tokens[n], "valid", 1)
		}
		begun := time.Now()
		for time.Since(begun) < 12*time.Second {
			for _, token := range tokens[:2] {
				p, err := v.Check(t.Context(), token, true)
				if err != nil || p.IdleAt.Sub(p.AskedAt) != 15*time.Minute {
					t.Fatalf("%+v, %v", p, err)
				}
			}
			if _, err := v.Check(t.Context(), tokens[2], false); err != nil { // polls
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		notes, noted := f.seen()
		// At once, after five seconds, and after ten; the first time perhaps
		// before the second session was used.
		if f.asks() != 0 || notes != 3 || len(noted) < 5 || len(noted) > 6 {
			t.Errorf("%d notes with %d sessions", notes, len(noted))
		}
		for i, s := range noted[len(noted)-4:] {
			if d := s.at.Sub(begun); d > time.Duration(i/2+1)*5*time.Second ||
				d < time.Duration(i/2+1)*5*time.Second-200*time.Millisecond {
				t.Errorf("seen %v after the beginning", d)
			}
		}
	})
}

// Sessions with a short idle time cannot wait as long.
func TestActivityIsHandedInInTime(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.set(func() {
			f.people[ada.Reveal()].idle = 10_000
			f.people[ada.Reveal()].IdleAt = time.Now().Add(10 * time.Second)
		})
		begun := time.Now()
		f.expect(t, v, ada, "valid", 1)
		for time.Since(begun) < time.Minute {
			if _, err := v.Check(t.Context(), ada, true); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if notes, _ := f.seen(); notes < 50 || notes > 61 || f.asks() > 1 {
			t.Errorf("%d notes in a minute", notes)
		}
	})
}

func TestActivityThatCannotBeHandedInWaits(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada, gone := f.person("ada", "1"), f.person("grace", "2")
		f.set(func() { f.noteErr = true })
		for _, token := range []client.Secret{ada, gone} {
			f.expect(t, v, token, "valid", 1)
			if _, err := v.Check(t.Context(), token, true); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(11 * time.Second)
		if notes, noted := f.seen(); notes != 3 || len(noted) != 0 {
			t.Errorf("%d notes, %d taken", notes, len(noted))
		}
		f.set(func() { f.noteErr = false; f.people[gone.Reveal()].ended = true }) // and no event told
		time.Sleep(5 * time.Second)
		if _, noted := f.seen(); len(noted) != 2 {
			t.Errorf("%d taken", len(noted))
		}
		f.expect(t, v, gone, "ended", 1)
		f.expect(t, v, ada, "valid", 0)
	})
}

func TestActivityIsHandedInAtTheEnd(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		for range 2 { // one handed in at once, one owed
			if _, err := v.Check(t.Context(), ada, true); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		t.Cleanup(func() { // the verifier has stopped
			if _, noted := f.seen(); len(noted) != 2 {
				t.Errorf("%d sessions were handed in", len(noted))
			}
		})
	})
}
