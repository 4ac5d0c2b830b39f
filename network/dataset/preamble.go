package dataset

import "bytes"

// A preamble is what stands in front of a table in its file.
type preamble struct {
	lines     int  // in all
	comments  int  // of them that begin with #
	separator byte // that of the line sep=; which Excel reads, 0 without
}

// findPreamble finds, in the beginning of a text, a first line sep= with the separator, and comments:
// lines that begin with #, but for those right before the table that have as many fields as it has.
// They are names of columns or rows. separator is the one that is given, 0 for none. rest is the
// table's beginning.
func findPreamble(head []byte, whole bool, separator byte) (p preamble, rest []byte) {
	rest = head
	if line, behind := cutLine(rest); len(line) == len("sep=;") && bytes.EqualFold(line[:4], []byte("sep=")) && bytes.IndexByte([]byte("\"+-.0123456789"), line[4]) < 0 {
		p, rest = preamble{lines: 1, separator: line[4]}, behind
	}
	begin := rest
	comments := 0
	for len(rest) > 0 {
		line, behind := cutLine(rest)
		if len(line) > 0 && line[0] != '#' {
			break
		}
		if rest = behind; len(line) > 0 {
			comments++
		}
	}
	if comments == 0 || len(bytes.TrimSpace(rest)) == 0 {
		return p, begin
	}
	if separator == 0 {
		separator = p.separator
	}
	if separator == 0 {
		separator, _ = findSeparator(rest, whole)
	}
	first, _, _ := cutRecord(rest)
	fields := countOutside(first, separator)
	// What is passed over ends with the last comment that is no row.
	end, passed := p, begin
	for at := p; len(begin) > len(rest); {
		line, behind := cutLine(begin)
		begin = behind
		at.lines++
		if len(line) == 0 {
			continue
		}
		at.comments++
		if fields == 0 || countOutside(line, separator) != fields {
			end, passed = at, behind
		}
	}
	return end, passed
}

// cutLine returns the first line of a text, without its end, and what is behind it.
func cutLine(text []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(text, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest
}
