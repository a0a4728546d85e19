package verify

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
)

// carried is a network that answers everything with one stream.
type carried string

func (c carried) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}},
		Body: io.NopCloser(strings.NewReader(string(c))), Request: r}, nil
}

// Whatever a stream carries: the log is followed one number at a time or not at
// all, nothing is kept across another history, and no window opens by itself.
func FuzzEventStream(f *testing.F) {
	const same = "event: same\ndata: {\"epoch\":\"e1\",\"seq\":0}\n\n"
	event := logText(client.LogEvent{Kind: client.EventEnded, Seq: 1, Digest: "d1", Scope: "session",
		Account: "acc_ada", Session: "ses_1"})
	for _, s := range []string{
		"", same, same + event, same + event + event, same +
			logText(client.LogEvent{Kind: client.EventEnded, Seq: 2, Digest: "d2", Scope: "account", Account: "acc_x",
				Generation: 9}),
		same + "event: beat\ndata: {\"epoch\":\"e1\",\"seq\":0,\"age\":1}\n\n",
		same + "event: reload\ndata: {\"epoch\":\"e1\",\"seq\":7}\n\n",
		same + "data\n\nid: 5\n:\n\nevent: log\ndata: {\"seq\":1}\n\n", strings.Repeat("data: x\n", 100) + "\n",
		same + "event: new\ndata: {}\n\n" + event,
		event, "event: reload\ndata: {\"epoch\":\"e2\",\"seq\":0}\n\n" + event,
		strings.Replace(same, "e1", "e2", 1) + event,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		c, err := client.New("http://exeunt.localhost", client.Options{Transport: carried(stream)})
		if err != nil {
			t.Fatal(err)
		}
		v := newFake().verifier(t)
		v.reset(client.Place{Epoch: "e1"})
		hash := hashOf(client.NewSecret("exa_x"))
		p := client.Person{Account: "acc_ada", Session: "ses_1", AppSession: "app_1"}
		v.store(hash, &client.Checked{Person: p, Place: v.history.place(), Generation: 1}, v.now())
		at, ended := v.history.place(), false
		err = c.StreamLog(t.Context(), v.Key, at, time.Minute, func(m client.LogMessage) error {
			err := v.handle(m)
			now := v.history.place()
			switch {
			case err == nil && m.Name == client.MessageLog:
				if now.Epoch != at.Epoch || now.Seq != at.Seq+1 || m.Event.Seq != now.Seq {
					t.Fatalf("event %d was applied after %d", m.Event.Seq, at.Seq)
				}
				ended = ended || covers(&m.Event, &p, 1)
			case err == nil && m.Name == client.MessageReload:
				if now != m.Position.Place {
					t.Fatalf("told to go on from %+v, and went on from %+v", m.Position.Place, now)
				}
				ended = true
			case now != at:
				t.Fatalf("%q moved the log from %+v to %+v", m.Name, at, now)
			}
			at = now
			return err
		})
		if err == nil {
			t.Fatal("a stream ended without saying so")
		}
		if v.table.find(&hash) != nil && ended {
			t.Fatal("it was ended, and is kept")
		}
		if v.window.Load() != nil {
			t.Fatal("a stream opened a window")
		}
		v.lost(err)
		if errors.Is(err, errDiverged) && (v.table.count != 0 || v.history.epoch != "") {
			t.Fatal("something was kept across another history")
		}
	})
}
