package exeunt

import (
	"crypto/rand"
	"time"
)

// PictureName names one picture of one account; the next picture has another. Whoever knows it may fetch the picture.
// "" is none.
type PictureName string

// NewPictureName returns a name that nobody can guess: 130 random bits.
func NewPictureName() PictureName { return PictureName(rand.Text()) }

// MaxPicture is how many bytes an uploaded picture may have.
const MaxPicture = 1 << 20

// The widths and heights of stored pictures, in pixels. Pages show the small one.
const (
	PictureLarge = 256
	PictureSmall = 128
)

// Picture is an account's picture as it is stored: two square JPEGs.
type Picture struct {
	Name         PictureName
	Small, Large []byte
	Changed      time.Time
}
