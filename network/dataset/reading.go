package dataset

import (
	"fmt"
	"reflect"
	"slices"
)

// A Reading says how files are read where there is more than one way. What is zero is found
// out from the file by the rules of its format, and told to [Options.Log] where another way
// was possible.
type Reading struct {
	// Label is the column of a table that holds the labels: its name in the
	// header or its number, counted from 1; "" is that of Options.Columns, or the
	// column named label.
	Label string

	Header    Header   // whether the first line of a CSV file has names
	Separator rune     // between the fields of a CSV file; 0 is found out
	Ignore    []string // columns of a table that are no features, by name or number
	Features  []string // columns of a table that are the features, nil for all
	Missing   Missing  // what becomes of features without a value

	// Shape is that of a sample: of 1 to 3 dimensions, whose product is the number
	// of features of a table or array, and to which pictures are brought. nil is
	// the file's own.
	Shape []int

	// Arrays name the arrays of an NPZ file that hold x, y, x_val, y_val, x_test
	// and y_test: no others are read. nil is found out by their names.
	Arrays map[string]string

	Transpose bool // exchange rows and columns of each image, which has Shape in the file
	Numbers   bool // labels that look like measurements are classes nevertheless
}

// readingWords say in messages what the fields of a Reading are.
var readingWords = map[string]string{
	"Label": "a label column", "Header": "a header", "Separator": "a separator", "Ignore": "columns to ignore",
	"Features": "feature columns", "Missing": "a rule for missing values", "Shape": "a shape", "Arrays": "names of arrays",
	"Transpose": "transposing", "Numbers": "numbers as classes",
}

// readingOf returns the library for a kind of file that has a use for the named fields
// of Reading: those of Options.Reading, or of Options.Trained where they are zero
// there. It reports others that are given, and a test file beside what has its test set in it.
func (l library) readingOf(name, kind string, fields ...string) (library, error) {
	given, trained := reflect.ValueOf(&l.Reading).Elem(), reflect.ValueOf(l.Trained)
	for i := range given.NumField() {
		field := given.Type().Field(i).Name
		switch useful := slices.Contains(fields, field); {
		case !useful && !given.Field(i).IsZero():
			return l, fmt.Errorf("%s: is %s, which has no use for %s", name, kind, readingWords[field])
		case useful && given.Field(i).IsZero():
			given.Field(i).Set(trained.Field(i))
		}
	}
	if l.Test != "" && !slices.Contains(fields, "Label") {
		return l, fmt.Errorf("%s: is %s, which has no use for a test file", name, kind)
	}
	return l, nil
}

// A Header says whether the first line of a CSV file has the columns' names.
type Header string

// What is said of a header. "" is HeaderAuto.
const (
	HeaderAuto Header = "auto" // found out
	HeaderYes  Header = "yes"
	HeaderNo   Header = "no"
)

// A Missing says what becomes of a feature without a value.
type Missing string

// What becomes of features without a value. "" is Refuse.
const (
	Refuse Missing = "refuse" // an error that says where
	Drop   Missing = "drop"   // the row is left out
	Mean   Missing = "mean"   // NaN stands there until [Set.FillGaps] puts the mean of the column in the training set there
)

// UnmarshalText parses auto, yes or no.
func (h *Header) UnmarshalText(text []byte) error {
	switch *h = Header(text); *h {
	case HeaderAuto, HeaderYes, HeaderNo:
		return nil
	}
	return fmt.Errorf("%.40q: one of %s, %s, %s is expected", text, HeaderAuto, HeaderYes, HeaderNo)
}

// UnmarshalText parses refuse, drop or mean.
func (m *Missing) UnmarshalText(text []byte) error {
	switch *m = Missing(text); *m {
	case Refuse, Drop, Mean:
		return nil
	}
	return fmt.Errorf("%.40q: one of %s, %s, %s is expected", text, Refuse, Drop, Mean)
}
