package dataset

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// headBytes is how much of a text is looked at before it is read.
const headBytes = 1 << 16

// plainText returns a text as UTF-8 with lines that end with LF or CRLF, and its first
// bytes, up to headBytes: whole says that these are all. A byte order mark is no part of it:
// U+FEFF in UTF-8 or, which tells it from UTF-8, in UTF-16. A text without a LF in its
// beginning but with CR has lines that end with CR, as old Macs wrote them.
func plainText(r io.Reader) (text io.Reader, head []byte, whole bool, err error) {
	raw := bufio.NewReaderSize(r, headBytes)
	mark, err := raw.Peek(3)
	if len(mark) == 0 && err != io.EOF {
		return nil, nil, false, err
	}
	switch {
	case bytes.HasPrefix(mark, []byte("\ufeff")):
		raw.Discard(3)
	case bytes.HasPrefix(mark, []byte{0xff, 0xfe}):
		raw.Discard(2)
		raw = bufio.NewReaderSize(&utf16Reader{r: raw, order: binary.LittleEndian}, headBytes)
	case bytes.HasPrefix(mark, []byte{0xfe, 0xff}):
		raw.Discard(2)
		raw = bufio.NewReaderSize(&utf16Reader{r: raw, order: binary.BigEndian}, headBytes)
	}
	head, err = raw.Peek(headBytes)
	whole = err == io.EOF
	if bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(head, '\r') >= 0 {
		return carriageReturns{raw}, bytes.ReplaceAll(head, []byte("\r"), []byte("\n")), whole, nil
	}
	return raw, bytes.Clone(head), whole, nil
}

// carriageReturns reads a text with LF in the place of CR.
type carriageReturns struct{ r io.Reader }

func (c carriageReturns) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for i, b := range p[:n] {
		if b == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

// utf16Reader reads UTF-16 as UTF-8. What is no UTF-16 becomes U+FFFD.
type utf16Reader struct {
	r     *bufio.Reader
	order binary.ByteOrder
	err   error // once there was one
}

func (u *utf16Reader) Read(p []byte) (n int, err error) {
	for n+utf8.UTFMax <= len(p) {
		if u.err != nil {
			return n, u.err
		}
		var c rune
		if c, u.err = u.unit(); u.err != nil {
			continue
		}
		if utf16.IsSurrogate(c) {
			next, err := u.r.Peek(2)
			if err == nil {
				if pair := utf16.DecodeRune(c, rune(u.order.Uint16(next))); pair != utf8.RuneError {
					u.r.Discard(2)
					c = pair
				}
			}
		}
		n += utf8.EncodeRune(p[n:], c)
	}
	if n == 0 {
		return 0, io.ErrShortBuffer
	}
	return n, nil
}

var errOddUTF16 = errors.New("ends within a character of UTF-16: the file is cut short")

// unit returns the next 16 bits.
func (u *utf16Reader) unit() (rune, error) {
	var b [2]byte
	switch _, err := io.ReadFull(u.r, b[:]); {
	case err == io.ErrUnexpectedEOF:
		return 0, errOddUTF16
	case err != nil:
		return 0, err
	}
	return rune(u.order.Uint16(b[:])), nil
}
