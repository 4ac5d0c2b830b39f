package dataset

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"clgrad/network"
)

// Columns are those of a CSV file: features and the labels among them, by which other
// files are read. Models keep them, as JSON.
type Columns struct {
	Number int      `json:"number"`          // that of the labels included
	Names  []string `json:"names,omitempty"` // nil where the file has no header
	Label  int      `json:"label"`           // the number of the column of the labels, counted from 1; 0 where there is none
}

// features returns the number of features.
func (c Columns) features() int {
	if c.Label > 0 {
		return c.Number - 1
	}
	return c.Number
}

// featureNames returns the names of the features in their order, nil where they
// have none.
func (c Columns) featureNames() []string {
	if c.Names == nil || c.Label == 0 {
		return c.Names
	}
	return slices.Concat(c.Names[:c.Label-1], c.Names[c.Label:])
}

// A table is what a CSV file holds.
type table struct {
	name    string
	columns Columns // those that were asked for where they were found by their names
	samples network.Samples
	classes []string // nil without labels
}

// A tableForm is what is asked of a CSV file, as in Options.
type tableForm struct {
	label      string
	unlabelled bool
	classes    []string
	columns    *Columns
}

// defaultLabel is the name of the label column where none is given.
const defaultLabel = "label"

// loadTables loads the set of a CSV file and of that of its test set.
func (l library) loadTables(ctx context.Context, f *os.File, size int64) (Set, error) {
	form := tableForm{l.Label, l.Unlabelled, l.Classes, l.Columns}
	train, err := readTable(stopping{ctx, f}, f.Name(), size, form)
	if err != nil {
		return Set{}, err
	}
	set := Set{
		Name: baseName(f.Name()), Train: train.samples, Shape: train.shape(),
		Classes: len(train.classes), ClassNames: train.classes, Columns: &train.columns,
	}
	if l.Test != "" {
		if train.columns.Label == 0 {
			return Set{}, fmt.Errorf("%s: has no labels: a test set goes with a training set that has", train.name)
		}
		f, size, kind, err := openData(l.Test)
		if err != nil {
			return Set{}, err
		}
		defer f.Close()
		if kind != csvFormat {
			return Set{}, fmt.Errorf("%s: is no CSV file: one is expected, as %s is", l.Test, train.name)
		}
		test, err := readTable(stopping{ctx, f}, l.Test, size, tableForm{"", l.Unlabelled, train.classes, &train.columns})
		if err != nil {
			return Set{}, err
		}
		set.Test = test.samples
	}
	set.Digest = Digest(set.Shape, set.Train, set.Test)
	return set, nil
}

// readTable reads a CSV file, raw or compressed by gzip: one row a line, fields
// separated by commas and quoted as RFC 4180 has it, each row with as many as
// the first. Spaces around a field are no part of it.
//
// The first row is a header if it has the name of the label column, or a field
// outside the label column that is no number. Labels are numbers or text and
// become classes in sorted order: by their value if all are numbers (1 and 1.0
// are one class), as text otherwise. Every other column is a feature, a finite
// number. Features are held as bytes if all are whole numbers of 0 to 255, and
// as float32 otherwise.
//
// name stands in messages; size is the number of bytes that r holds. Rows are
// kept as numbers only, so memory stays below 8 bytes for each byte of the
// content, some hundreds for each different label and, while a row is read, for
// each byte of that row. Every error is one line that begins with name and says
// at which line and column.
func readTable(r io.Reader, name string, size int64, form tableForm) (table, error) {
	u, err := unpack(r, name, "a CSV file", size)
	if err != nil {
		return table{}, err
	}
	content, err := skipMark(&limited{u, u.limit})
	if err != nil {
		return table{}, u.describe(err)
	}
	t := tableReader{u: u, csv: csv.NewReader(content), table: table{name: name}}
	t.csv.FieldsPerRecord = -1
	t.csv.ReuseRecord = true

	first, err := t.next()
	if err == io.EOF {
		return table{}, fmt.Errorf("%s: is empty: a CSV file is expected", name)
	}
	if err != nil {
		return table{}, err
	}
	if strings.Contains(strings.Join(first, ""), "\x00") {
		return table{}, fmt.Errorf("%s: holds a byte 0 in its first line: a CSV file is expected", name)
	}
	if err := t.begin(first, form); err != nil {
		return table{}, err
	}
	if t.names != nil {
		first, err = t.next()
	}
	for record := first; err == nil; record, err = t.next() {
		if err := t.add(record); err != nil {
			return table{}, err
		}
	}
	if err != io.EOF {
		return table{}, err
	}
	return t.finish(form)
}

// skipMark skips the byte order mark that some programs write first.
func skipMark(r io.Reader) (io.Reader, error) {
	mark := []byte("\ufeff")
	start := make([]byte, len(mark))
	n, err := io.ReadFull(r, start)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if bytes.Equal(start, mark) {
		return r, nil
	}
	return io.MultiReader(bytes.NewReader(start[:n]), r), nil
}

// limited is a reader that fails behind its limit.
type limited struct {
	r    io.Reader
	left int64
}

var errTooLong = errors.New("holds too much for its size: at most 200 times that, or 64 MiB, are expected")

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

// A tableReader fills a table row by row.
type tableReader struct {
	table
	u      unpacked
	csv    *csv.Reader
	names  []string // of the file's columns, nil without a header
	label  int      // the column of the labels in the file, from 0; -1 where there is none
	fields int      // of a row
	place  []int    // of each field among the features; -1 for the label
	row    []float32
	values features
	rows   int // that were added
	labels labels
}

// next returns the next row, which stays valid until the one after it.
func (t *tableReader) next() ([]string, error) {
	record, err := t.csv.Read()
	var where *csv.ParseError
	switch {
	case errors.As(err, &where) && errors.Is(err, csv.ErrQuote):
		return nil, fmt.Errorf(`%s: line %d, byte %d: a quote is missing, or has no comma or line end behind it`, t.name, where.Line, where.Column)
	case errors.As(err, &where):
		return nil, fmt.Errorf(`%s: line %d, byte %d: a quote stands inside a field that does not begin with one`, t.name, where.Line, where.Column)
	case errors.Is(err, errTooLong):
		return nil, fmt.Errorf("%s: %w", t.name, errTooLong)
	case err != nil && err != io.EOF:
		return nil, t.u.describe(err)
	}
	return record, err
}

// at begins a message about field c (from 0) of the row that was read last.
func (t *tableReader) at(c int) string {
	line, _ := t.csv.FieldPos(c)
	return fmt.Sprintf("%s: line %d, column %d%s", t.name, line, c+1, t.named(c))
}

// named returns the name of a column in brackets, where it has one.
func (t *tableReader) named(c int) string {
	if t.names == nil {
		return ""
	}
	return fmt.Sprintf(" (%.80q)", t.names[c])
}

// begin learns from the first row what the columns are.
func (t *tableReader) begin(first []string, form tableForm) error {
	t.fields = len(first)
	names := make([]string, len(first))
	for c, field := range first {
		names[c] = strings.TrimSpace(field)
	}
	if err := t.findLabel(names, form); err != nil {
		return err
	}
	t.columns = Columns{Number: t.fields, Names: t.names, Label: t.label + 1}
	if t.columns.features() == 0 {
		return fmt.Errorf("%s: has no column but the label: features are expected, separated by commas", t.name)
	}
	if err := t.checkNames(); err != nil {
		return err
	}
	t.place = make([]int, t.fields)
	t.row = make([]float32, t.columns.features())
	for c, at := 0, 0; c < t.fields; c++ {
		if c == t.label {
			t.place[c] = -1
			continue
		}
		t.place[c] = at
		at++
	}
	t.labels = newLabels(form.classes)
	if form.columns != nil {
		return t.match(*form.columns)
	}
	return nil
}

// findLabel finds the label column and whether the first row is a header.
func (t *tableReader) findLabel(first []string, form tableForm) error {
	// What the column is found by: the name that is given, a number that is, or where
	// columns are expected, what it is there.
	wanted, number := form.label, -1
	if n, err := strconv.Atoi(wanted); err == nil {
		number = n - 1
	}
	var like Columns
	if form.columns != nil {
		like = *form.columns
	}
	expected := form.label == "" && like.Label > 0
	switch {
	case expected && like.Names != nil:
		wanted, number = like.Names[like.Label-1], like.Label-1
	case expected:
		number = like.Label - 1
	case wanted == "":
		wanted = defaultLabel
	}
	byNumber := number >= 0 && number < len(first)
	// The features alone have no label, wherever it would stand.
	alone := expected && len(first) == like.features()
	if alone && byNumber && !form.unlabelled {
		_, problem := parseNumber(first[number])
		alone = problem == ""
	}
	byNumber = byNumber && !alone

	// A name that is a number may be found in a row of data by chance.
	_, err := strconv.Atoi(wanted)
	t.label = -1
	if !expected || like.Names != nil {
		t.label = slices.Index(first, wanted)
	}
	header := err != nil && t.label >= 0 || allNames(first, like)
	for c, field := range first {
		if _, problem := parseNumber(field); problem != "" && !(byNumber && c == number) {
			header = true
		}
	}
	if header {
		t.names = first
		// The place of one among names says nothing of another's.
		byNumber = byNumber && !(expected && like.Names != nil)
	}
	switch {
	case t.label >= 0 && header:
	case byNumber:
		t.label = number
	case form.unlabelled && form.label == "":
		t.label = -1
	case alone && !header:
		return fmt.Errorf("%s: has the %d features of the training set alone: a column of labels is expected", t.name, len(first))
	case header:
		expected := "a name or a number is expected"
		if strings.ContainsAny(strings.Join(first, ""), ";\t") {
			expected = "columns separated by commas are expected"
		}
		return fmt.Errorf("%s: has no column %.80q for the labels: its columns are %s: %s", t.name, cmp.Or(wanted, strconv.Itoa(number+1)), list(first), expected)
	default:
		return fmt.Errorf("%s: has no header with a column %.80q for the labels: give the column's number, 1 to %d", t.name, cmp.Or(wanted, strconv.Itoa(number+1)), len(first))
	}
	return nil
}

// allNames reports whether a first row holds every feature's expected name, and nothing
// but expected names: those may be numbers.
func allNames(first []string, like Columns) bool {
	names := like.featureNames()
	for _, name := range names {
		if !slices.Contains(first, name) {
			return false
		}
	}
	for _, field := range first {
		if !slices.Contains(like.Names, field) {
			return false
		}
	}
	return names != nil
}

// list quotes names for a message, the first of many.
func list(names []string) string {
	const most = 8
	var quoted []string
	for _, n := range names[:min(most, len(names))] {
		quoted = append(quoted, fmt.Sprintf("%.80q", n))
	}
	if more := len(names) - most; more > 0 {
		quoted = append(quoted, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(quoted, ", ")
}

// checkNames reports a name that two columns have, or that is no text.
func (t *tableReader) checkNames() error {
	seen := make(map[string]int, len(t.names))
	for c, n := range t.names {
		if other, twice := seen[n]; twice {
			return fmt.Errorf("%s: line 1, column %d: has the name %.80q of column %d: different names are expected", t.name, c+1, n, other+1)
		}
		if !utf8.ValidString(n) {
			return fmt.Errorf("%s: line 1, column %d: has the name %.80q, which is not UTF-8", t.name, c+1, n)
		}
		seen[n] = c
	}
	return nil
}

// match puts the features into the order of those that are expected.
func (t *tableReader) match(like Columns) error {
	expected := like.featureNames()
	if t.names == nil || expected == nil {
		if got, want := t.columns.features(), like.features(); got != want {
			return fmt.Errorf("%s: has %d features where the training set has %d", t.name, got, want)
		}
		return nil
	}
	place := make(map[string]int, len(expected))
	for i, name := range expected {
		place[name] = i
	}
	for c, name := range t.names {
		if c == t.label {
			continue
		}
		at, ok := place[name]
		if !ok {
			return fmt.Errorf("%s: line 1, column %d: is named %.80q, which no feature of the training set is", t.name, c+1, name)
		}
		t.place[c] = at
		delete(place, name)
	}
	for _, name := range expected {
		if _, missing := place[name]; missing {
			return fmt.Errorf("%s: has no column %.80q, which the training set has", t.name, name)
		}
	}
	t.columns = like
	if t.label >= 0 && like.Label > 0 { // by the name that it has here
		t.columns.Names = slices.Clone(like.Names)
		t.columns.Names[like.Label-1] = t.names[t.label]
	}
	return nil
}

// add takes a row.
func (t *tableReader) add(record []string) error {
	if len(record) != t.fields {
		line, _ := t.csv.FieldPos(0)
		return fmt.Errorf("%s: line %d: has %d columns where %d are expected, as in the first line", t.name, line, len(record), t.fields)
	}
	for c, field := range record {
		if t.place[c] < 0 {
			if problem := t.labels.add(field); problem != "" {
				return fmt.Errorf("%s: %s", t.at(c), problem)
			}
			continue
		}
		v, problem := parseNumber(field)
		if problem != "" {
			return fmt.Errorf("%s: %s", t.at(c), problem)
		}
		t.row[t.place[c]] = v
	}
	t.values.add(t.row)
	if t.rows++; t.rows%roomRows != 0 {
		return nil
	}
	// As a slice grows, its old elements and the new ones are held.
	return roomFor(t.name, 2*uint64(len(t.values.bytes)+4*len(t.values.floats)), "raw IDX files of any size are mapped")
}

// roomRows is after how many rows it is asked whether there is room for more.
const roomRows = 1 << 12

// finish returns the table.
func (t *tableReader) finish(form tableForm) (table, error) {
	rows := len(t.values.bytes) + len(t.values.floats)
	if rows /= len(t.row); rows == 0 {
		return table{}, fmt.Errorf("%s: has a header and no rows", t.name)
	}
	t.samples = network.Samples{Rows: rows, Features: len(t.row), Bytes: t.values.bytes, Floats: t.values.floats}
	if t.label < 0 {
		t.classes = form.classes
		return t.table, nil
	}
	t.samples.Labels, t.classes = t.labels.finish(form.classes)
	if len(t.classes) < 2 && !form.unlabelled {
		return table{}, fmt.Errorf("%s: column %d%s: has the same label, %.80q, in every row: at least two classes are expected",
			t.name, t.label+1, t.named(t.label), t.classes[0])
	}
	return t.table, nil
}

// shape returns the shape of a sample: that of a square image where the columns
// are named pixel0, pixel1, … row by row.
func (t table) shape() []int {
	n := t.samples.Features
	side := int(math.Sqrt(float64(n)))
	names := t.columns.featureNames()
	if side*side != n || names == nil {
		return []int{n}
	}
	for i, name := range names {
		if name != "pixel"+strconv.Itoa(i) {
			return []int{n}
		}
	}
	return []int{side, side}
}

// parseNumber parses a feature, or says what is wrong with it.
func parseNumber(field string) (v float32, problem string) {
	if n := len(field); n > 0 && n <= 3 { // most fields of images
		whole := 0
		for i := range n {
			d := field[i] - '0'
			if d > 9 {
				whole = -1
				break
			}
			whole = 10*whole + int(d)
		}
		if whole >= 0 {
			return float32(whole), ""
		}
	}
	field = strings.TrimSpace(field)
	if field == "" {
		return 0, "is empty where a number is expected"
	}
	wide, err := strconv.ParseFloat(field, 32)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Sprintf("%.40q is beyond the numbers of float32", field)
	case err != nil:
		return 0, fmt.Sprintf("%.40q where a number is expected", field)
	case wide-wide != 0: // NaN for ±Inf and NaN
		return 0, fmt.Sprintf("%.40q where a finite number is expected", field)
	}
	return float32(wide), ""
}

// features are rows of values: bytes as long as all are whole numbers of 0 to
// 255, floats from the first other one on.
type features struct {
	bytes  []uint8
	floats []float32
}

// add appends a row.
func (f *features) add(row []float32) {
	if f.floats == nil {
		size := len(f.bytes)
		for _, v := range row {
			if b := uint8(v); v >= 0 && v <= byteMax && float32(b) == v {
				f.bytes = append(f.bytes, b)
				continue
			}
			f.floats = make([]float32, size, 2*(size+len(row)))
			for i, b := range f.bytes[:size] {
				f.floats[i] = float32(b)
			}
			f.bytes = nil
			break
		}
		if f.floats == nil {
			return
		}
	}
	f.floats = append(f.floats, row...)
}
