package store

import (
	"bytes"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/testpg"
)

func copying(from, to string) Copying {
	return Copying{From: from, To: to, Now: epoch, Log: slog.New(slog.DiscardHandler), Told: func(Copied) {}}
}

func TestCopyTakesEverything(t *testing.T) {
	file := newStore(t)
	a, b := file.account(), file.account()
	kept, ended, gone := file.session(a.ID), file.session(a.ID), file.session(b.ID)
	file.end(endOne(ended))
	file.end(endAll(b.ID))
	chirp := newClient("chirp")
	if err := file.AddClient(t.Context(), chirp, operator, epoch); err != nil {
		t.Fatal(err)
	}
	chirp, err := file.Client(t.Context(), chirp.ID)
	if err != nil {
		t.Fatal(err)
	}
	file.changeGroup("staff", false, a.ID)
	shown := testPicture(7)
	if _, _, err := file.ChangePicture(t.Context(), a.ID, PictureChange{Picture: shown}, operator, epoch); err != nil {
		t.Fatal(err)
	}
	before := file.count(`SELECT count(*) FROM audit`)
	file.Close()
	url := testpg.NewDatabase(t)
	var last Copied
	c := copying(file.url, url)
	c.Told = func(c Copied) { last = c }
	if err := Copy(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if last.Rest != 0 || last.Rows == 0 {
		t.Errorf("told %+v at the end", last)
	}
	s := openStore(t, url)
	for _, c := range []struct {
		v    exeunt.Session
		live bool
	}{{kept, true}, {ended, false}, {gone, false}} {
		v, live := c.v, c.live
		got, err := s.Session(t.Context(), v.Account, v.ID)
		if err != nil || (got.End == nil) != live {
			t.Errorf("%s: %+v, %v", v.ID, got.End, err)
		}
	}
	if n := s.count(`SELECT count(*) FROM audit`); n != before {
		t.Errorf("%d audit entries of %d", n, before)
	}
	if got, err := s.Client(t.Context(), chirp.ID); err != nil || !reflect.DeepEqual(got, chirp) {
		t.Errorf("the client is %+v, %v", got, err)
	}
	if got, err := s.Account(t.Context(), a.ID); err != nil || !slices.Equal(got.Groups, []string{"staff"}) {
		t.Errorf("the account is %+v, %v", got, err)
	}
	if got, err := s.PictureByName(t.Context(), shown.Name); err != nil || !bytes.Equal(got.Large, shown.Large) {
		t.Errorf("the picture: %v", err)
	}
	// It goes on where the file stopped.
	if out := s.end(endOne(kept)); out.Seq != 6 {
		t.Errorf("the next event is number %d", out.Seq)
	}
	s.announced = nil
	s.checkLog()
	if err := Copy(t.Context(), c); err == nil || !strings.Contains(err.Error(), "in use already") {
		t.Errorf("copied over what was there: %v", err)
	}
	if err := Copy(t.Context(), copying(url, file.url)); err == nil {
		t.Error("copied the wrong way round")
	}
}

// A table that Copy does not know would be left behind.
func TestCopyKnowsEveryTable(t *testing.T) {
	s := newStore(t)
	s.account()
	if n := s.count(`SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
		AND name NOT IN ('goose_db_version', 'nodes')`); n != int64(len(tables)) {
		t.Errorf("there are %d tables, and Copy takes %d", n, len(tables))
	}
}
