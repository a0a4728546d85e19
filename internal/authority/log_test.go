package authority

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/exeunt/exeunt"
)

// There is a line for each ending, which says no more than there is to say.
func TestEndingsAreLogged(t *testing.T) {
	n := newNode(t)
	var out bytes.Buffer
	n.log = slog.New(slog.NewTextHandler(&out,
		&slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}}))
	id := n.account()
	_, v := n.signIn(id, exeunt.KindKept)
	_, w := n.signIn(id, exeunt.KindKept)
	_, app := n.appSession(w)
	n.end(endOne(v))
	n.end(endOne(v))
	n.end(endApp(w, app))
	n.end(endAll(id))
	want := fmt.Sprintf(`msg="sessions ended" account=%[1]s scope=session reason=signed_out by=system seq=2 session=%[2]s
msg="sessions ended" account=%[1]s scope=session reason=signed_out by=system seq=0 session=%[2]s already=true
msg="sessions ended" account=%[1]s scope=session reason=signed_out by=system seq=3 session=%[3]s app=%[4]s
msg="sessions ended" account=%[1]s scope=account reason=signed_out by=system seq=4 ended=1
`, id, v.ID, w.ID, app)
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
