package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"clgrad/network"
)

// A table is what a CSV file holds.
type table struct {
	name    string
	columns Columns // those that were asked for where they were found by their names
	samples network.Samples
	classes []string // nil without labels
	gaps    bool     // NaN may stand in the place of values
	leftOut int      // rows, for a gap
}

// A tableForm is what is asked of a CSV file, as in Options.
type tableForm struct {
	label      string
	unlabelled bool
	classes    []string
	columns    *Columns
	header     Header
	separator  rune
	ignore     []string
	features   []string
	missing    Missing
	numbers    bool
	shape      []int
	beside     bool                             // a test set, read with its training set: its gaps are filled with that one's
	log        func(format string, args ...any) // nil for none
	most       int64                            // bytes of memory for the features; 0 is no bound
}

// loadTables loads the set of a CSV file and of that of its test set.
func (l library) loadTables(ctx context.Context, in *input) (Set, error) {
	form := tableForm{
		label: l.Label, unlabelled: l.Unlabelled, classes: l.Classes, columns: l.Columns, header: l.Header, separator: l.Separator,
		ignore: l.Ignore, features: l.Features, missing: l.Missing, numbers: l.Numbers, shape: l.Shape, log: l.logf, most: l.MaxBytes,
	}
	train, err := readTable(in, in.name, in.size, form)
	if err != nil {
		return Set{}, err
	}
	set := Set{
		Name: in.base, Train: train.samples, Shape: train.shape(l.Shape),
		Classes: len(train.classes), ClassNames: train.classes, Columns: &train.columns,
		Gaps: train.gaps, LeftOut: train.leftOut,
	}
	if l.Test != "" {
		if train.columns.Label == 0 {
			return Set{}, fmt.Errorf("%s: has no labels: a test set goes with a training set that has", train.name)
		}
		in, kind, err := l.open(ctx, l.Test)
		if errors.Is(err, fs.ErrNotExist) {
			return Set{}, fmt.Errorf("test set %q: no such file: a CSV file is expected", l.Test)
		}
		if err != nil {
			return Set{}, err
		}
		defer in.Close()
		if kind != csvFormat {
			return Set{}, fmt.Errorf("%s: is no CSV file: one is expected, as %s is", in.name, train.name)
		}
		form.label, form.classes, form.columns, form.ignore, form.features, form.beside = "", train.classes, &train.columns, nil, nil, true
		test, err := readTable(in, in.name, in.size, form)
		if err != nil {
			return Set{}, err
		}
		set.Test = test.samples
		set.LeftOut += test.leftOut
	}
	set.Digest = Digest(set.Shape, set.Train, set.Test)
	return set, nil
}

// readTable reads a CSV file, raw or compressed by gzip: one row a line, as records
// describes, each row with as many fields as the first. Spaces around a field are no part
// of it. plainText says which encodings and line ends are read.
//
// Which row is a header and what the columns are is in columns.go. Labels are numbers or
// text and become classes in sorted order: by their value if all are numbers (1 and 1.0
// are one class), as text otherwise. Every other column is a feature, a plain decimal
// number, or a gap where the form's missing allows it. Features are held as bytes if all
// are whole numbers of 0 to 255, and as float32 otherwise.
//
// name stands in messages; size is the number of bytes that r holds, -1 where that is
// not known. Rows are kept as numbers only, so memory stays below 12 bytes for each byte of
// the content, some hundreds for each different label and, while a row is read, for
// each byte of that row. Every error is one line that begins with name and says
// at which line and column.
func readTable(r io.Reader, name string, size int64, form tableForm) (table, error) {
	u, err := unpack(r, name, "a CSV file", size)
	if err != nil {
		return table{}, err
	}
	text, head, whole, err := plainText(&limited{u, u.limit, 0})
	if err != nil {
		return table{}, u.describe(err)
	}
	if form.separator > 0x7f {
		return table{}, fmt.Errorf("%s: separator %q: an ASCII character is expected", name, form.separator)
	}
	t := tableReader{form: form, u: u, table: table{name: name}}
	separator, others := byte(form.separator), []byte(nil)
	before, head := findPreamble(head, whole, separator)
	if separator == 0 {
		separator = before.separator
	}
	if separator == 0 {
		separator, others = findSeparator(head, whole)
	}
	t.records = newRecords(text, separator)
	for range before.lines {
		if _, err := t.records.nextLine(); err != nil {
			return table{}, u.describe(err)
		}
	}
	if before.comments > 0 {
		t.remark("%s: %s passed over", name, plural(before.comments, "line that begins with # is", "lines that begin with # are"))
	}

	err = t.next()
	if err == io.EOF {
		return table{}, fmt.Errorf("%s: is empty: a CSV file is expected", name)
	}
	if err != nil {
		return table{}, err
	}
	if len(others) > 0 {
		t.remark("%s: its fields are taken to be separated by %q: by %q they could be too (Reading.Separator)", name, separator, others[0])
	}
	if err := t.begin(); err != nil {
		return table{}, err
	}
	if t.names != nil {
		err = t.next()
	}
	for ; err == nil; err = t.next() {
		if err := t.add(); err != nil {
			return table{}, err
		}
	}
	if err != io.EOF {
		return table{}, err
	}
	return t.finish()
}

// limited is a reader that fails behind its limit.
type limited struct {
	r     io.Reader
	limit func() int64
	done  int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.done += int64(n); l.done > l.limit() {
		return 0, errTooLong
	}
	return n, err
}

// What stands in the place of a feature's number for a column that is none.
const (
	labelPlace   = -1
	ignoredPlace = -2
)

// A tableReader fills a table row by row.
type tableReader struct {
	table
	form    tableForm
	u       unpacked
	records *records
	record           // that was read last
	names   []string // of the file's columns, nil without a header
	label   int      // the column of the labels in the file, from 0; -1 where there is none
	width   int      // fields of a row
	place   []int    // of each field among the features, or labelPlace or ignoredPlace

	row      []float64
	values   features
	labels   labels
	narrow   narrowColumns
	counters []counter
	offsets  []float64 // what is subtracted from each feature, nil for nothing
	filled   int       // gaps that a mean is to stand for
	firstGap int       // the line of the first
	missing  Missing   // what may be done about gaps
	booleans []bool    // of each column: True or False was there
}

// remark says something in one line.
func (t *tableReader) remark(format string, args ...any) {
	if t.form.log != nil {
		t.form.log(format, args...)
	}
}

// next reads the next row.
func (t *tableReader) next() error {
	record, err := t.records.next()
	t.record = record
	var quote quoteError
	var zero zeroError
	switch {
	case err == nil || err == io.EOF:
		return err
	case errors.As(err, &quote), errors.As(err, &zero), errors.Is(err, errTooLong), errors.Is(err, errOddUTF16):
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return t.u.describe(err)
}

// at begins a message about field c (from 0) of the row that was read last.
func (t *tableReader) at(c int) string {
	return fmt.Sprintf("%s: line %d, column %d%s", t.name, t.lineOf(c), c+1, t.named(c))
}

// named returns the name of a column in brackets, where it has one.
func (t *tableReader) named(c int) string {
	if t.names == nil {
		return ""
	}
	return fmt.Sprintf(" (%.80q)", t.names[c])
}

// prepare makes room for the rows, once it is known what the columns are.
func (t *tableReader) prepare() {
	features := 0
	for _, place := range t.place {
		if place >= 0 {
			features++
		}
	}
	t.row = make([]float64, features)
	t.booleans = make([]bool, t.width)
	t.labels = newLabels(t.form.classes)
	t.missing = t.form.missing
	if like := t.form.columns; like != nil {
		t.offsets = like.Offsets
		t.columns.Offsets, t.columns.Means = like.Offsets, like.Means
		if t.missing == Mean && like.Means == nil && !t.form.beside {
			t.missing = Refuse
		}
		t.gaps = t.missing == Mean
		return
	}
	t.narrow = newNarrowColumns(features)
	t.counters = t.findCounters()
	t.gaps = t.missing == Mean
}

// add takes the row that was read last.
func (t *tableReader) add() error {
	switch {
	case len(t.fields) != t.width && len(t.fields[0]) > 0 && t.fields[0][0] == '#':
		return fmt.Errorf("%s: line %d: begins with #, and comments are read only in front of the table", t.name, t.line)
	case len(t.fields) != t.width:
		return fmt.Errorf("%s: line %d: has %d columns where %d are expected, as in the first line", t.name, t.line, len(t.fields), t.width)
	}
	gaps := 0
	for c, field := range t.fields {
		at := t.place[c]
		if at < 0 {
			continue
		}
		v, ok := parseDecimal(field)
		if !ok || !(math.Abs(v) <= math.MaxFloat32) {
			var problem string
			if v, problem = parseNumber(field, t.missing); problem != "" {
				return fmt.Errorf("%s: %s%s", t.at(c), problem, t.hint(c, field))
			}
			if v != v {
				gaps++
			} else if !ok && isBoolean(trimmed(field)) {
				t.booleans[c] = true
			}
		}
		t.row[at] = v
	}
	label := []byte(nil)
	if t.label >= 0 {
		label = t.fields[t.label]
	}
	if gaps > 0 || t.missing == Drop && t.label >= 0 && isGap(trimmed(label)) {
		if t.firstGap == 0 {
			t.firstGap = t.line
		}
		if t.missing == Drop {
			t.leftOut++
			return nil
		}
		t.filled += gaps
	}
	if t.label >= 0 {
		if problem := t.labels.add(label); problem != "" {
			return fmt.Errorf("%s: %s", t.at(t.label), problem)
		}
	}
	for i := range t.counters {
		t.counters[i].add(t.row)
	}
	if len(t.narrow) > 0 {
		t.narrow.add(t.row, t.values.rows)
	}
	for j, offset := range t.offsets {
		t.row[j] -= offset
	}
	t.values.add(t.row)
	// As a slice grows, its old elements and the new ones are held.
	if most := t.form.most; most > 0 && t.values.rows%roomRows == 0 && 2*int64(len(t.values.bytes)+4*len(t.values.floats)) > most {
		return fmt.Errorf("%s: has more rows than the memory has room for, %d bytes: raw IDX files of any size are mapped", t.name, most)
	}
	return nil
}

// roomRows is after how many rows it is asked whether there is room for more.
const roomRows = 1 << 12

// hint says more of a field that is no number.
func (t *tableReader) hint(c int, field []byte) string {
	gap := isGap(trimmed(field))
	switch {
	case gap && t.form.missing == Mean:
		return ", if the training set was read with Reading.Missing mean too"
	case gap && t.line == 1 && t.headerFound():
		return ", and Reading.Header yes takes line 1 for names"
	case !gap && t.line == 1 && t.form.header == HeaderNo:
		return " (Reading.Header says that line 1 has no names)"
	case !gap && t.form.columns == nil && bytes.IndexFunc(trimmed(field), unicode.IsLetter) == 0: // as of names
		return fmt.Sprintf(" (Reading.Ignore %d leaves the column out)", c+1)
	}
	return ""
}

// headerFound reports whether it was found out if there is a header.
func (t *tableReader) headerFound() bool { return t.form.header == "" || t.form.header == HeaderAuto }

// finish returns the table.
func (t *tableReader) finish() (table, error) {
	rows := t.values.rows
	switch {
	case rows == 0 && t.leftOut > 0:
		return table{}, fmt.Errorf("%s: has a gap in every row: none is left", t.name)
	case rows == 0:
		return table{}, fmt.Errorf("%s: has a header and no rows", t.name)
	}
	t.subtract()
	switch {
	case t.leftOut > 0:
		t.remark("%s: %s left out for a gap, the first in line %d: the other %d are counted without them", t.name, plural(t.leftOut, "row is", "rows are"), t.firstGap, rows)
	case t.filled > 0:
		t.remark("%s: %s filled with the mean of the column in the training set, the first in line %d", t.name, plural(t.filled, "gap is", "gaps are"), t.firstGap)
	}
	t.samples = network.Samples{Rows: rows, Features: len(t.row), Bytes: t.values.bytes, Floats: t.values.floats}
	if err := t.checkShape(); err != nil {
		return table{}, err
	}
	t.remarkCounters()
	t.remarkBooleans()
	if t.label < 0 {
		t.classes = t.form.classes
		return t.table, nil
	}
	counts := t.labels.counts()
	if t.form.classes == nil {
		if err := t.checkClasses(counts); err != nil {
			return table{}, err
		}
	}
	var joined []string
	t.samples.Labels, t.classes, joined = t.labels.finish(t.form.classes)
	if t.form.classes == nil {
		if words := absentClasses(t.classes); words != "" {
			t.remark("%s: column %d%s: %s", t.name, t.label+1, t.named(t.label), words)
		}
	}
	if joined != nil {
		t.remark("%s: column %d%s: labels that are the same number are one class, as %q and %q are", t.name, t.label+1, t.named(t.label), joined[0], joined[1])
	}
	if len(t.classes) < 2 && !t.form.unlabelled {
		return table{}, fmt.Errorf("%s: column %d%s: has the same label, %.80q, in every row: at least two classes are expected",
			t.name, t.label+1, t.named(t.label), t.classes[0])
	}
	return t.table, nil
}

// subtract has the differences from an offset in the place of values that are too large for
// float32 beside them.
func (t *tableReader) subtract() {
	if t.form.columns != nil {
		return // which have the offsets
	}
	t.columns.Offsets = t.narrow.replace(&t.values, len(t.row))
	var names []string
	for j, offset := range t.columns.Offsets {
		if offset != 0 {
			names = append(names, t.columns.columnOf(j))
		}
	}
	if names != nil {
		t.remark("%s: %s: the values are too large for float32 beside their differences: the first one is subtracted from all, here and in later files", t.name, some(names))
	}
}

// remarkBooleans says which columns have True and False.
func (t *tableReader) remarkBooleans() {
	var names []string
	for c, there := range t.booleans {
		if there {
			names = append(names, fmt.Sprintf("column %d%s", c+1, t.named(c)))
		}
	}
	if names != nil && t.form.columns == nil { // a model's columns are known
		t.remark("%s: %s: True and False are taken for 1 and 0", t.name, some(names))
	}
}

// some joins the first of several names.
func some(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// plural returns a number with the word for one or for several.
func plural(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + several
}

// checkShape reports a shape that the features do not have.
func (t *tableReader) checkShape() error {
	if t.form.shape == nil {
		return nil
	}
	rest := t.samples.Features
	for _, d := range t.form.shape {
		if d < 1 || rest%d != 0 {
			rest = 0
			break
		}
		rest /= d
	}
	if rest != 1 {
		return fmt.Errorf("%s: has %d features, which are no %s", t.name, t.samples.Features, times(t.form.shape))
	}
	return nil
}

// shape returns the shape of a sample: the one that is given, otherwise that of a square
// image where the columns are named pixel0, pixel1, … or pixel1, pixel2, … row by row,
// or of any image where they are named 1x1, 1x2, …
func (t table) shape(given []int) []int {
	n := t.samples.Features
	if given != nil {
		return slices.Clone(given)
	}
	names := t.columns.FeatureNames()
	if names == nil {
		return []int{n}
	}
	if side := int(math.Sqrt(float64(n))); side*side == n && (numberedPixels(names, 0) || numberedPixels(names, 1)) {
		return []int{side, side}
	}
	if h, w, ok := strings.Cut(names[n-1], "x"); ok {
		rows, _ := strconv.Atoi(h)
		columns, _ := strconv.Atoi(w)
		if rows > 0 && columns > 0 && n%columns == 0 && n/columns == rows {
			for i, name := range names {
				if name != strconv.Itoa(i/columns+1)+"x"+strconv.Itoa(i%columns+1) {
					return []int{n}
				}
			}
			return []int{rows, columns}
		}
	}
	return []int{n}
}

// numberedPixels reports names pixel0, pixel1, …, from a first number on.
func numberedPixels(names []string, first int) bool {
	for i, name := range names {
		if name != "pixel"+strconv.Itoa(first+i) {
			return false
		}
	}
	return true
}
