package store

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/exeunt/exeunt"
)

// Whatever text one caller sends, its neighbours' ends are committed together and not one by one.
func TestNobodysTextUndoesTheOthers(t *testing.T) { onEachEngine(t, nobodysText) }

func nobodysText(t *testing.T, s *testStore) {
	a := s.account()
	texts := []string{"\xff", "a\x00b", "\xed\xa0\x80", "good"}
	var list []exeunt.Session
	for range 40 {
		list = append(list, s.session(a.ID))
	}
	release := s.hold()
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, v := range list {
		rev := endOne(v)
		rev.Key = texts[i%len(texts)] + v.ID.String()
		by := exeunt.Actor{Kind: exeunt.ActorOperator, Label: texts[i%len(texts)]}
		wg.Go(func() { _, errs[i] = s.End(context.Background(), by, rev, Change{}, epoch) })
	}
	s.queued(len(list))
	before := s.count(`SELECT touched FROM log_head`)
	release()
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := s.count(`SELECT touched FROM log_head`) - before; n > 2 {
		t.Errorf("%d ends took %d transactions", len(list), n)
	}
	// A repetition under the same key is one still.
	rev := endOne(list[0])
	rev.Key = texts[0] + list[0].ID.String()
	if out, err := s.End(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator, Label: texts[0]}, rev, Change{},
		epoch); err != nil || !out.Already {
		t.Errorf("%+v, %v", out, err)
	}
	s.checkLog()
}

// Look-ups by invalid text find nothing, on either engine.
func TestNoTextNamesNobody(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		s.account()
		for _, name := range []string{"a\x00b@c.example", "a\x00b", "\xff\xfe", "\xff@c.example"} {
			if _, _, err := s.Identify(t.Context(), name); !errors.Is(err, exeunt.ErrNotFound) {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
}
