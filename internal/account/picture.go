package account

import (
	"context"
	"errors"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/picture"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// perPicture limits how often an account may upload a picture, of any kind: a large one takes a second of work.
var perPicture = throttle.Rate{Burst: 10, Every: time.Minute}

// pictureWait is for how long an upload waits for those before it.
const pictureWait = 10 * time.Second

// ChangePicture makes an account's picture of an image file. from is the token that the actor has presented. It may
// return a FieldError of "picture", when the file cannot be used or too many others wait; ErrSignedOut, when the actor's
// session has ended; ErrRenewed, when it has another token by now; a ThrottledError; ErrUnavailable or ErrNotConfirmed.
// Nothing was changed then. The picture that the account has already changes nothing.
func (s *Service) ChangePicture(ctx context.Context, by exeunt.Actor, from exeunt.Token, file []byte) error {
	switch {
	case len(file) == 0:
		return fieldError("picture", "needed", "Choose a picture first.")
	case len(file) > exeunt.MaxPicture:
		return pictureError(picture.ErrTooBig)
	}
	if wait := s.throttle.Take("picture "+by.Account.String(), perPicture, throttle.WideNetwork(by.Address)); wait > 0 {
		return &exeunt.ThrottledError{RetryAfter: wait, Limit: exeunt.LimitProfileChanges}
	}
	large, small, err := s.makePicture(ctx, file)
	if err != nil {
		return pictureError(err)
	}
	_, err = s.savePicture(ctx, by, store.PictureChange{Token: from.Hash(),
		Picture: &exeunt.Picture{Name: exeunt.NewPictureName(), Small: small, Large: large}}, by.Account)
	return err
}

// RemovePicture removes an account's picture, and reports whether it had one. by is its owner, who has presented from, or
// an operator. Its errors are those of ChangePicture, and ErrForbidden.
func (s *Service) RemovePicture(
	ctx context.Context, by exeunt.Actor, from exeunt.Token, of exeunt.AccountID,
) (removed bool, err error) {
	if by.Kind != exeunt.ActorOperator {
		if by.Account != of {
			return false, exeunt.ErrForbidden
		}
		key := "profile " + by.Account.String()
		if wait := s.throttle.Take(key, perProfile, throttle.WideNetwork(by.Address)); wait > 0 {
			return false, &exeunt.ThrottledError{RetryAfter: wait, Limit: exeunt.LimitProfileChanges}
		}
	}
	return s.savePicture(ctx, by, store.PictureChange{Token: from.Hash()}, of)
}

func (s *Service) savePicture(
	ctx context.Context, by exeunt.Actor, c store.PictureChange, of exeunt.AccountID,
) (changed bool, err error) {
	_, err = s.Authority.SaveProfile(ctx, of, func(ctx context.Context) (p exeunt.Profile, err error) {
		p, changed, err = s.Store.ChangePicture(ctx, of, c, by, s.Now())
		return p, err
	})
	return changed, err
}

// Picture returns an account's picture, or ErrNotFound.
func (s *Service) Picture(ctx context.Context, of exeunt.AccountID) (exeunt.Picture, error) {
	return s.Store.Picture(ctx, of)
}

// PictureByName returns the picture of that name, or ErrNotFound.
func (s *Service) PictureByName(ctx context.Context, name exeunt.PictureName) (exeunt.Picture, error) {
	return s.Store.PictureByName(ctx, name)
}

var errPicturesWait = errors.New("other pictures are being worked on")

// makePicture works on one picture at a time, because each may take 100 MB.
func (s *Service) makePicture(ctx context.Context, file []byte) (large, small []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, pictureWait)
	defer cancel()
	select {
	case s.drawing <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, errPicturesWait
	}
	defer func() { <-s.drawing }()
	return picture.Make(file)
}

func pictureError(err error) error {
	switch {
	case errors.Is(err, picture.ErrTooBig):
		return fieldError("picture", "too_big", "A picture has at most 1 MB. Choose a smaller one, or make this one smaller.")
	case errors.Is(err, picture.ErrNoImage):
		return fieldError("picture", "no_image", "That is not a JPEG, PNG, GIF or WebP picture, or it is damaged.")
	case errors.Is(err, picture.ErrTooManyPixels):
		return fieldError("picture", "pixels", "That picture has too many pixels. Make it smaller, then try again.")
	case errors.Is(err, errPicturesWait):
		return fieldError("picture", "busy", "Other pictures are being worked on. Try again in a few seconds.")
	}
	return err
}
