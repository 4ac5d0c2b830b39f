package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

// A record is a line of a table, or several where a quoted field goes on behind a line's
// end. Its fields stay valid until the next one is read.
type record struct {
	fields [][]byte
	line   int   // its first one, counted from 1
	lines  []int // on which each field begins, nil where that is the first for all
}

// lineOf returns the line on which field c begins.
func (r record) lineOf(c int) int {
	if r.lines == nil {
		return r.line
	}
	return r.lines[c]
}

// records reads the records of a text as encoding/csv does without LazyQuotes (RFC 4180):
//
//	fields are separated by one byte, records by LF or CRLF; empty lines are passed over
//	a field that begins with a quote ends with one, in front of a separator or line end;
//	"" in it is a quote, and a line end within it is LF
//	any other field has no quote in it
//
// Lines without a quote, almost all, are split where they lie in the buffer, which takes a
// tenth of the time. The buffer grows to the longest line.
type records struct {
	r         io.Reader
	separator byte
	buf       []byte
	at, end   int   // buf[at:end] is read and not taken yet
	searched  int   // there is no line end in buf[at:searched]
	err       error // why there is no more to read
	zeros     bool  // a byte 0 was read
	line      int   // the number of lines that were taken
	record    record
	unquoted  []byte // the fields of a record with quotes, joined
	ends      []int  // of these fields in unquoted
	lines     []int
}

func newRecords(r io.Reader, separator byte) *records {
	return &records{r: r, separator: separator, buf: make([]byte, 1<<17)}
}

// A quoteError is a quote in the wrong place.
type quoteError struct {
	line, column int
	inside       bool // of a field that does not begin with one
}

func (e quoteError) Error() string {
	if e.inside {
		return fmt.Sprintf("line %d, byte %d: a quote stands inside a field that does not begin with one", e.line, e.column)
	}
	return fmt.Sprintf("line %d, byte %d: a quote is missing, or has no comma or line end behind it", e.line, e.column)
}

// A zeroError is a byte 0, which no text has.
type zeroError struct {
	line, column int
	wide         bool // every other byte is 0
}

func (e zeroError) Error() string {
	what := "holds a byte 0 where text is expected"
	if e.line == 1 {
		what = "holds a byte 0 in its first line: a CSV file is expected"
	}
	if e.wide {
		return fmt.Sprintf("%s (byte %d): is it UTF-16 without a byte order mark? Save it as UTF-8", what, e.column)
	}
	if e.line == 1 {
		return fmt.Sprintf("%s (byte %d)", what, e.column)
	}
	return fmt.Sprintf("line %d, byte %d: %s", e.line, e.column, what)
}

// next returns the next record, or io.EOF behind the last one.
func (r *records) next() (record, error) {
	for {
		line, err := r.nextLine()
		if err != nil {
			return record{}, err
		}
		line, ended := bytes.CutSuffix(line, []byte("\n"))
		if len(line) == 0 {
			continue
		}
		if bytes.IndexByte(line, '"') >= 0 {
			return r.quoted(line, ended)
		}
		r.record = record{split(r.record.fields[:0], line, r.separator), r.line, nil}
		return r.record, nil
	}
}

// split appends the fields of a line without quotes. It looks at eight bytes at a time: a
// byte of different is 0 where a separator stands, and has its highest bit in found
// (Hacker's Delight, section 6-1).
func split(fields [][]byte, line []byte, separator byte) [][]byte {
	const low = 0x7f7f7f7f7f7f7f7f
	pattern := 0x0101010101010101 * uint64(separator)
	start, i := 0, 0
	for ; i+8 <= len(line); i += 8 {
		different := binary.LittleEndian.Uint64(line[i:]) ^ pattern
		found := ^((different&low + low) | different | low)
		for ; found != 0; found &= found - 1 {
			end := i + bits.TrailingZeros64(found)/8
			fields = append(fields, line[start:end])
			start = end + 1
		}
	}
	for ; i < len(line); i++ {
		if line[i] == separator {
			fields = append(fields, line[start:i])
			start = i + 1
		}
	}
	return append(fields, line[start:])
}

// quoted splits a record that has a quote in its first line, which is given without its
// end; ended says that it had one.
func (r *records) quoted(line []byte, ended bool) (record, error) {
	first, column := r.line, 1
	r.unquoted, r.ends, r.lines = r.unquoted[:0], r.ends[:0], r.lines[:0]
	for more := true; more; {
		r.lines = append(r.lines, r.line)
		if len(line) == 0 || line[0] != '"' {
			end := bytes.IndexByte(line, r.separator)
			if more = end >= 0; !more {
				end = len(line)
			}
			field := line[:end]
			if i := bytes.IndexByte(field, '"'); i >= 0 {
				return record{}, quoteError{r.line, column + i, true}
			}
			r.unquoted = append(r.unquoted, field...)
			if more {
				line, column = line[end+1:], column+end+1
			}
		} else {
			line, column = line[1:], column+1
			for inside := true; inside; {
				end := bytes.IndexByte(line, '"')
				if end < 0 { // The field goes on in the next line.
					missing := quoteError{r.line, column + len(line), false}
					if !ended {
						return record{}, missing
					}
					r.unquoted = append(append(r.unquoted, line...), '\n')
					missing.column++
					next, err := r.nextLine()
					if err == io.EOF || err == nil && len(next) == 0 { // the CR of a line end that is cut off
						return record{}, missing
					}
					if err != nil {
						return record{}, err
					}
					line, ended = bytes.CutSuffix(next, []byte("\n"))
					column = 1
					continue
				}
				r.unquoted = append(r.unquoted, line[:end]...)
				line, column = line[end+1:], column+end+1
				switch {
				case len(line) == 0:
					inside, more = false, false
				case line[0] == '"':
					r.unquoted = append(r.unquoted, '"')
					line, column = line[1:], column+1
				case line[0] == r.separator:
					line, column = line[1:], column+1
					inside = false
				default:
					return record{}, quoteError{r.line, column - 1, false}
				}
			}
		}
		r.ends = append(r.ends, len(r.unquoted))
	}
	fields, start := r.record.fields[:0], 0
	for _, end := range r.ends {
		fields = append(fields, r.unquoted[start:end:end])
		start = end
	}
	r.record = record{fields, first, r.lines}
	return r.record, nil
}

// nextLine returns the next line with LF as its end, or without one at the end of the
// text. It stays valid until the next call.
func (r *records) nextLine() ([]byte, error) {
	r.searched = r.at
	for {
		if i := bytes.IndexByte(r.buf[r.searched:r.end], '\n'); i >= 0 {
			line := r.buf[r.at : r.searched+i+1]
			r.at += len(line)
			r.line++
			if n := len(line); n >= 2 && line[n-2] == '\r' {
				line[n-2] = '\n'
				line = line[:n-1]
			}
			return line, r.checkZeros(line)
		}
		r.searched = r.end
		if r.err != nil {
			break
		}
		r.fill()
	}
	if r.err != io.EOF || r.at == r.end {
		return nil, r.err
	}
	line := bytes.TrimSuffix(r.buf[r.at:r.end], []byte("\r"))
	r.at = r.end
	r.line++
	return line, r.checkZeros(line)
}

// fill reads on, into a larger buffer where it is full of one line.
func (r *records) fill() {
	if r.at > 0 {
		copy(r.buf, r.buf[r.at:r.end])
		r.end -= r.at
		r.searched -= r.at
		r.at = 0
	}
	if r.end == len(r.buf) {
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	n, err := r.r.Read(r.buf[r.end:])
	r.zeros = r.zeros || bytes.IndexByte(r.buf[r.end:r.end+n], 0) >= 0
	r.end += n
	r.err = err
}

// checkZeros reports a byte 0 in the line that was taken last.
func (r *records) checkZeros(line []byte) error {
	if !r.zeros {
		return nil
	}
	i := bytes.IndexByte(line, 0)
	if i < 0 {
		return nil
	}
	start := line[:min(len(line), 16)]
	wide := i < 2 && len(start) >= 4
	for k := i; k < len(start); k += 2 {
		wide = wide && start[k] == 0
	}
	return zeroError{r.line, i + 1, wide}
}

var errTooLong = errors.New("holds too much for its size: at most 200 times that, or 64 MiB, are expected")

// The separators that are looked for, the usual one first.
var separators = []byte(",;\t")

// findSeparator returns the separator that the first lines of a text agree on: the number
// of times that it stands outside quotes is the same in each, and not 0. head is the
// beginning of the text, of which at most sampled lines are looked at. Where no one fits,
// it is the comma. others are those that would have done as well.
func findSeparator(head []byte, whole bool) (separator byte, others []byte) {
	const sampled = 20
	fits := slices.Clone(separators)
	counts := make([]int, len(fits))
	line := 0
	for line < sampled && len(head) > 0 {
		text, rest, ended := cutRecord(head)
		if !ended && !whole && line > 0 {
			break // within a line
		}
		head = rest
		if len(text) == 0 {
			continue
		}
		for i, s := range fits {
			n := 0
			if s != 0 {
				n = countOutside(text, s)
			}
			if n == 0 || line > 0 && n != counts[i] {
				fits[i] = 0
			}
			counts[i] = n
		}
		line++
	}
	fits = slices.DeleteFunc(fits, func(b byte) bool { return b == 0 })
	if len(fits) == 0 || line == 0 {
		return ',', nil
	}
	return fits[0], fits[1:]
}

// cutRecord returns the first record of a text, without its end, and what is behind it.
func cutRecord(text []byte) (line, rest []byte, ended bool) {
	inside := false
	for i, b := range text {
		switch {
		case b == '"':
			inside = !inside
		case b == '\n' && !inside:
			return bytes.TrimSuffix(text[:i], []byte("\r")), text[i+1:], true
		}
	}
	return text, nil, false
}

// countOutside counts a byte outside quotes.
func countOutside(text []byte, b byte) (n int) {
	inside := false
	for _, c := range text {
		switch {
		case c == '"':
			inside = !inside
		case c == b && !inside:
			n++
		}
	}
	return n
}
