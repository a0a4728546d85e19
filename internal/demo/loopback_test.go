package demo

import (
	"log/slog"
	"strings"
	"testing"
)

// Without TLS the demo is for this machine only, Chirp too.
func TestTheDemoIsForThisMachineOnly(t *testing.T) {
	for _, opt := range []Options{{Addr: "0.0.0.0:0", AppAddr: "127.0.0.1:0"}, {Addr: "127.0.0.1:0", AppAddr: "0.0.0.0:0"}} {
		opt.Data, opt.Log = privateDir(t), slog.New(slog.DiscardHandler)
		s, err := Open(t.Context(), opt)
		if err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s and %s: %v, %v", opt.Addr, opt.AppAddr, s, err)
		}
	}
}
