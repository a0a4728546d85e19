package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/exeunt/exeunt"
)

// The corners of the test image, by which its position is told.
var (
	topLeft     = color.RGBA{200, 30, 30, 255}
	topRight    = color.RGBA{30, 160, 40, 255}
	bottomLeft  = color.RGBA{40, 60, 200, 255}
	bottomRight = color.RGBA{230, 200, 40, 255}
)

// quarters has a colour in each corner of the square in its middle, and black beside it.
func quarters(width, height int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	square := centre(m.Bounds())
	middle := square.Min.Add(image.Pt(square.Dx()/2, square.Dy()/2))
	for y := range height {
		for x := range width {
			c := color.RGBA{0, 0, 0, 255}
			if image.Pt(x, y).In(square) {
				switch left, top := x < middle.X, y < middle.Y; {
				case left && top:
					c = topLeft
				case top:
					c = topRight
				case left:
					c = bottomLeft
				default:
					c = bottomRight
				}
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m
}

func asJPEG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asGIF(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gif.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// mustMake makes both pictures, of the right size, and returns them decoded.
func mustMake(t *testing.T, file []byte) (large, small image.Image) {
	t.Helper()
	l, s, err := Make(file)
	if err != nil {
		t.Fatal(err)
	}
	for side, data := range map[int][]byte{exeunt.PictureLarge: l, exeunt.PictureSmall: s} {
		m, format, err := image.Decode(bytes.NewReader(data))
		if err != nil || format != "jpeg" || m.Bounds() != image.Rect(0, 0, side, side) {
			t.Fatalf("a picture is %s of %v, %v", format, m.Bounds(), err)
		}
		if side == exeunt.PictureLarge {
			large = m
		} else {
			small = m
		}
	}
	return large, small
}

// near allows for what lossy formats and palettes change.
func near(c color.Color, want color.RGBA) bool {
	r, g, b, _ := c.RGBA()
	off := func(got uint32, want uint8) int { return max(int(got>>8)-int(want), int(want)-int(got>>8)) }
	return off(r, want.R) < 40 && off(g, want.G) < 40 && off(b, want.B) < 40
}

func mustBeUpright(t *testing.T, m image.Image) {
	t.Helper()
	low, high := m.Bounds().Dx()/8, m.Bounds().Dx()*7/8
	for at, want := range map[image.Point]color.RGBA{{X: low, Y: low}: topLeft, {X: high, Y: low}: topRight,
		{X: low, Y: high}: bottomLeft, {X: high, Y: high}: bottomRight} {
		if got := m.At(at.X, at.Y); !near(got, want) {
			t.Errorf("at %v the picture is %v, want %v", at, got, want)
		}
	}
}

func TestFormats(t *testing.T) {
	for name, file := range map[string][]byte{
		"a wide JPEG":     asJPEG(t, quarters(400, 300)),
		"a high JPEG":     asJPEG(t, quarters(300, 701)),
		"a small PNG":     asPNG(t, quarters(40, 20)),
		"a GIF":           asGIF(t, quarters(300, 300)),
		"a lossless WebP": fixture(t, "lossless.webp"),
		"a lossy WebP":    fixture(t, "lossy.webp"),
	} {
		t.Run(name, func(t *testing.T) {
			large, small := mustMake(t, file)
			mustBeUpright(t, large)
			mustBeUpright(t, small)
		})
	}
}

func TestProgressive(t *testing.T) {
	large, _ := mustMake(t, fixture(t, "progressive.jpg"))
	if c := large.At(128, 128); near(c, color.RGBA{}) || near(c, color.RGBA{255, 255, 255, 255}) {
		t.Errorf("in its middle it is %v", c)
	}
}

func TestTransparentBecomesWhite(t *testing.T) {
	large, _ := mustMake(t, asPNG(t, image.NewNRGBA(image.Rect(0, 0, 64, 64))))
	if got := large.At(128, 128); !near(got, color.RGBA{255, 255, 255, 255}) {
		t.Errorf("it is %v", got)
	}
}

func TestRefused(t *testing.T) {
	noise := image.NewRGBA(image.Rect(0, 0, 700, 700))
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(noise.Pix)
	big := asPNG(t, noise)
	if len(big) <= exeunt.MaxPicture {
		t.Fatalf("the big file has only %d bytes", len(big))
	}
	small := asJPEG(t, quarters(300, 300))
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"nothing":             {nil, ErrNoImage},
		"a text":              {[]byte("GIF89 is a format"), ErrNoImage},
		"an SVG":              {[]byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script/></svg>`), ErrNoImage},
		"a BMP":               {append([]byte("BM"), make([]byte, 100)...), ErrNoImage},
		"a header alone":      {small[:300], ErrNoImage},
		"a cut JPEG":          {half(small), ErrNoImage},
		"a cut PNG":           {half(asPNG(t, quarters(64, 64))), ErrNoImage},
		"a cut WebP":          {half(fixture(t, "lossy.webp")), ErrNoImage},
		"a large file":        {big, ErrTooBig},
		"a byte too large":    {padded(small, exeunt.MaxPicture+1), ErrTooBig},
		"a PNG bomb":          {pngOf(60_000, 60_000, 8, 2), ErrTooManyPixels},
		"a long PNG":          {pngOf(1<<30, 1, 8, 2), ErrTooManyPixels},
		"too many pixels":     {pngOf(5001, 5000, 8, 0), ErrTooManyPixels},
		"16 bits for each":    {pngOf(4000, 4000, 16, 6), ErrTooManyPixels},
		"a GIF bomb":          {[]byte("GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff"), ErrTooManyPixels},
		"a progressive bomb":  {patched(fixture(t, "progressive.jpg"), 3000, 3000), ErrTooManyPixels},
		"one of many scans":   {scans(fixture(t, "progressive.jpg"), maxScans), ErrNoImage},
		"a JPEG of no pixels": {patched(small, 0, 0), ErrNoImage},
		// What the decoder needs more memory for than the header's colours say.
		"a transparent grey":       {wholePNG(5000, 5000, 16, 0, 0, "\x00\x01"), ErrTooManyPixels},
		"several passes":           {wholePNG(5000, 5000, 8, 2, 1, ""), ErrTooManyPixels},
		"several transparent ones": {wholePNG(3000, 3000, 16, 0, 1, "\x00\x01"), ErrTooManyPixels},
		"RGB after the header":     {patched(lateRGB(small), 4000, 4000), ErrTooManyPixels},
		"four components":          {fourOf(4000, 4000), ErrTooManyPixels},
		"a lossless WebP bomb":     {webpOf(4000, 4000, false), ErrTooManyPixels},
		"one behind a header":      {webpOf(4000, 4000, true), ErrTooManyPixels},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Make(c.file); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	if _, _, err := Make(scans(fixture(t, "progressive.jpg"), maxScans/2)); err != nil {
		t.Errorf("one of several scans: %v", err)
	}
	if _, _, err := Make(padded(small, exeunt.MaxPicture)); err != nil {
		t.Errorf("exactly 1 MB: %v", err)
	}
}

// padded has trailing bytes, which viewers ignore.
func padded(file []byte, n int) []byte {
	return append(bytes.Clone(file), make([]byte, n-len(file))...)
}

// pngOf is a PNG that says it has that size, and ends there.
func pngOf(width, height uint32, depth, kind byte) []byte {
	head := binary.BigEndian.AppendUint32([]byte("IHDR"), width)
	head = append(binary.BigEndian.AppendUint32(head, height), depth, kind, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), head...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(head))
}

// wholePNG is a black PNG with all of its pixels, in passes or not, and with a transparent colour if there is one.
func wholePNG(width, height int, depth, kind, interlaced byte, transparent string) []byte {
	out := pngOf(uint32(width), uint32(height), depth, kind)
	out[28] = interlaced
	binary.BigEndian.PutUint32(out[29:], crc32.ChecksumIEEE(out[12:29]))
	chunk := func(name, data string) {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(data))), name+data...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE([]byte(name+data)))
	}
	if transparent != "" {
		chunk("tRNS", transparent)
	}
	type pass struct{ stepX, stepY, x, y int }
	passes := []pass{{1, 1, 0, 0}}
	if interlaced == 1 { // PNG, section 8.2
		passes = []pass{{8, 8, 0, 0}, {8, 8, 4, 0}, {4, 8, 0, 4}, {4, 4, 2, 0}, {2, 4, 0, 2}, {2, 2, 1, 0}, {1, 2, 0, 1}}
	}
	var data bytes.Buffer
	z := zlib.NewWriter(&data)
	size := map[byte]int{0: 1, 2: 3}[kind] * int(depth) / 8
	for _, p := range passes {
		row := make([]byte, 1+(width-p.x+p.stepX-1)/p.stepX*size)
		for range (height - p.y + p.stepY - 1) / p.stepY {
			_, _ = z.Write(row)
		}
	}
	_ = z.Close()
	chunk("IDAT", data.String())
	chunk("IEND", "")
	return out
}

// lateRGB is a JPEG that says behind its frame's header that it has no YCbCr but RGB.
func lateRGB(file []byte) []byte {
	at := bytes.Index(file, []byte{0xFF, startOfScan})
	return slices.Concat(file[:at], []byte("\xFF\xEE\x00\x0EAdobe\x00\x64\x00\x00\x00\x00\x00"), file[at:])
}

// fourOf begins a JPEG of that size with four components.
func fourOf(width, height uint16) []byte {
	out := binary.BigEndian.AppendUint16([]byte("\xFF\xD8\xFF\xC0\x00\x14\x08"), height)
	return append(binary.BigEndian.AppendUint16(out, width), "\x04\x01\x11\x00\x02\x11\x00\x03\x11\x00\x04\x11\x00\xFF\xDA\x00\x02"...)
}

// webpOf begins a lossless WebP of that size, behind a header of a lossy one perhaps.
func webpOf(width, height uint32, behind bool) []byte {
	var body []byte
	chunk := func(name string, data []byte) {
		body = append(binary.LittleEndian.AppendUint32(append(body, name...), uint32(len(data))), data...)
	}
	if behind {
		size := binary.LittleEndian.AppendUint32(make([]byte, 4), width-1)[:7]
		chunk("VP8X", binary.LittleEndian.AppendUint32(size, height-1)[:10])
	}
	chunk("VP8L", append(binary.LittleEndian.AppendUint32([]byte{0x2F}, width-1|(height-1)<<14), make([]byte, 5)...))
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(4+len(body))), append([]byte("WEBP"), body...)...)
}

// What a small file takes stays near the bound: the picture is scaled after it was decoded.
func TestMemory(t *testing.T) {
	for name, file := range map[string][]byte{
		"transparent grey": wholePNG(5000, 5000, 16, 0, 0, "\x00\x01"),
		"passes":           wholePNG(5000, 5000, 8, 2, 1, ""),
		"grey":             wholePNG(5000, 5000, 8, 0, 0, ""),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, _, err := Make(file); err != nil && !errors.Is(err, ErrTooManyPixels) {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		scaling := uint64(8 * 4 * exeunt.PictureLarge * 5000) // four numbers for each row of each column
		if got := after.TotalAlloc - before.TotalAlloc; got > maxMemory+scaling+10_000_000 {
			t.Errorf("%s of %d bytes has taken %d bytes", name, len(file), got)
		}
	}
}

// patched is a JPEG that says it has another size.
func patched(file []byte, width, height uint16) []byte {
	out := bytes.Clone(file)
	at := max(bytes.Index(out, []byte{0xFF, 0xC0}), bytes.Index(out, []byte{0xFF, progressiveDC}))
	binary.BigEndian.PutUint16(out[at+5:], height)
	binary.BigEndian.PutUint16(out[at+7:], width)
	return out
}

// scans repeats the first scan of a JPEG, which is allowed.
func scans(file []byte, more int) []byte {
	first := bytes.Index(file, []byte{0xFF, startOfScan})
	end := first + 2
	for file[end] != 0xFF || file[end+1] == 0 {
		end++
	}
	return slices.Concat(file[:end], bytes.Repeat(file[first:end], more), file[end:])
}

// A decoder skips what does not belong between the segments of a header. Whoever writes that there must not hide from us
// that the image is progressive, which takes five times the memory.
func TestHiddenProgressive(t *testing.T) {
	file := patched(fixture(t, "progressive.jpg"), 3000, 3000)
	at := bytes.Index(file, []byte{0xFF, progressiveDC})
	// What has no length would have one for us that leads just behind the frame.
	behind := binary.BigEndian.AppendUint16(nil, 2+2+binary.BigEndian.Uint16(file[at+2:]))
	for _, hidden := range []string{"x", "\xff\x00", "\xff\xd0", "\xff\x00" + string(behind),
		"\xff\xd1" + string(behind), "\xff", "\xff\xff"} {
		if _, _, err := Make([]byte(string(file[:at]) + hidden + string(file[at:]))); !errors.Is(err, ErrTooManyPixels) {
			t.Errorf("after %q: %v", hidden, err)
		}
	}
}

// exifOf is an APP1 segment of EXIF with an orientation, and a place and a maker's note for others to find.
func exifOf(order binary.AppendByteOrder, orientation uint16) []byte {
	entry := func(b []byte, tag, kind uint16, count, value uint32) []byte {
		b = order.AppendUint16(order.AppendUint16(b, tag), kind)
		return order.AppendUint32(order.AppendUint32(b, count), value)
	}
	mark := []byte("II")
	short := uint32(orientation)
	if order.String() == "BigEndian" {
		mark, short = []byte("MM"), uint32(orientation)<<16
	}
	tiff := order.AppendUint32(order.AppendUint16(mark, 42), 8)
	tiff = order.AppendUint16(tiff, 3)
	tiff = entry(tiff, 0x010F, 2, 13, 50) // the maker
	tiff = entry(tiff, 0x0112, 3, 1, short)
	tiff = entry(tiff, 0x8825, 4, 1, 63) // the place
	tiff = append(order.AppendUint32(tiff, 0), "Secret Maker\x00GPS 48.2082 N 16.3738 E"...)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	return append(binary.BigEndian.AppendUint16([]byte{0xFF, app1}, uint16(2+len(segment))), segment...)
}

func withSegment(file, segment []byte) []byte {
	return append(append(bytes.Clone(file[:2]), segment...), file[2:]...)
}

// stored is the image as a camera stores it that says where row 0 and column 0 belong (CIPA DC-008, table 6).
func stored(upright *image.RGBA, row0, column0 string) *image.RGBA {
	n := upright.Bounds().Dx()
	out := image.NewRGBA(upright.Bounds())
	for row := range n {
		for column := range n {
			var x, y int
			for side, at := range map[string]int{row0: row, column0: column} {
				switch side {
				case "top":
					y = at
				case "bottom":
					y = n - 1 - at
				case "left":
					x = at
				case "right":
					x = n - 1 - at
				}
			}
			out.SetRGBA(column, row, upright.RGBAAt(x, y))
		}
	}
	return out
}

func TestOrientation(t *testing.T) {
	for i, sides := range [][2]string{{"top", "left"}, {"top", "right"}, {"bottom", "right"}, {"bottom", "left"},
		{"left", "top"}, {"right", "top"}, {"right", "bottom"}, {"left", "bottom"}} {
		file := asJPEG(t, stored(quarters(300, 300), sides[0], sides[1]))
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			large, small := mustMake(t, withSegment(file, exifOf(order, uint16(i+1))))
			mustBeUpright(t, large)
			mustBeUpright(t, small)
			if t.Failed() {
				t.Fatalf("orientation %d, %v", i+1, order)
			}
		}
	}
	for _, unknown := range []uint16{0, 9, 65535} {
		large, _ := mustMake(t, withSegment(asJPEG(t, quarters(300, 300)), exifOf(binary.BigEndian, unknown)))
		mustBeUpright(t, large)
	}
}

// Nothing of the file is left but its pixels.
func TestMetadataIsGone(t *testing.T) {
	const comment = "written at home"
	file := withSegment(asJPEG(t, quarters(300, 300)), exifOf(binary.LittleEndian, 1))
	file = withSegment(file, append([]byte{0xFF, 0xFE, 0, byte(2 + len(comment))}, comment...))
	file = append(file, "<?php trailing ?>"...)
	var p bytes.Buffer
	if err := png.Encode(&p, quarters(30, 30)); err != nil {
		t.Fatal(err)
	}
	note := append([]byte("tEXt"), "Author\x00"+comment...)
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(note)-4))
	chunk = binary.BigEndian.AppendUint32(append(chunk, note...), crc32.ChecksumIEEE(note))
	const header = 8 + 25
	noted := append(append(bytes.Clone(p.Bytes()[:header]), chunk...), p.Bytes()[header:]...)
	for name, file := range map[string][]byte{"a JPEG": file, "a PNG": noted} {
		if !bytes.Contains(file, []byte(comment)) {
			t.Fatalf("%s has no comment", name)
		}
		large, small, err := Make(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, data := range [][]byte{large, small} {
			for _, left := range []string{"Exif", "Secret", "GPS", comment, "trailing", "II*\x00", "\xff\xe1", "\xff\xfe"} {
				if bytes.Contains(data, []byte(left)) {
					t.Errorf("%s: %q is left", name, left)
				}
			}
			if !bytes.HasSuffix(data, []byte{0xFF, 0xD9}) {
				t.Errorf("%s: something follows the image", name)
			}
		}
	}
}

func FuzzOrientation(f *testing.F) {
	f.Add(exifOf(binary.LittleEndian, 6)[10:])
	f.Add(exifOf(binary.BigEndian, 8)[10:])
	f.Add([]byte("II*\x00\xff\xff\xff\xff"))
	f.Add([]byte("MM\x00*\x00\x00\x00\x08\xff\xff"))
	f.Fuzz(func(t *testing.T, tiff []byte) {
		if got := readOrientation(tiff); got < 1 || got > 8 {
			t.Errorf("orientation %d", got)
		}
	})
}

// What we take for a JPEG of one scan is one for the decoder too, whatever the file is.
func FuzzJPEG(f *testing.F) {
	small := asJPEG(f, quarters(16, 16))
	f.Add(small)
	f.Add(withSegment(small, exifOf(binary.LittleEndian, 6)))
	f.Add(fixture(f, "progressive.jpg"))
	f.Add([]byte("\xff\xd8\xff\xe1\xff\xff")) // longer than there is
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x01")) // shorter than its own length
	f.Fuzz(func(t *testing.T, file []byte) {
		orientation, progressive := readJPEG(file)
		if orientation < 1 || orientation > 8 {
			t.Errorf("orientation %d", orientation)
		}
		if _, err := jpeg.DecodeConfig(bytes.NewReader(file)); progressive || err != nil {
			return
		}
		// If the decoder has read the size from a progressive frame, it cannot read it without.
		without := bytes.ReplaceAll(file, []byte{0xFF, progressiveDC}, []byte{0xFF, progressiveDC + 1})
		if _, err := jpeg.DecodeConfig(bytes.NewReader(without)); err != nil {
			t.Errorf("a progressive frame was not seen: %v", err)
		}
	})
}

func half(file []byte) []byte { return file[:len(file)/2] }
