package app

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/store"
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
	_, err := New(t.Context(), mistaken, Options{Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, keys.ErrWrongMaster) {
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

// The folder that is locked is the one that the engine opens, whatever has to be
// written in another way in a URL.
func TestNothingIsCopiedFromAFileInUse(t *testing.T) {
	c := site(t)
	c.Data = filepath.Join(c.Data, "of 50% or more")
	r := start(t, c)
	file := store.SQLiteURL(filepath.Join(c.Data, store.DatabaseFile))
	if !strings.Contains(file, "%20") {
		t.Fatalf("%s is written as it is", file)
	}
	if err := TakeBack(t.Context(), file); err == nil ||
		!strings.Contains(err.Error(), "in use by another exeunt process") {
		t.Errorf("beside a node: %v", err)
	}
	r.stop()
	if err := TakeBack(t.Context(), file); err == nil || !strings.Contains(err.Error(), "has not been copied") {
		t.Errorf("without a node: %v", err)
	}
}
