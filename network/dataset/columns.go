package dataset

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Columns are those of a CSV file: features and the labels among them, by which other
// files are read. Models keep them, as JSON.
type Columns struct {
	Number  int      `json:"number"`            // that of the labels and of the ignored ones included
	Names   []string `json:"names,omitempty"`   // nil where the file has no header
	Label   int      `json:"label"`             // the number of the column of the labels, counted from 1; 0 where there is none
	Ignored []int    `json:"ignored,omitempty"` // the numbers of those that are no features, ascending

	// Means, one a feature in their order, stand in the place of features without a
	// value; nil where no such are expected ([Mean]), and before [Set.FillGaps].
	Means []float64 `json:"means,omitempty"`

	// Offsets, one a feature, are subtracted from the values in float64 before these are
	// rounded to float32, which would leave little of their differences. The samples
	// hold what is left, and a scaling is one of that. nil is 0 for all.
	Offsets []float64 `json:"offsets,omitempty"`
}

// Check reports columns that contradict themselves, or that are not of so many features
// and labels.
func (c Columns) Check(features int) error {
	if c.Number != features+1+len(c.Ignored) || c.Label < 1 || c.Label > c.Number || c.Names != nil && len(c.Names) != c.Number {
		return fmt.Errorf("%d columns with %d names and the labels in column %d where the network has %d inputs", c.Number, len(c.Names), c.Label, features)
	}
	last := 0
	for _, i := range c.Ignored {
		if i <= last || i > c.Number || i == c.Label {
			return fmt.Errorf("columns %v of %d are ignored, with the labels in column %d: others in ascending order are expected", c.Ignored, c.Number, c.Label)
		}
		last = i
	}
	for what, values := range map[string][]float64{"means": c.Means, "offsets": c.Offsets} {
		if values == nil {
			continue
		}
		if len(values) != features {
			return fmt.Errorf("%d %s of columns where the network has %d inputs", len(values), what, features)
		}
		for _, v := range values {
			if v-v != 0 {
				return fmt.Errorf("%s of columns with %v among them: finite numbers are expected", what, v)
			}
		}
	}
	return nil
}

// features returns the number of features.
func (c Columns) features() int {
	n := c.Number - len(c.Ignored)
	if c.Label > 0 {
		n--
	}
	return n
}

// isFeature reports whether column i, counted from 0, is a feature.
func (c Columns) isFeature(i int) bool { return i+1 != c.Label && !slices.Contains(c.Ignored, i+1) }

// FeatureNames returns the names of the features in their order, nil where they
// have none.
func (c Columns) FeatureNames() []string {
	if c.Names == nil || c.Label == 0 && c.Ignored == nil {
		return c.Names
	}
	names := make([]string, 0, len(c.Names))
	for i, name := range c.Names {
		if c.isFeature(i) {
			names = append(names, name)
		}
	}
	return names
}

// The name of the label column where none is given, and those that are taken for it where
// there is no such column.
const defaultLabel = "label"

var likelyLabels = []string{"label", "labels", "class", "target"}

// A labelSearch says where the labels are looked for.
type labelSearch struct {
	name     string // in a header
	number   int    // counted from 0; -1 for none
	expected bool   // by what the training set has
	alone    bool   // the features stand there without labels
	without  bool   // the columns that the training set ignores are not there
}

// begin learns from the first row what the columns are.
func (t *tableReader) begin() error {
	first := make([]string, len(t.fields))
	for c, field := range t.fields {
		first[c] = string(trimmed(field))
	}
	t.width = len(first)
	search := t.searchLabel(first)
	if err := t.findLabel(first, search); err != nil {
		return err
	}
	if err := t.checkNames(); err != nil {
		return err
	}
	t.columns = Columns{Number: t.width, Names: t.names, Label: t.label + 1}
	t.place = make([]int, t.width)
	if t.label >= 0 {
		t.place[t.label] = labelPlace
	}
	if err := t.choose(); err != nil {
		return err
	}
	if t.form.columns != nil {
		if err := t.match(*t.form.columns, search); err != nil {
			return err
		}
	} else {
		at := 0
		for c, place := range t.place {
			switch place {
			case 0:
				t.place[c] = at
				at++
			case ignoredPlace:
				t.columns.Ignored = append(t.columns.Ignored, c+1)
			}
		}
		if at == 0 {
			return fmt.Errorf("%s: has no column but the label: features are expected, separated by commas", t.name)
		}
	}
	t.prepare()
	return nil
}

// searchLabel says where the labels are to be looked for: by the name that is given, by a
// number that is, or where columns are expected, by what they have there.
func (t *tableReader) searchLabel(first []string) labelSearch {
	s := labelSearch{name: t.form.label, number: -1}
	if n, err := strconv.Atoi(s.name); err == nil && n >= 1 && n <= len(first) {
		s.number = n - 1
	}
	if t.form.label != "" || t.form.columns == nil || t.form.columns.Label == 0 {
		s.name = cmp.Or(s.name, defaultLabel)
		return s
	}
	like := *t.form.columns
	s.expected, s.number, s.name = true, like.Label-1, ""
	if like.Names != nil {
		s.name = like.Names[like.Label-1]
	}
	// Without names the columns are counted: with or without the labels, and with or
	// without those that are ignored.
	kept := s.number
	for _, i := range like.Ignored {
		if i < like.Label {
			kept--
		}
	}
	isNumber := func(c int) bool {
		if c < 0 || c >= len(first) {
			return true
		}
		_, ok := parseDecimal([]byte(first[c]))
		return ok
	}
	labelThere := func(c int) bool { return !t.form.unlabelled && !isNumber(c) }
	switch n := len(first); {
	case n == like.Number:
	case n == like.features():
		s.without = like.Ignored != nil
		if s.without {
			s.number = kept
		}
		s.alone = !labelThere(s.number)
	case n == like.features()+1 && (!t.form.unlabelled || n != like.Number-1 || !isNumber(kept)):
		s.number, s.without = kept, true
	case n == like.Number-1:
		s.alone = true
	}
	if s.number >= len(first) {
		s.number = -1
	}
	return s
}

// findLabel finds the label column and whether the first row is a header: where header
// says so, and otherwise if the name of the label column stands in it, all expected names
// do, or a field outside the label column is neither a number nor a gap.
func (t *tableReader) findLabel(first []string, s labelSearch) error {
	like := Columns{}
	if t.form.columns != nil {
		like = *t.form.columns
	}
	byNumber := s.number >= 0 && !s.alone
	t.label = -1
	if !s.expected || like.Names != nil {
		t.label = slices.Index(first, s.name)
	}
	// A name that is a number may be found in a row of data by chance.
	_, err := strconv.Atoi(s.name)
	known := err != nil && t.label >= 0 || allNames(first, like)
	word, numbers := -1, 0 // a column that makes a header, and those that do not
	for c, field := range first {
		switch {
		case byNumber && c == s.number || t.isIgnoredNumber(c, s):
		case nameLike(field):
			if word < 0 {
				word = c
			}
		case field != "":
			numbers++
		}
	}
	header := t.form.header == HeaderYes || t.headerFound() && (known || word >= 0)
	if t.headerFound() {
		switch gap := slices.IndexFunc(first, func(field string) bool { return isGap([]byte(field)) }); {
		case known:
		case header && numbers > 0:
			t.remark("%s: line 1 is taken for names, as column %d has %.40q where a row has a number: Reading.Header no takes it for a row", t.name, word+1, first[word])
		case header:
		case countsUp(first):
			t.remark("%s: line 1 is taken for a row, though %s could be names of columns: Reading.Header yes takes it for names", t.name, list(first))
		case gap >= 0 && (t.form.missing == Drop || t.form.missing == Mean):
			t.remark("%s: line 1 is taken for a row with a gap in column %d: Reading.Header yes takes it for names", t.name, gap+1)
		}
	}
	if header {
		t.names = first
		if t.label < 0 && !byNumber && !s.expected && t.form.label == "" {
			t.label = t.likelyLabel(first)
		}
		if t.label >= 0 && byNumber && !s.expected && t.label != s.number {
			t.remark("%s: the labels are column %d, which is named %.80q, and not column %d", t.name, t.label+1, s.name, s.number+1)
		}
		// The place of one among names says nothing of another's.
		byNumber = byNumber && !(s.expected && like.Names != nil)
	}
	shown := s.name
	if shown == "" {
		shown = strconv.Itoa(s.number + 1)
	}
	switch {
	case t.label >= 0 && header:
	case byNumber:
		t.label = s.number
	case t.form.unlabelled && t.form.label == "":
		t.label = -1
	case s.alone && !header:
		return fmt.Errorf("%s: has the %d features of the training set alone: a column of labels is expected", t.name, len(first))
	case header:
		expected := "a name or a number is expected"
		if t.form.label == "" {
			expected = "Reading.Label names another"
		}
		if strings.ContainsAny(strings.Join(first, ""), ";\t") {
			expected = "columns separated by commas are expected"
		}
		switch {
		case len(first) > 1:
		case t.form.separator != 0:
			expected = fmt.Sprintf("columns separated by %q are expected (Reading.Separator)", t.form.separator)
		default:
			expected = "columns separated by commas, semicolons or tabs are expected (Reading.Separator names another)"
		}
		return fmt.Errorf("%s: has no column %.80q for the labels: its columns are %s: %s", t.name, shown, list(first), expected)
	default:
		return fmt.Errorf("%s: has no header with a column %.80q for the labels: give the column's number, 1 to %d", t.name, shown, len(first))
	}
	return nil
}

// isIgnoredNumber reports whether a column is ignored by its number, so that text in it
// makes no header.
func (t *tableReader) isIgnoredNumber(c int, s labelSearch) bool {
	if t.form.columns != nil {
		return !s.alone && !s.without && t.width == t.form.columns.Number && slices.Contains(t.form.columns.Ignored, c+1)
	}
	number := strconv.Itoa(c + 1)
	if slices.Contains(t.form.ignore, number) {
		return true
	}
	if t.form.features == nil || slices.Contains(t.form.features, number) {
		return false
	}
	return !slices.ContainsFunc(t.form.features, func(f string) bool { _, err := strconv.Atoi(f); return err != nil })
}

// likelyLabel returns the only column whose name is one that labels often have, -1 where
// there is none.
func (t *tableReader) likelyLabel(names []string) int {
	found := -1
	for c, name := range names {
		if slices.Contains(likelyLabels, strings.ToLower(name)) {
			if found >= 0 {
				return -1
			}
			found = c
		}
	}
	if found >= 0 {
		t.remark("%s: column %d (%q) is taken for the labels (Reading.Label)", t.name, found+1, names[found])
	}
	return found
}

// countsUp reports whole numbers that count up by 1, as columns without names are numbered.
func countsUp(first []string) bool {
	const least = 3
	last := 0
	for c, field := range first {
		n, err := strconv.Atoi(field)
		if err != nil || c > 0 && n != last+1 {
			return false
		}
		last = n
	}
	return len(first) >= least
}

// allNames reports whether a first row holds every feature's expected name, and nothing
// but expected names: those may be numbers.
func allNames(first []string, like Columns) bool {
	names := like.FeatureNames()
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

// list names columns or classes, the first of many.
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

// choose marks the columns that are no features: those to ignore, and where features are
// given all others.
func (t *tableReader) choose() error {
	like := t.form.columns
	ignored, err := t.find(t.form.ignore, "to ignore", like != nil)
	if err != nil {
		return err
	}
	for _, c := range ignored {
		switch {
		case c == t.label:
			return fmt.Errorf("%s: column %d%s is to be ignored and holds the labels", t.name, c+1, t.named(c))
		case like != nil && t.names != nil && slices.Contains(like.FeatureNames(), t.names[c]):
			return fmt.Errorf("%s: column %d%s is to be ignored and is a feature of the training set", t.name, c+1, t.named(c))
		}
		t.place[c] = ignoredPlace
	}
	if t.form.features == nil {
		return nil
	}
	features, err := t.find(t.form.features, "for a feature", false)
	if err != nil {
		return err
	}
	for _, c := range features {
		switch t.place[c] {
		case labelPlace:
			return fmt.Errorf("%s: column %d%s is to be a feature and holds the labels", t.name, c+1, t.named(c))
		case ignoredPlace:
			return fmt.Errorf("%s: column %d%s is to be a feature and to be ignored", t.name, c+1, t.named(c))
		}
	}
	for c, place := range t.place {
		if place == 0 && !slices.Contains(features, c) {
			t.place[c] = ignoredPlace
		}
	}
	return nil
}

// find returns the columns of the given names or numbers. absent lets some be missing.
func (t *tableReader) find(wanted []string, what string, absent bool) (found []int, err error) {
	for _, w := range wanted {
		c := slices.Index(t.names, w)
		if n, err := strconv.Atoi(w); c < 0 && err == nil && n >= 1 && n <= t.width {
			c = n - 1
		}
		switch {
		case c >= 0:
			found = append(found, c)
		case absent:
		case t.names == nil:
			return nil, fmt.Errorf("%s: has no column %.80q %s: numbers of 1 to %d are expected, as there is no header", t.name, w, what, t.width)
		default:
			return nil, fmt.Errorf("%s: has no column %.80q %s: its columns are %s", t.name, w, what, list(t.names))
		}
	}
	return found, nil
}

// match puts the features into the order of those that are expected.
func (t *tableReader) match(like Columns, s labelSearch) error {
	expected := like.FeatureNames()
	if t.names == nil || expected == nil {
		return t.count(like, s)
	}
	place := make(map[string]int, len(expected))
	for i, name := range expected {
		place[name] = i
	}
	for c, name := range t.names {
		if t.place[c] < 0 {
			continue
		}
		at, ok := place[name]
		if i := slices.Index(like.Names, name); !ok && i >= 0 && slices.Contains(like.Ignored, i+1) {
			t.place[c] = ignoredPlace
			continue
		}
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

// count takes the features in their order, where names do not say which are which.
func (t *tableReader) count(like Columns, s labelSearch) error {
	if !s.without && like.Ignored != nil && (t.width == like.Number || s.alone) {
		c := 0
		for i := range like.Number {
			if s.alone && i+1 == like.Label {
				continue
			}
			if slices.Contains(like.Ignored, i+1) {
				t.place[c] = ignoredPlace
			}
			c++
		}
	}
	at := 0
	for c, place := range t.place {
		if place >= 0 {
			t.place[c] = at
			at++
		}
	}
	if want := like.features(); at != want {
		return fmt.Errorf("%s: has %d features where the training set has %d", t.name, at, want)
	}
	return nil
}

// A counter looks whether a column counts up, as the numbers of rows do.
type counter struct {
	feature int
	rows    int
	last    float64
	by1     bool // only steps of 1 count
	no      bool // it does not
}

func (c *counter) add(row []float64) {
	v := row[c.feature]
	c.no = c.no || c.rows > 0 && !(v > c.last) || c.by1 && c.rows > 0 && v != c.last+1
	c.last = v
	c.rows++
}

// findCounters returns a counter for each column that may hold the numbers of rows: one
// that has no name, or is called so, and the first one where there is no header.
func (t *tableReader) findCounters() (all []counter) {
	for c, feature := range t.place {
		switch {
		case feature < 0:
		case t.names == nil && c == 0:
			all = append(all, counter{feature: feature, by1: true})
		case t.names != nil && indexName(t.names[c]):
			all = append(all, counter{feature: feature})
		}
	}
	return all
}

// indexName reports a name that the numbers of rows often have.
func indexName(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "", "id", "index", "idx", "row", "rowid", "row_id", "rownames", "no":
		return true
	}
	return strings.HasPrefix(name, "unnamed: ")
}

// remarkCounters says which features look like the numbers of rows.
func (t *tableReader) remarkCounters() {
	const least = 4 // rows: fewer may go up by chance
	for _, c := range t.counters {
		if c.no || c.rows < least {
			continue
		}
		at := slices.Index(t.place, c.feature)
		what := fmt.Sprintf("column %d%s", at+1, t.named(at))
		if t.names != nil && t.names[at] == "" {
			what = fmt.Sprintf("column %d, which has no name,", at+1)
		}
		t.remark("%s: %s counts up like the numbers of rows and is taken for a feature: Reading.Ignore %d leaves it out", t.name, what, at+1)
	}
}

// checkClasses refuses labels that look like measurements, and says what of them may be
// meant otherwise. counts are the rows of each spelling.
func (t *tableReader) checkClasses(counts []int) error {
	const (
		fewest = 8   // rows
		share  = 0.8 // of rows that have a label of their own
	)
	rows, fractions := t.values.rows, 0
	for i, name := range t.labels.names {
		if v, ok := parseDecimal([]byte(name)); ok && v != math.Trunc(v) {
			fractions++
		}
		if isGap([]byte(name)) {
			t.remark("%s: column %d%s: %.40q is a class of its own, of %s: Reading.Missing drop leaves %s out", t.name, t.label+1, t.named(t.label),
				name, plural(counts[i], "row", "rows"), map[bool]string{true: "it", false: "them"}[counts[i] == 1])
		}
	}
	different := len(t.labels.names)
	if rows < fewest || float64(different) < share*float64(rows) || t.form.numbers {
		return nil
	}
	if fractions > different/2 {
		return fmt.Errorf("%s: column %d%s: has %d different labels in %d rows, fractions among them: they look like numbers to be predicted, which clgrad does not do: Reading.Numbers takes each for a class",
			t.name, t.label+1, t.named(t.label), different, rows)
	}
	t.remark("%s: column %d%s: has %d different labels in %d rows, each taken for a class", t.name, t.label+1, t.named(t.label), different, rows)
	return nil
}

func trimmed(field []byte) []byte { return bytes.TrimSpace(field) }
