package stream

import (
	"net/http"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
)

// A browser in which five accounts are signed in has a stream for each: it tells of its own account alone, and goes on when
// another one signs out.
func TestEachAccountsStreamIsItsOwn(t *testing.T) {
	s := newSite(t, exeunt.DefaultPolicy())
	handles := []string{"ada", "bob", "carol", "dora", "emil"}
	ids := map[string]exeunt.Session{}
	var cookies []string
	for _, handle := range handles {
		token, session := s.NewSession(t, s.NewAccount(t, handle), exeunt.KindKept)
		ids[handle] = session
		cookies = append(cookies, strings.Split(s.AsBrowser(token).Get("Cookie"), "; ")...)
	}
	header := http.Header{"Cookie": {strings.Join(cookies, "; ")}}
	streams := map[string]<-chan event{}
	for _, handle := range handles {
		streams[handle] = eventsOf(s.get(t, "/session/stream?session="+ids[handle].ID.String(), header))
		if got := next(t, streams[handle]); got.State != client.Live || got.Session != ids[handle].ID.String() {
			t.Fatalf("the stream of %s begins with %+v", handle, got)
		}
	}
	if got := next(t, eventsOf(s.get(t, "/session/stream", header))); got.State != client.Live { // the active one
		t.Errorf("without a name: %+v", got)
	}
	// One after the other signs out. Its own stream says so; what the others have said by then is theirs.
	for i, handle := range handles {
		s.SignOut(t, ids[handle])
		for e := range streams[handle] {
			for _, other := range handles {
				if other != handle && (strings.Contains(e.data, ids[other].ID.String()) || strings.Contains(e.data, other)) {
					t.Errorf("the stream of %s says %s", handle, e.data)
				}
			}
		}
		for _, other := range handles[i+1:] {
			select {
			case e, open := <-streams[other]:
				t.Errorf("as %s signed out, the stream of %s said %q (open: %v)", handle, other, e.data, open)
			default:
			}
		}
	}
}
