package recipe

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"clgrad/network/dataset"
)

// A Reading says how the files of a data set are read where there is more than one way.
// What it leaves out is found out from the files, and said where another way was possible.
type Reading struct {
	Label     Path            `json:"label,omitempty" placeholder:"COLUMN" of:"data" help:"Column of a table with the labels, by name or number. Default: ${as_trained}the column named label."`
	Header    dataset.Header  `json:"header,omitempty" placeholder:"auto|yes|no" of:"data" help:"Whether the first line of a CSV file contains column names. Default: ${as_trained}yes if one of its fields is neither a number nor empty."`
	Separator Separator       `json:"separator,omitempty" placeholder:"CHARACTER" of:"data" help:"Field separator of a CSV file: one character, tab or space. Default: ${as_trained}comma, semicolon or tab, whichever fits the first lines."`
	Ignore    ColumnList      `json:"ignore,omitempty" placeholder:"COLUMN,…" of:"data" help:"Columns of a table that are not features, by name or number, as in id,3."`
	Features  ColumnList      `json:"features,omitempty" placeholder:"COLUMN,…" of:"data" help:"Columns of a table that are features, by name or number. Default: ${as_trained}all others."`
	Missing   dataset.Missing `json:"missing,omitempty" placeholder:"refuse|drop|mean" of:"data" help:"How to treat missing values (an empty field, NA, NaN, null or ?). drop leaves out the row. mean fills in the mean of the column in the training set. Default: ${as_trained}an error that says where the value is missing."`
	Shape     Dimensions      `json:"shape,omitempty" placeholder:"HxWxC" of:"data" help:"Shape of a sample, as in 28x28 or 32x32x3: that of an image in a table or an array, and that to which pictures are brought."`
	Arrays    ArrayNames      `json:"arrays,omitempty" placeholder:"x=NAME,y=NAME" of:"data" help:"Which arrays of an NPZ file hold the features x and the labels y of the training set, x_val and y_val of the validation set, x_test and y_test of the test set. No others are read. Default: ${as_trained}those with names as x_train (Keras), train_images (MedMNIST), x, or arr_0 and arr_1."`
	Transpose bool            `json:"transpose,omitempty" of:"data" help:"Transpose each image, which EMNIST's files need. --shape is the shape in the file."`
	Numbers   bool            `json:"numbers_as_classes,omitempty" name:"numbers-as-classes" of:"data" help:"Treat labels as classes even if they look like measurements, that is, fractions that nearly all differ."`
}

// Options says the same to package dataset. What is not given is no list, shape and so on,
// which is an error of a flag and nothing here.
func (r Reading) Options() dataset.Reading {
	columns := func(l ColumnList) []string { names, _ := l.names(); return names }
	shape, _ := r.Shape.sizes()
	arrays, _ := r.Arrays.names()
	separator, _ := r.Separator.rune()
	return dataset.Reading{
		Label: string(r.Label), Header: r.Header, Separator: separator, Ignore: columns(r.Ignore), Features: columns(r.Features),
		Missing: r.Missing, Shape: shape, Arrays: arrays, Transpose: r.Transpose, Numbers: r.Numbers,
	}
}

// flagOf has the flags by the names that packages dataset and gpu call them by.
var flagOf = func() map[string]string {
	names := map[string]string{"Conversion.Method Resize": "predict --raw", "Options.Input": "--input"}
	for _, f := range fields(reflect.TypeFor[Reading]()) {
		names["Reading."+f.Name] = "--" + strings.ReplaceAll(f.key, "_", "-")
	}
	return names
}()

var goName = regexp.MustCompile(`\b(Reading\.[A-Z][a-z]+|Conversion\.Method Resize|Options\.Input)\b`)

// WithFlags returns a message of packages dataset or gpu with flags in the place of the Go names of
// what was or may be set: --header yes for Reading.Header yes.
func WithFlags(message string) string {
	return goName.ReplaceAllStringFunc(message, func(name string) string { return cmp.Or(flagOf[name], name) })
}

// WithoutColumns returns the reading of other files than those of a training set, whose
// columns a model knows: without the names and numbers that columns have in those.
func (r Reading) WithoutColumns() Reading {
	r.Label, r.Ignore, r.Features = "", "", ""
	return r
}

// A Separator is the character between fields, in words where it is not seen.
type Separator string

func (s Separator) rune() (rune, error) {
	switch s {
	case "tab", `\t`:
		return '\t', nil
	case "space":
		return ' ', nil
	}
	r, size := utf8.DecodeRuneInString(string(s))
	if r >= utf8.RuneSelf || size < len(s) || strings.ContainsRune("\"\r\n+-.0123456789", r) {
		return 0, fmt.Errorf("%.20q: one ASCII character that is no part of a number, tab or space is expected", string(s))
	}
	return r, nil
}

// UnmarshalText refuses what separates nothing.
func (s *Separator) UnmarshalText(text []byte) (err error) {
	*s = Separator(text)
	_, err = s.rune()
	return err
}

// A ColumnList names columns, separated by commas and quoted as a line of a CSV file is.
type ColumnList string

func (l ColumnList) names() ([]string, error) {
	r := csv.NewReader(strings.NewReader(string(l)))
	r.TrimLeadingSpace = true
	names, err := r.Read()
	if err != nil || r.InputOffset() < int64(len(l)) || slices.Contains(names, "") {
		return nil, fmt.Errorf("%.80q: names or numbers separated by commas are expected, a name with a comma in double quotes", string(l))
	}
	return names, nil
}

// UnmarshalText parses such a list.
func (l *ColumnList) UnmarshalText(text []byte) (err error) {
	*l = ColumnList(text)
	_, err = l.names()
	return err
}

// Dimensions are those of a sample, as in 28x28.
type Dimensions string

func (d Dimensions) sizes() (sizes []int, err error) {
	for _, part := range strings.Split(strings.ReplaceAll(string(d), "×", "x"), "x") {
		n, err := count(part, 1)
		if err != nil || len(sizes) == 3 {
			return nil, fmt.Errorf("%.40q: up to three sizes are expected, as in 28x28 or 32x32x3", string(d))
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// UnmarshalText parses up to three sizes.
func (d *Dimensions) UnmarshalText(text []byte) (err error) {
	*d = Dimensions(text)
	_, err = d.sizes()
	return err
}

// ArrayNames say which array holds what, as in x=images,y=labels.
type ArrayNames string

func (a ArrayNames) names() (map[string]string, error) {
	known := []string{"x", "y", "x_val", "y_val", "x_test", "y_test"}
	names := map[string]string{}
	for _, part := range strings.Split(string(a), ",") {
		role, name, _ := strings.Cut(part, "=")
		role, name = strings.TrimSpace(role), strings.TrimSpace(name)
		if _, twice := names[role]; twice || name == "" || !slices.Contains(known, role) {
			return nil, fmt.Errorf("%.80q: what they hold and their names are expected, as in x=images,y=labels: %s are possible, each once",
				string(a), strings.Join(known, ", "))
		}
		names[role] = name
	}
	return names, nil
}

// UnmarshalText parses such names.
func (a *ArrayNames) UnmarshalText(text []byte) (err error) {
	*a = ArrayNames(text)
	_, err = a.names()
	return err
}
