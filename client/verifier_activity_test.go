package client

import (
	"fmt"
	"testing"
	"time"
)

func TestActivityIsHandedInInBatches(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		var tokens []Secret
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
		if f.asks() != 0 || notes != 2 || len(noted) != 4 {
			t.Errorf("%d notes with %d sessions", notes, len(noted))
		}
		for i, s := range noted {
			if at := time.UnixMilli(s.At); at.Sub(begun) < time.Duration(i/2)*5*time.Second || at.After(time.Now().Add(time.Second)) {
				t.Errorf("seen %v after the beginning", at.Sub(begun))
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
		for _, token := range []Secret{ada, gone} {
			f.expect(t, v, token, "valid", 1)
			if _, err := v.Check(t.Context(), token, true); err != nil {
				t.Fatal(err)
			}
		}
		f.set(func() { f.noteErr = true })
		time.Sleep(11 * time.Second)
		if notes, noted := f.seen(); notes != 2 || len(noted) != 0 {
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
		if _, err := v.Check(t.Context(), ada, true); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // the verifier has stopped
			if _, noted := f.seen(); len(noted) != 1 {
				t.Errorf("%d sessions were handed in", len(noted))
			}
		})
	})
}
