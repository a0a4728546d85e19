package app

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/keys"
)

// Whoever starts on another installation's database by mistake, as the demo may
// where a variable names one, is refused before a stricter policy has shortened
// its sessions.
func TestAnotherInstallationsSessionsAreLeftAlone(t *testing.T) {
	c := site(t)
	r := start(t, c)
	_, s := r.signIn()
	r.stop()
	strict := c
	strict.Policy.Kept.Idle = time.Hour
	mistaken := strict
	mistaken.MasterKey = config.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if _, err := New(t.Context(), mistaken, Options{Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, keys.ErrWrongMaster) {
		t.Fatalf("with another master key: %v", err)
	}
	for _, c := range []struct {
		config.Config
		idle time.Duration
	}{{c, s.Idle}, {strict, time.Hour}} {
		r := start(t, c.Config)
		if got, err := r.Store.Session(t.Context(), s.Account, s.ID); err != nil || got.Idle != c.idle {
			t.Errorf("its idle timeout is %v, not %v: %v", got.Idle, c.idle, err)
		}
		r.stop()
	}
}
