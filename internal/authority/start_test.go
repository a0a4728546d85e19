package authority

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/exeunt/exeunt"
)

// What a browser or app says of itself is shown on operators' terminals: it must not command them.
func TestWhatIsSaidOfADeviceIsText(t *testing.T) {
	n := newNode(t)
	const nasty = "Fire\x1b[2Jfox\r\n\t\u202eevil\u200b\u009b31m\x00 1\xff"
	_, s, err := n.Start(ctx, SignIn{Proof: n.proof(n.account()), Kind: exeunt.KindKept, Label: nasty,
		UserAgent: nasty})
	if err != nil {
		t.Fatal(err)
	}
	got, err := n.Session(ctx, s.Account, s.ID)
	if err != nil || got.Label != "Fire[2Jfox evil31m 1" || got.UserAgent != "Fire[2Jfox   evil31m 1" {
		t.Errorf("%q, %q, %v", got.Label, got.UserAgent, err)
	}
	if s := cut(strings.Repeat("é", maxUserAgent), maxUserAgent-1); len(s) > maxUserAgent-1 || !utf8.ValidString(s) {
		t.Errorf("cut to %d bytes: %q", len(s), s)
	}
}

// What is cut shows that it was.
func TestACutLabelShowsIt(t *testing.T) {
	long := strings.Repeat("a", exeunt.MaxLabelLen+1)
	if got := CleanLabel(long); !strings.HasSuffix(got, "…") || len([]rune(got)) != exeunt.MaxLabelLen {
		t.Errorf("%q", got)
	}
	if got := CleanLabel(long[1:]); got != long[1:] {
		t.Errorf("%q", got)
	}
	if got := cut(long, 20); got != strings.Repeat("a", 17)+"…" {
		t.Errorf("%q", got)
	}
}
