package picture

import (
	"bytes"
	"encoding/binary"
)

// Markers of JPEG (ITU T.81, table B.1).
const (
	startOfScan   = 0xDA
	progressiveDC = 0xC2
	app1          = 0xE1
)

// readJPEG reads what a JPEG's header says besides its size: how the image must be turned, 1 to 8 as EXIF counts, and
// whether it is progressive. A decoder finds its way in headers that are malformed, perhaps to where this does not: then
// it may be progressive.
func readJPEG(file []byte) (orientation int, progressive bool) {
	orientation = 1
	for rest := file[min(2, len(file)):]; len(rest) >= 4 && rest[0] == 0xFF; {
		if rest[1] == 0xFF { // a fill byte
			rest = rest[1:]
			continue
		}
		marker, n := rest[1], 2+int(binary.BigEndian.Uint16(rest[2:]))
		switch {
		case marker == startOfScan:
			return orientation, progressive
		case marker < 0xC0, marker >= 0xD0 && marker <= 0xD9, n < 4, n > len(rest):
			return orientation, true
		}
		segment := rest[4:n]
		switch marker {
		case progressiveDC:
			progressive = true
		case app1:
			if tiff, ok := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); ok && orientation == 1 {
				orientation = readOrientation(tiff)
			}
		}
		rest = rest[n:]
	}
	return orientation, true
}

// readOrientation reads the one tag from the first directory of a TIFF structure (CIPA DC-008, section 4.6.4), and
// returns 1 if there is none.
func readOrientation(tiff []byte) int {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(tiff, []byte("II*\x00")):
		order = binary.LittleEndian
	case bytes.HasPrefix(tiff, []byte("MM\x00*")):
		order = binary.BigEndian
	default:
		return 1
	}
	if len(tiff) < 8 {
		return 1
	}
	at := order.Uint32(tiff[4:])
	if uint64(at)+2 > uint64(len(tiff)) {
		return 1
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			break
		}
		const tag, short = 0x0112, 3
		if order.Uint16(entries) == tag && order.Uint16(entries[2:]) == short {
			if v := order.Uint16(entries[8:]); v >= 1 && v <= 8 {
				return int(v)
			}
			break
		}
		entries = entries[12:]
	}
	return 1
}
