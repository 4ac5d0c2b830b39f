package dataset

import (
	"bytes"
	"encoding/binary"
	"image"
	"io"
)

// orientation returns how a JPEG picture is to be turned before it is looked at, 1 to 8 as
// the tag Orientation of EXIF 2.32 (section 4.6.4) has it: 1 is as it is. Where the file
// does not say so, or not in the way of the standard, it is 1.
func orientation(r io.Reader) int {
	var two [2]byte
	next := func() int {
		if _, err := io.ReadFull(r, two[:]); err != nil {
			return -1
		}
		return int(binary.BigEndian.Uint16(two[:]))
	}
	if next() != 0xffd8 {
		return 1
	}
	// Segments: a marker, the length with its own two bytes, content. EXIF stands in an
	// APP1 segment before the picture.
	for range 64 {
		marker, length := next(), next()
		if marker < 0xffc0 || marker == 0xffda || length < 2 {
			return 1
		}
		content := io.LimitReader(r, int64(length-2))
		if marker == 0xffe1 {
			text, err := io.ReadAll(content)
			if err != nil {
				return 1
			}
			if rest, ok := bytes.CutPrefix(text, []byte("Exif\x00\x00")); ok {
				return exifOrientation(rest)
			}
			continue
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			return 1
		}
	}
	return 1
}

// exifOrientation looks for the orientation in the first directory of a TIFF structure.
func exifOrientation(text []byte) int {
	var order binary.ByteOrder = binary.LittleEndian
	if bytes.HasPrefix(text, []byte("MM")) {
		order = binary.BigEndian
	}
	if len(text) < 8 || order.Uint16(text[2:]) != 42 {
		return 1
	}
	at := uint64(order.Uint32(text[4:]))
	if at+2 > uint64(len(text)) {
		return 1
	}
	entries := text[at+2:]
	for range order.Uint16(text[at:]) {
		const size, tag, short = 12, 0x112, 3
		if len(entries) < size {
			return 1
		}
		if order.Uint16(entries) == tag && order.Uint16(entries[2:]) == short {
			if v := int(order.Uint16(entries[8:])); v >= 1 && v <= 8 {
				return v
			}
			return 1
		}
		entries = entries[size:]
	}
	return 1
}

// turned reports whether an orientation exchanges rows and columns.
func turned(orientation int) bool { return orientation >= 5 }

// upright returns the picture as it is to be looked at.
func upright(p *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 {
		return p
	}
	w, h := p.Rect.Dx(), p.Rect.Dy()
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	if turned(orientation) {
		out = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			// Where the pixel of stored column x and row y is seen.
			to := image.Pt(x, y)
			switch orientation {
			case 2:
				to = image.Pt(w-1-x, y)
			case 3:
				to = image.Pt(w-1-x, h-1-y)
			case 4:
				to = image.Pt(x, h-1-y)
			case 5:
				to = image.Pt(y, x)
			case 6:
				to = image.Pt(h-1-y, x)
			case 7:
				to = image.Pt(h-1-y, w-1-x)
			case 8:
				to = image.Pt(y, w-1-x)
			}
			copy(out.Pix[out.PixOffset(to.X, to.Y):][:4], p.Pix[p.PixOffset(x, y):][:4])
		}
	}
	return out
}
