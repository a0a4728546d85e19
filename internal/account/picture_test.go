package account

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"testing"
	"testing/synctest"

	"github.com/exeunt/exeunt"
)

func testImage(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 20, 20))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A picture is its owner's, and operators remove one that nobody should have to see. Nobody else does.
func TestWhoRemovesAPicture(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	ada, grace := d.add("ada", "", false), d.add("grace", "", false)
	if err := d.ChangePicture(ctx, exeunt.Actor{Kind: exeunt.ActorSystem, Account: ada}, exeunt.Token{}, testImage(t)); err != nil {
		t.Fatal(err)
	}
	other := exeunt.Actor{Kind: exeunt.ActorPerson, Account: grace, Address: home}
	if _, err := d.RemovePicture(ctx, other, exeunt.Token{}, ada); !errors.Is(err, exeunt.ErrForbidden) {
		t.Errorf("another person: %v", err)
	}
	if _, err := d.Picture(ctx, ada); err != nil {
		t.Errorf("and yet: %v", err)
	}
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}
	for _, had := range []bool{true, false} {
		if removed, err := d.RemovePicture(ctx, operator, exeunt.Token{}, ada); err != nil || removed != had {
			t.Errorf("the operator removed one: %t, %v", removed, err)
		}
	}
	if _, err := d.Picture(ctx, ada); !errors.Is(err, exeunt.ErrNotFound) {
		t.Errorf("removed, and yet: %v", err)
	}
}

// One picture is made at a time. Whoever has waited too long, or has gone, is told and nothing is changed.
func TestPicturesWait(t *testing.T) {
	file := testImage(t)
	synctest.Test(t, func(t *testing.T) {
		s := &Service{drawing: make(chan struct{}, 1)}
		s.drawing <- struct{}{}
		if _, _, err := s.makePicture(t.Context(), file); exeunt.CodeOf(pictureError(err)) != "busy" {
			t.Errorf("after %v: %v", pictureWait, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := s.makePicture(gone, file); err == nil {
			t.Error("worked for somebody who has gone")
		}
		<-s.drawing
		if _, _, err := s.makePicture(t.Context(), file); err != nil {
			t.Errorf("when it is their turn: %v", err)
		}
		if len(s.drawing) != 0 {
			t.Error("the turn was not given back")
		}
	})
}
