package dataset

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzRecords looks for a text that is split otherwise than by encoding/csv.
func FuzzRecords(f *testing.F) {
	for _, text := range []string{
		"", "a,b\n1,2\n", "a,b\r\n\r\n1,2", "\"a\"\"b\",\"c\nd\"\n,\n", "\"a\r\nb\",c\r", "a\"b\n", "\"a\"b\n", "\"a", "\"a\n", "\"a\nb\"", "\"a\nb", "\r", "\n\n,\r\n",
		"\"a,b\"\n\"", "a,\"\n\n\"\"\",x\n", "\"\"\"", "a,\"b\",\"\"\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\x00") {
			return
		}
		want := csv.NewReader(strings.NewReader(text))
		want.FieldsPerRecord = -1
		for _, r := range []*records{newRecords(strings.NewReader(text), ','), newRecords(iotest.OneByteReader(strings.NewReader(text)), ',')} {
			r.buf = r.buf[:3] // so that it has to grow
			compareRecords(t, r, want)
			want = csv.NewReader(strings.NewReader(text))
			want.FieldsPerRecord = -1
		}
	})
}

func compareRecords(t *testing.T, r *records, want *csv.Reader) {
	t.Helper()
	for {
		record, err := want.Read()
		got, gotErr := r.next()
		var place *csv.ParseError
		var quote quoteError
		switch {
		case errors.As(err, &place):
			expected := quoteError{place.Line, place.Column, errors.Is(err, csv.ErrBareQuote)}
			if !errors.As(gotErr, &quote) || quote != expected {
				t.Fatalf("error %v where %v is expected", gotErr, err)
			}
			return
		case err == io.EOF:
			if gotErr != io.EOF {
				t.Fatalf("%q, %v where the end is expected", got.fields, gotErr)
			}
			return
		case gotErr != nil:
			t.Fatalf("%v where %q is expected", gotErr, record)
		}
		var fields []string
		for c, field := range got.fields {
			fields = append(fields, string(field))
			if line, _ := want.FieldPos(c); got.lineOf(c) != line {
				t.Fatalf("field %d of %q is said to be on line %d and not %d", c+1, record, got.lineOf(c), line)
			}
		}
		if !slices.Equal(fields, record) {
			t.Fatalf("%q where %q is expected", fields, record)
		}
	}
}

// The separator is the one that the first lines agree on.
func TestFindSeparator(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ","}, {"a\n1\n", ","}, {"a,b\n1,2\n", ","}, {"a;b\n1;2\n", ";"}, {"a\tb\n1\t2\n", "\t"},
		{"\"a, b\";c\n1;2\n", ";"}, {"a;b\n1,5;2\n", ";"}, {"a;b\n1,5;2,5\n", ";"}, {"a,x;b\n1,5;2\n", ", or ;"},
		{"a;b\r\n\r\n\"x\n;y\";2\r\n", ";"}, {"a,b;c\n1,2;3\n1,2;3;4\n", ","}, {"a;b\n1\n", ","},
	} {
		separator, others := findSeparator([]byte(test.text), true)
		got := string(separator)
		if len(others) > 0 {
			got += " or " + string(others)
		}
		if got != test.want {
			t.Errorf("%q: %q, want %q", test.text, got, test.want)
		}
	}
	// A line that is cut off says nothing, unless it is the only one.
	if got, _ := findSeparator([]byte("a;b;c\n1;2"), false); got != ';' {
		t.Errorf("before a cut line: %q", got)
	}
	if got, _ := findSeparator([]byte("a;b;c"), false); got != ';' {
		t.Errorf("in a long header: %q", got)
	}
}

// A byte 0 is named with its place.
func TestZeroByte(t *testing.T) {
	for text, want := range map[string]string{
		"label,a\n0,1\n1,2\x00\n":      "file: line 3, byte 4: holds a byte 0 where text is expected",
		"label,\x00a\n0,1\n":           "file: holds a byte 0 in its first line: a CSV file is expected (byte 7)",
		"l\x00a\x00,\x00b\x00\n\x000,": "file: holds a byte 0 in its first line: a CSV file is expected (byte 2): is it UTF-16 without a byte order mark? Save it as UTF-8",
		"label,a\n0,\"1\n\x00\"\n":     "file: line 3, byte 1: holds a byte 0 where text is expected",
	} {
		if _, err := readCSV(text, tableForm{}); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// A text in UTF-16 and one with lines that end with CR are read as others.
func TestPlainText(t *testing.T) {
	const text = "label,é\n𝄞,2\n\"b\nc\",4\n"
	want := fmt.Sprint(readCSV(text, tableForm{}))
	for name, content := range map[string]string{
		"UTF-8 with a mark":    "\ufeff" + text,
		"little-endian UTF-16": utf16Of(text, false),
		"big-endian UTF-16":    utf16Of(text, true),
		"CR":                   strings.ReplaceAll(text, "\n", "\r"),
		"CRLF":                 strings.ReplaceAll(text, "\n", "\r\n"),
		"all of them":          utf16Of(strings.ReplaceAll(text, "\n", "\r"), false),
	} {
		for _, content := range []string{content, string(gzipped([]byte(content)))} {
			if got := fmt.Sprint(readCSV(content, tableForm{})); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
	}
	cut := utf16Of(text, false)
	if _, err := readCSV(cut[:len(cut)-1], tableForm{}); err == nil || err.Error() != "file: "+errOddUTF16.Error() {
		t.Errorf("half a character: got %v", err)
	}
	odd := strings.Replace(utf16Of("label,a\nX,1\ny,2\n", false), "X\x00", "\x00\xd8", 1) // half of a pair
	if got, err := readCSV(odd, tableForm{}); err != nil || got.classes[1] != "\ufffd" {
		t.Errorf("half a pair: got %q, %v", got.classes, err)
	}
}
