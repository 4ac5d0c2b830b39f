package dataset

import (
	"fmt"
	"strings"
	"testing"
)

// What is read where there is more than one way, and what is said of it.
func TestReading(t *testing.T) {
	counted := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%d,%d.5\n", i%2, i)
		}
		return b.String()
	}
	prices := func(f string, n int) string {
		b := "price,a\n"
		for i := range n {
			b += fmt.Sprintf(f+",1\n", i)
		}
		return b
	}
	for _, test := range []struct {
		name, content string
		form          tableForm
		want          string // features, labels, ignored columns and classes, or the error
		said          string // "" for nothing
	}{
		{"a header of numbers", "0,1,2\n5,6,1\n7,8,0\n", tableForm{label: "3", header: HeaderYes}, "[5 6 7 8] [1 0] [] [0 1]", ""},
		{"a header of numbers that is found by none", "0,1,2\n5,6,1\n7,8,0\n", tableForm{label: "3"}, "[0 1 5 6 7 8] [2 1 0] [] [0 1 2]",
			`line 1 is taken for a row, though "0", "1", "2" could be names of columns: Reading.Header yes takes it for names`},
		{"a row that counts up", "0,1,2\n5,6,1\n", tableForm{label: "3", header: HeaderNo}, "[0 1 5 6] [1 0] [] [1 2]", ""},
		{"text in a row", "x,1,2\n5,6,1\n", tableForm{label: "3", header: HeaderNo}, `file: line 1, column 1: "x" where a number is expected (Reading.Header says that line 1 has no names)`, ""},
		{"a header beside numbers", "x,1,2\n5,6,1\n7,8,0\n", tableForm{label: "3"}, "[5 6 7 8] [1 0] [] [0 1]",
			`line 1 is taken for names, as column 1 has "x" where a row has a number: Reading.Header no takes it for a row`},
		{"names are no numbers", "0_0,0x1p4,1_0\n5,1,0\n6,2,1\n", tableForm{label: "3"}, "[5 1 6 2] [0 1] [] [0 1]", ""},
		{"a gap is no name", "0,,2\n1,2,3\n", tableForm{label: "1"}, "file: line 1, column 2: is empty where a number is expected: Reading.Missing drop or mean reads it, and Reading.Header yes takes line 1 for names", ""},
		{"a gap in the first row", "0,nan,4\n1,2,3\n0,4,4\n", tableForm{label: "1", missing: Mean}, "[NaN 4 2 3 4 4] [0 1 0] [] [0 1]",
			"line 1 is taken for a row with a gap in column 2: Reading.Header yes takes it for names|1 gap is filled with the mean of the column in the training set, the first in line 1"},
		{"gaps in a header", "label,,b\n1,2,3\n0,1,1\n", tableForm{}, "[2 3 1 1] [1 0] [] [0 1]", ""},
		{"rows without a value", "label,a\n1,?\n0,1\nNA,3\n1,2\n", tableForm{missing: Drop}, "[1 2] [0 1] [] [0 1]", "2 rows are left out for a gap, the first in line 2: the other 2 are counted without them"},
		{"no row with a value", "label,a\n1,?\n", tableForm{missing: Drop}, "file: has a gap in every row: none is left", ""},
		{"a gap", "label,a\n1,NULL\n", tableForm{}, `file: line 2, column 2 ("a"): "NULL" where a number is expected: Reading.Missing drop or mean reads it`, ""},
		{"labels that are gaps", "label,a\n1,1\nNA,2\n?,3\nNA,4\n", tableForm{}, "[1 2 3 4] [0 2 1 2] [] [1 ? NA]",
			`column 1 ("label"): "NA" is a class of its own, of 2 rows: Reading.Missing drop leaves them out|column 1 ("label"): "?" is a class of its own, of 1 row: Reading.Missing drop leaves it out`},
		{"spellings of a number", "label,a\n1,1\n1.0,2\n2,3\n", tableForm{}, "[1 2 3] [0 0 1] [] [1 2]", `column 1 ("label"): labels that are the same number are one class, as "1" and "1.0" are`},
		{"spellings of text", "label,a\n1_0,1\n10,2\n0x1p1,3\n2,4\n", tableForm{}, "[1 2 3 4] [2 1 0 3] [] [0x1p1 10 1_0 2]", ""},
		{"identifiers", "label,a\n1234567890123456789012,1\n1234567890123456789013,2\n", tableForm{}, "[1 2] [0 1] [] [1234567890123456789012 1234567890123456789013]", ""},
		{"a feature of identifiers", "label,a\n1,1234567890123456789012\n", tableForm{},
			`file: line 2, column 2 ("a"): "1234567890123456789012" where a number is expected: so many digits are an identifier (Reading.Ignore leaves its column out)`, ""},
		{"labels with a gap", "label,a\n3,1\n8,2\n", tableForm{}, "[1 2] [0 1] [] [3 8]", `column 1 ("label"): no row has label 4 to 7: the 2 classes are the labels that occur, 3, 8`},
		{"prices", prices("%d.25", 10), tableForm{label: "price"},
			`file: column 1 ("price"): has 10 different labels in 10 rows, fractions among them: they look like numbers to be predicted, which clgrad does not do: Reading.Numbers takes each for a class`, ""},
		{"prices insisted on", prices("%d.25", 2), tableForm{label: "price", numbers: true}, "[1 1] [0 1] [] [0.25 1.25]", ""},
		{"an index", ",label,a\n0,0,5\n10,1,6\n20,1,7\n25,0,5\n", tableForm{}, "[0 5 10 6 20 7 25 5] [0 1 1 0] [] [0 1]",
			"column 1, which has no name, counts up like the numbers of rows and is taken for a feature: Reading.Ignore 1 leaves it out"},
		{"an index by name", "label,Id\n0,1\n1,2\n1,3\n0,4\n", tableForm{}, "[1 2 3 4] [0 1 1 0] [] [0 1]",
			`column 2 ("Id") counts up like the numbers of rows and is taken for a feature: Reading.Ignore 2 leaves it out`},
		{"no index", "label,id\n0,1\n1,2\n1,2\n0,4\n", tableForm{}, "[1 2 2 4] [0 1 1 0] [] [0 1]", ""},
		{"an index without a header", "0,5,1\n1,5,0\n2,4,1\n3,5,1\n", tableForm{label: "3"}, "[0 5 1 5 2 4 3 5] [1 0 1 1] [] [0 1]",
			"column 1 counts up like the numbers of rows and is taken for a feature: Reading.Ignore 1 leaves it out"},
		{"ignored", "id,label,a,b\nx,1,2,3\ny,0,4,5\n", tableForm{ignore: []string{"id", "4"}}, "[2 4] [1 0] [1 4] [0 1]", ""},
		{"ignored text without a header", "x,1,2\ny,0,4\n", tableForm{label: "2", ignore: []string{"1"}}, "[2 4] [1 0] [1] [0 1]", ""},
		{"features", "id,label,a,b\nx,1,2,3\ny,0,4,5\n", tableForm{features: []string{"a"}}, "[2 4] [1 0] [1 4] [0 1]", ""},
		{"features without a header", "x,1,2\ny,0,4\n", tableForm{label: "2", features: []string{"3"}}, "[2 4] [1 0] [1] [0 1]", ""},
		{"ignored and not there", "label,a\n1,2\n", tableForm{ignore: []string{"b"}}, `file: has no column "b" to ignore: its columns are "label", "a"`, ""},
		{"ignored and no header", "1,2\n0,3\n", tableForm{label: "1", ignore: []string{"b"}}, `file: has no column "b" to ignore: numbers of 1 to 2 are expected, as there is no header`, ""},
		{"the labels ignored", "label,a\n1,2\n", tableForm{ignore: []string{"1"}}, `file: column 1 ("label") is to be ignored and holds the labels`, ""},
		{"the labels a feature", "label,a\n1,2\n", tableForm{features: []string{"label"}}, `file: column 1 ("label") is to be a feature and holds the labels`, ""},
		{"a feature ignored", "label,a\n1,2\n", tableForm{ignore: []string{"a"}, features: []string{"a"}}, `file: column 2 ("a") is to be a feature and to be ignored`, ""},
		{"all ignored", "label,a\n1,2\n", tableForm{ignore: []string{"a"}}, "file: has no column but the label: features are expected, separated by commas", ""},
		{"semicolons", "\"label\";\"a\"\n1;2,5\n", tableForm{}, `file: line 2, column 2 ("a"): "2,5" where a number is expected, with a decimal point`, ""},
		{"a separator", "label|a\n1|2\n0|3\n", tableForm{separator: '|'}, "[2 3] [1 0] [] [0 1]", ""},
		{"two separators", "label,a;b\n1,2;3\n", tableForm{}, `file: line 2, column 2 ("a;b"): "2;3" where a number is expected`, "its fields are taken to be separated by ',': by ';' they could be too (Reading.Separator)"},
		{"a separator that does not stand there", "label,a\n1,2\n0,3\n", tableForm{separator: '|'},
			`file: has no column "label" for the labels: its columns are "label,a": columns separated by '|' are expected (Reading.Separator)`, ""},
		{"no ASCII", "label§a\n1§2\n", tableForm{separator: '§'}, "file: separator '§': an ASCII character is expected", ""},
		{"a likely label", "a,Class\n1,2\n3,4\n", tableForm{}, "[1 3] [0 1] [] [2 4]", `column 2 ("Class") is taken for the labels (Reading.Label)|column 2 ("Class"): no row has label 3: the 2 classes are the labels that occur, 2, 4`},
		{"two likely labels", "target,Class\n1,2\n3,4\n", tableForm{}, `file: has no column "label" for the labels: its columns are "target", "Class": Reading.Label names another`, ""},
		{"a name that is a number", "2,1,0\n5,0,7\n6,1,8\n", tableForm{label: "1", header: HeaderYes}, "[5 7 6 8] [0 1] [] [0 1]", `the labels are column 2, which is named "1", and not column 1`},
		{"a shape", "label,a,b\n1,2,3\n", tableForm{shape: []int{2, 2}}, "file: has 2 features, which are no 2×2", ""},
		{"many rows", counted(30), tableForm{label: "1", numbers: true}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var said []string
			test.form.log = func(format string, args ...any) {
				said = append(said, strings.TrimPrefix(fmt.Sprintf(format, args...), "file: "))
			}
			got, err := readCSV(test.content, test.form)
			result := fmt.Sprint(got.samples.Bytes, got.samples.Labels, got.columns.Ignored, got.classes)
			if got.samples.Floats != nil {
				result = fmt.Sprint(got.samples.Floats, got.samples.Labels, got.columns.Ignored, got.classes)
			}
			if err != nil {
				result = err.Error()
			}
			if result != test.want && test.want != "" {
				t.Errorf("got %s\nwant %s", result, test.want)
			}
			if all := strings.Join(said, "|"); all != test.said {
				t.Errorf("said %s\nwant %s", all, test.said)
			}
		})
	}
}

// A later file is read as the training set was: columns that were ignored are there or
// not, with names or without.
func TestReadingLater(t *testing.T) {
	named := Columns{Number: 5, Names: []string{"id", "a", "kind", "note", "b"}, Label: 3, Ignored: []int{1, 4}}
	counted := Columns{Number: 5, Label: 3, Ignored: []int{1, 4}}
	single := Columns{Number: 4, Label: 3, Ignored: []int{1}}
	for _, test := range []struct {
		name, content string
		columns       Columns
		form          tableForm
		want          string
	}{
		{"all", "id,a,kind,note,b\nu,1,y,v,2\n", named, tableForm{}, "[1 2] [1]"},
		{"other order", "b,note,kind,a,id\n2,u,y,1,v\n", named, tableForm{}, "[1 2] [1]"},
		{"no ignored", "b,kind,a\n2,y,1\n", named, tableForm{}, "[1 2] [1]"},
		{"features alone", "b,a\n2,1\n", named, tableForm{unlabelled: true}, "[1 2] []"},
		{"no labels", "id,b,a\nu,2,1\n", named, tableForm{unlabelled: true}, "[1 2] []"},
		{"one more, ignored here", "b,x,kind,a\n2,u,y,1\n", named, tableForm{ignore: []string{"x", "z"}}, "[1 2] [1]"},
		{"features of this file", "b,x,kind,a\n2,u,y,1\n", named, tableForm{features: []string{"a", "b"}}, "[1 2] [1]"},
		{"one more", "b,x,kind,a\n2,u,y,1\n", named, tableForm{}, `file: line 1, column 2: is named "x", which no feature of the training set is`},
		{"a feature ignored", "b,kind,a\n2,y,1\n", named, tableForm{ignore: []string{"a"}}, `file: column 3 ("a") is to be ignored and is a feature of the training set`},
		{"no header", "7,1,y,8,2\n", named, tableForm{}, "[1 2] [1]"},
		{"counted", "u,1,y,v,2\n", counted, tableForm{}, "[1 2] [1]"},
		{"counted, no ignored", "1,y,2\n", counted, tableForm{}, "[1 2] [1]"},
		{"counted, no labels", "7,1,8,2\n", counted, tableForm{unlabelled: true}, "[1 2] []"},
		{"counted, features alone", "1,2\n", counted, tableForm{unlabelled: true}, "[1 2] []"},
		{"counted, one of two without", "7,1,2\n", single, tableForm{unlabelled: true}, "[1 2] []"},
		{"counted, text says that it is the label", "1,y,2\n", single, tableForm{unlabelled: true}, "[1 2] [1]"},
		{"counted, labels needed", "1,y,2\n", single, tableForm{}, "[1 2] [1]"},
		{"counted, too many", "7,1,y,8,2,3\n", counted, tableForm{}, "file: has 5 features where the training set has 2"},
		{"a gap, no means", "1,y,?\n", counted, tableForm{missing: Mean},
			`file: line 1, column 3: "?" where a number is expected: Reading.Missing drop or mean reads it, if the training set was read with Reading.Missing mean too`},
	} {
		test.form.columns, test.form.classes = &test.columns, []string{"x", "y"}
		table, err := readCSV(test.content, test.form)
		got := fmt.Sprint(table.samples.Bytes, table.samples.Labels)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}
