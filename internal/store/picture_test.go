package store

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func testPicture(fill byte) *exeunt.Picture {
	return &exeunt.Picture{Name: exeunt.NewPictureName(), Small: bytes.Repeat([]byte{fill}, 3000),
		Large: bytes.Repeat([]byte{fill}, 15_000)}
}

func TestPictures(t *testing.T) { onEachEngine(t, pictures) }

func pictures(t *testing.T, s *testStore) {
	ada, grace := person("ada", "", false), person("grace", "", false)
	for _, a := range []exeunt.Account{ada, grace} {
		if err := s.AddAccount(t.Context(), a, Credential{}, nil, exeunt.System()); err != nil {
			t.Fatal(err)
		}
	}
	set := func(id exeunt.AccountID, p *exeunt.Picture, at time.Time) exeunt.Profile {
		t.Helper()
		profile, _, err := s.ChangePicture(t.Context(), id, PictureChange{Picture: p}, exeunt.System(), at)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := s.Profile(t.Context(), id); err != nil || again.Picture != profile.Picture ||
			again.Version != profile.Version {
			t.Fatalf("the profile was %+v and is %+v, %v", profile, again, err)
		}
		return profile
	}
	gone := func(name exeunt.PictureName) {
		t.Helper()
		_, err := s.PictureByName(t.Context(), name)
		wantErr(t, err, exeunt.ErrNotFound)
	}

	first, second := testPicture(1), testPicture(2)
	if p := set(ada.ID, first, epoch); p.Picture != first.Name || p.Version != 2 {
		t.Errorf("with a picture: %+v", p)
	}
	// Grace may have the same picture, under another name.
	set(grace.ID, testPicture(1), epoch)

	// The same again, as by a second press, is what is there.
	if p := set(ada.ID, testPicture(1), epoch.Add(time.Minute)); p.Picture != first.Name || p.Version != 2 {
		t.Errorf("the same again: %+v", p)
	}
	got, err := s.Picture(t.Context(), ada.ID)
	if err != nil || got.Name != first.Name || !bytes.Equal(got.Small, first.Small) || !bytes.Equal(got.Large, first.Large) ||
		!got.Changed.Equal(epoch) {
		t.Errorf("the picture %s of %v, %v", got.Name, got.Changed, err)
	}

	if p := set(ada.ID, second, epoch.Add(2*time.Minute)); p.Picture != second.Name || p.Version != 3 {
		t.Errorf("with another picture: %+v", p)
	}
	gone(first.Name)
	if got, err := s.PictureByName(t.Context(), second.Name); err != nil || !bytes.Equal(got.Large, second.Large) {
		t.Errorf("by its name: %v", err)
	}

	// Apps may not show the picture of somebody who may not sign in.
	if _, err := s.End(t.Context(), exeunt.System(), exeunt.Revocation{Reason: exeunt.ReasonDisabled,
		Target: exeunt.Target{Account: ada.ID, Scope: exeunt.ScopeAccount}},
		Change{Status: exeunt.AccountDisabled}, epoch); err != nil {
		t.Fatal(err)
	}
	gone(second.Name)
	if err := s.Enable(t.Context(), ada.ID, exeunt.System(), epoch); err != nil {
		t.Fatal(err)
	}

	// Whoever signs in finds it, as whoever is signed in does.
	signedIn := newSession(s.proof(ada.ID), epoch)
	if _, err := s.StartSession(t.Context(), signedIn); err != nil {
		t.Fatal(err)
	}
	want, err := s.Profile(t.Context(), ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	if sn, err := s.Load(t.Context(), exeunt.UseSession, signedIn.Hash); err != nil || !reflect.DeepEqual(sn.Profile, want) {
		t.Errorf("with the session comes %+v, %v, and there is %+v", sn.Profile, err, want)
	}

	for range 2 { // removing what is not there is done already
		if p := set(ada.ID, nil, epoch.Add(3*time.Minute)); p.Picture != "" || p.Version != 4 {
			t.Errorf("without a picture: %+v", p)
		}
	}
	gone(second.Name)
	_, err = s.Picture(t.Context(), ada.ID)
	wantErr(t, err, exeunt.ErrNotFound)
	if _, err := s.Picture(t.Context(), grace.ID); err != nil {
		t.Errorf("another account's: %v", err)
	}
	_, _, err = s.ChangePicture(t.Context(), exeunt.NewAccountID(), PictureChange{Picture: first}, exeunt.System(), epoch)
	wantErr(t, err, exeunt.ErrNotFound)

	var reasons []exeunt.Reason
	list, err := s.Audit(t.Context(), exeunt.AuditFilter{Account: ada.ID})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.Action == exeunt.AuditProfile {
			reasons = append(reasons, exeunt.Reason(e.Detail))
		}
	}
	if len(reasons) != 3 || reasons[0] != exeunt.ReasonPictureRemoved || reasons[1] != exeunt.ReasonPictureChanged ||
		reasons[2] != exeunt.ReasonPictureChanged {
		t.Errorf("the history has %q", reasons)
	}
	s.checkLog()
}

// A form that was held back until its session ended changes nothing, and neither does one with a token that was replaced.
func TestPicturesNeedALiveSession(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		a := s.account().ID
		session := s.session(a)
		by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: a, Session: session.ID}
		other := exeunt.NewToken(exeunt.UseSession).Hash()
		_, _, err := s.ChangePicture(t.Context(), a, PictureChange{Picture: testPicture(1), Token: other}, by, epoch)
		wantErr(t, err, exeunt.ErrRenewed)
		s.end(endOne(session))
		_, _, err = s.ChangePicture(t.Context(), a, PictureChange{Picture: testPicture(1)}, by, epoch)
		wantErr(t, err, exeunt.ErrSignedOut)
		if _, err := s.Picture(t.Context(), a); !errors.Is(err, exeunt.ErrNotFound) {
			t.Errorf("and yet: %v", err)
		}
	})
}
