// Package picture makes of an image that somebody has uploaded the two small pictures of an account.
//
// It owns which images are accepted and what becomes of them: nothing of the file is passed on but its pixels, cut to a
// square, in their upright position. It does not store anything, and does not limit how many images are worked on at the
// same time; package account does.
package picture

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	_ "image/gif" // one of the accepted formats; of several frames the first counts
	"image/jpeg"
	_ "image/png" // one of the accepted formats
	"slices"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // one of the accepted formats

	"github.com/exeunt/exeunt"
)

// Why an image is refused.
var (
	ErrTooBig        = errors.New("the file is larger than 1 MB")
	ErrNoImage       = errors.New("the file is not a JPEG, PNG, GIF or WebP image, or is damaged")
	ErrTooManyPixels = errors.New("the image has too many pixels")
)

// A small file can be of an image that fills the memory. So before it is decoded its header says how large it is.
const (
	maxPixels = 25_000_000
	maxMemory = 100_000_000 // bytes, while it is decoded
	// maxScans is far more than a progressive JPEG has. Each takes a walk over the whole image, and few bytes.
	maxScans = 64
)

var formats = []string{"jpeg", "png", "gif", "webp"}

// quality of the JPEGs: a face is then about 5 and 15 kB.
const quality = 85

// Make returns the large and the small picture, as JPEGs. It may return ErrTooBig, ErrNoImage or ErrTooManyPixels.
func Make(file []byte) (large, small []byte, err error) {
	if len(file) > exeunt.MaxPicture {
		return nil, nil, ErrTooBig
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil || !slices.Contains(formats, format) || config.Width < 1 || config.Height < 1 {
		return nil, nil, ErrNoImage
	}
	upright, progressive := 1, false
	if format == "jpeg" {
		upright, progressive = readJPEG(file)
		if bytes.Count(file, []byte{0xFF, startOfScan}) > maxScans {
			return nil, nil, ErrNoImage
		}
	}
	pixels := int64(config.Width) * int64(config.Height)
	if pixels > maxPixels || pixels*bytesPerPixel(file, format, config.ColorModel, progressive) > maxMemory {
		return nil, nil, ErrTooManyPixels
	}
	m, _, err := image.Decode(bytes.NewReader(file))
	if err != nil || m.Bounds().Empty() {
		return nil, nil, ErrNoImage
	}
	square := turned(scaled(m, centre(m.Bounds()), exeunt.PictureLarge), upright)
	if large, err = encoded(square); err != nil {
		return nil, nil, err
	}
	small, err = encoded(scaled(square, square.Bounds(), exeunt.PictureSmall))
	return large, small, err
}

// bytesPerPixel is no less than what the decoder allocates for each pixel. The model in the header is not enough: a decoder
// may make another image of its first one, or have several at the same time.
func bytesPerPixel(file []byte, format string, m color.Model, progressive bool) int64 {
	switch format {
	case "jpeg":
		return jpegBytes(file, m, progressive)
	case "png":
		return pngBytes(file, m)
	case "webp":
		// A lossless image, or a transparency that is stored like one, has an intermediate image of 4 bytes for each pixel,
		// whatever the header in front says.
		if m == color.YCbCrModel && !bytes.Contains(file, []byte("VP8L")) {
			return 3
		}
		return 9
	}
	return 1 // a palette
}

func jpegBytes(file []byte, m color.Model, progressive bool) int64 {
	var n, components int64
	switch {
	case m == color.GrayModel:
		n, components = 1, 1
	case m == color.CMYKModel:
		n, components = 4+4, 4 // the components as they are stored, and the image of them
	case m == color.YCbCrModel && !saysRGB(file):
		n, components = 3, 3
	default:
		n, components = 3+4, 3
	}
	if progressive {
		n += 4 * components // a coefficient of each
	}
	return n
}

// saysRGB reports whether anything in a JPEG may say that its components are red, green and blue. The decoder finds that
// behind the header, too, and makes another image then.
func saysRGB(file []byte) bool {
	const transform = 11 // in Adobe's segment, from its name on; 0 for none
	for rest := file; ; rest = rest[1:] {
		i := bytes.Index(rest, []byte("Adobe"))
		if i < 0 {
			return false
		}
		if rest = rest[i:]; len(rest) <= transform || rest[transform] == 0 {
			return true
		}
	}
}

func pngBytes(file []byte, m color.Model) int64 {
	var n int64 = 1 // a palette
	transparent := bytes.Contains(file, []byte("tRNS"))
	switch m {
	case color.GrayModel:
		if transparent {
			n = 4 // a colour that is transparent makes it one with transparency
		}
	case color.Gray16Model:
		if n = 2; transparent {
			n = 8
		}
	case color.RGBA64Model, color.NRGBA64Model:
		n = 8
	case color.NRGBAModel, color.RGBAModel:
		n = 4
	}
	const interlace = 28 // where the header says so (PNG, section 11.2.1)
	if len(file) <= interlace || file[interlace] != 0 {
		n *= 2 // each pass is an image of its own
	}
	return n
}

// centre is the largest square in the middle.
func centre(r image.Rectangle) image.Rectangle {
	side := min(r.Dx(), r.Dy())
	at := r.Min.Add(image.Pt((r.Dx()-side)/2, (r.Dy()-side)/2))
	return image.Rectangle{at, at.Add(image.Pt(side, side))}
}

// scaled scales a square part of an image. What is transparent becomes white.
func scaled(m image.Image, part image.Rectangle, side int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.CatmullRom.Scale(out, out.Bounds(), m, part, draw.Over, nil)
	return out
}

// turned puts a square upright that was stored in one of the orientations of EXIF (CIPA DC-008, table 6).
func turned(m *image.RGBA, orientation int) *image.RGBA {
	last := m.Bounds().Dx() - 1
	var from func(x, y int) (int, int)
	switch orientation {
	case 2:
		from = func(x, y int) (int, int) { return last - x, y }
	case 3:
		from = func(x, y int) (int, int) { return last - x, last - y }
	case 4:
		from = func(x, y int) (int, int) { return x, last - y }
	case 5:
		from = func(x, y int) (int, int) { return y, x }
	case 6:
		from = func(x, y int) (int, int) { return y, last - x }
	case 7:
		from = func(x, y int) (int, int) { return last - y, last - x }
	case 8:
		from = func(x, y int) (int, int) { return last - y, x }
	default:
		return m
	}
	out := image.NewRGBA(m.Bounds())
	for y := range last + 1 {
		for x := range last + 1 {
			out.SetRGBA(x, y, m.RGBAAt(from(x, y)))
		}
	}
	return out
}

func encoded(m image.Image) ([]byte, error) {
	var out bytes.Buffer
	err := jpeg.Encode(&out, m, &jpeg.Options{Quality: quality})
	return out.Bytes(), err
}
