package store

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
)

// A log range says what its events say, though most of them are not read one by one.
func TestLogRange(t *testing.T) { onEachEngine(t, logRange) }

func logRange(t *testing.T, s *testStore) {
	a := s.account()
	for range 3 {
		s.end(endOne(s.session(a.ID)))
	}
	v := s.session(a.ID)
	one := endOne(v)
	one.AppSession = s.appSession(v, "chirp", epoch)
	s.end(one)
	s.end(endOthers(v))
	s.end(endOne(v))
	s.session(a.ID)
	s.end(endAll(a.ID))
	events, err := s.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	head := int64(len(events))
	for after := range head {
		for upTo := after + 1; upTo <= head; upTo++ {
			got, err := s.LogRange(t.Context(), after, upTo)
			if err != nil {
				t.Fatal(err)
			}
			var want [][]byte
			var others []exeunt.Event
			for _, e := range events[after:upTo] {
				switch {
				case e.Scope != exeunt.ScopeSession:
					others = append(others, e)
				case e.AppSession.IsZero():
					want = append(want, e.Session.Bytes())
				default:
					want = append(want, e.AppSession.Bytes())
				}
			}
			slices.SortFunc(got.Events, func(a, b exeunt.Event) int { return int(a.Seq - b.Seq) })
			ended := slices.Collect(slices.Chunk(got.Ended, 16))
			slices.SortFunc(ended, slices.Compare)
			slices.SortFunc(want, slices.Compare)
			if !reflect.DeepEqual(ended, want) || !reflect.DeepEqual(got.Events, others) ||
				!reflect.DeepEqual(got.Last, events[upTo-1]) {
				t.Errorf("from %d to %d: %x and %+v, the last is %+v; want %x and %+v", after, upTo, ended, got.Events,
					got.Last, want, others)
			}
		}
	}
	missing := func(what string, after, upTo int64) {
		t.Helper()
		if _, err := s.LogRange(t.Context(), after, upTo); err == nil ||
			!strings.Contains(err.Error(), "does not hold") {
			t.Errorf("%s: %v", what, err)
		}
	}
	missing("beyond the head", 0, head+1)
	if _, err := s.tx.conn.ExecContext(t.Context(), `DELETE FROM events WHERE seq = 2`); err != nil {
		t.Fatal(err)
	}
	missing("with a hole", 1, 3)
}
