package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"clgrad/network"

	"github.com/google/go-cmp/cmp"
)

func readCSV(content string, form tableForm) (table, error) {
	return readTable(strings.NewReader(content), "file", int64(len(content)), form)
}

func TestReadTable(t *testing.T) {
	with := func(label int, names, classes []string, s network.Samples) table {
		n := s.Features
		if label > 0 {
			n++
		}
		return table{name: "file", columns: Columns{Number: n, Names: names, Label: label}, samples: s, classes: classes}
	}
	bytesOf := func(features int, labels []int32, v ...uint8) network.Samples {
		return network.Samples{Rows: len(v) / features, Features: features, Bytes: v, Labels: labels}
	}
	floatsOf := func(features int, labels []int32, v ...float32) network.Samples {
		return network.Samples{Rows: len(v) / features, Features: features, Floats: v, Labels: labels}
	}
	for _, test := range []struct {
		name, content string
		form          tableForm
		want          table
	}{
		{"bytes", "label,a,b\n1,0,255\n0,7,8\n", tableForm{},
			with(1, []string{"label", "a", "b"}, []string{"0", "1"}, bytesOf(2, []int32{1, 0}, 0, 255, 7, 8))},
		{"whole numbers in other spellings", "label,a,b\n1,1.0,2e2\n0,007,-0\n", tableForm{},
			with(1, []string{"label", "a", "b"}, []string{"0", "1"}, bytesOf(2, []int32{1, 0}, 1, 200, 7, 0))},
		{"a fraction in the last field", "label,a,b\n1,0,255\n0,7,8.5\n", tableForm{},
			with(1, []string{"label", "a", "b"}, []string{"0", "1"}, floatsOf(2, []int32{1, 0}, 0, 255, 7, 8.5))},
		{"256 is no byte", "label,a\n1,256\n0,7\n", tableForm{},
			with(1, []string{"label", "a"}, []string{"0", "1"}, floatsOf(1, []int32{1, 0}, 256, 7))},
		{"negative is no byte", "label,a\n1,7\n0,-1\n", tableForm{},
			with(1, []string{"label", "a"}, []string{"0", "1"}, floatsOf(1, []int32{1, 0}, 7, -1))},
		{"text classes in order of their names", "a,label\n1,rose\n2,iris\n3,rose\n4,Aster\n", tableForm{},
			with(2, []string{"a", "label"}, []string{"Aster", "iris", "rose"}, bytesOf(1, []int32{2, 1, 2, 0}, 1, 2, 3, 4))},
		{"numeric classes in order of their values", "a,label\n1,10\n2,9\n3,-1\n4,10.0\n5,0.5\n6,+9\n", tableForm{},
			with(2, []string{"a", "label"}, []string{"-1", "0.5", "9", "10"}, bytesOf(1, []int32{3, 2, 0, 3, 1, 2}, 1, 2, 3, 4, 5, 6))},
		{"large whole numbers keep their digits", "a,label\n1,9007199254740993\n2,9007199254740992\n", tableForm{},
			with(2, []string{"a", "label"}, []string{"9007199254740992", "9007199254740993"}, bytesOf(1, []int32{1, 0}, 1, 2))},
		{"one text makes all text", "a,label\n1,10\n2,9\n3,none\n4,9.0\n", tableForm{},
			with(2, []string{"a", "label"}, []string{"10", "9", "9.0", "none"}, bytesOf(1, []int32{0, 1, 3, 2}, 1, 2, 3, 4))},
		{"nan is text", "a,label\n1,2\n2,nan\n", tableForm{},
			with(2, []string{"a", "label"}, []string{"2", "nan"}, bytesOf(1, []int32{0, 1}, 1, 2))},
		{"no header, number of the column", "5,1,x\n6,2,y\n", tableForm{label: "3"},
			with(3, nil, []string{"x", "y"}, bytesOf(2, []int32{0, 1}, 5, 1, 6, 2))},
		{"no header, a first row that holds the number", "3,1,x\n6,2,y\n", tableForm{label: "3"},
			with(3, nil, []string{"x", "y"}, bytesOf(2, []int32{0, 1}, 3, 1, 6, 2))},
		{"header, number of the column", "a,b,kind\n6,2,y\n7,3,x\n", tableForm{label: "3"},
			with(3, []string{"a", "b", "kind"}, []string{"x", "y"}, bytesOf(2, []int32{1, 0}, 6, 2, 7, 3))},
		{"header, a name that is a number", "a,3,kind\n6,2,0\n7,3,1\n", tableForm{label: "3"},
			with(2, []string{"a", "3", "kind"}, []string{"2", "3"}, bytesOf(2, []int32{0, 1}, 6, 0, 7, 1))},
		{"header of numbers and the label", "0,1,label\n6,2,y\n7,3,x\n", tableForm{},
			with(3, []string{"0", "1", "label"}, []string{"x", "y"}, bytesOf(2, []int32{1, 0}, 6, 2, 7, 3))},
		{"another name", "label,class\n1,x\n2,y\n", tableForm{label: "class"},
			with(2, []string{"label", "class"}, []string{"x", "y"}, bytesOf(1, []int32{0, 1}, 1, 2))},
		{"given classes", "a,label\n1,9\n2,1.0\n", tableForm{classes: []string{"1", "5", "9"}},
			with(2, []string{"a", "label"}, []string{"1", "5", "9"}, bytesOf(1, []int32{2, 0}, 1, 2))},
		{"one class that is given", "a,label\n1,9\n", tableForm{classes: []string{"1", "9"}},
			with(2, []string{"a", "label"}, []string{"1", "9"}, bytesOf(1, []int32{1}, 1))},
		{"unlabelled with header", "a,b\n1,9\n", tableForm{unlabelled: true},
			with(0, []string{"a", "b"}, nil, bytesOf(2, nil, 1, 9))},
		{"unlabelled without header", "1,9\n2,8", tableForm{unlabelled: true, classes: []string{"x", "y"}},
			with(0, nil, []string{"x", "y"}, bytesOf(2, nil, 1, 9, 2, 8))},
		{"unlabelled will do and is not needed", "a,label\n1,9\n", tableForm{unlabelled: true},
			with(2, []string{"a", "label"}, []string{"9"}, bytesOf(1, []int32{0}, 1))},
	} {
		for form, content := range map[string]string{"raw": test.content, "gzip": string(gzipped([]byte(test.content)))} {
			got, err := readCSV(content, test.form)
			if err != nil {
				t.Errorf("%s, %s: %v", test.name, form, err)
			} else if d := cmp.Diff(test.want, got, cmp.AllowUnexported(table{})); d != "" {
				t.Errorf("%s, %s: %s", test.name, form, d)
			}
		}
	}
}

// Columns that are expected are found wherever they are, with labels or without.
func TestReadTableLike(t *testing.T) {
	named := Columns{Number: 3, Names: []string{"kind", "a", "b"}, Label: 1}
	counted := Columns{Number: 3, Names: nil, Label: 1}
	for _, test := range []struct {
		name, content string
		columns       Columns
		form          tableForm
		want          string // features and labels, or the error
	}{
		{"same order", "kind,a,b\ny,1,2\n", named, tableForm{}, "[1 2] [1]"},
		{"other order", "b,a,kind\n2,1,y\n", named, tableForm{}, "[1 2] [1]"},
		{"other order, numeric label", "b,a,3\n2,1,y\n", Columns{Number: 3, Names: []string{"3", "a", "b"}, Label: 1}, tableForm{}, "[1 2] [1]"},
		{"other order, no labels", "b,a\n2,1\n", named, tableForm{unlabelled: true}, "[1 2] []"},
		{"labels that may be missing", "b,a,kind\n2,1,y\n", named, tableForm{unlabelled: true}, "[1 2] [1]"},
		{"another label", "b,a,truth\n2,1,y\n", named, tableForm{label: "truth", unlabelled: true}, "[1 2] [1]"},
		{"no header", "y,1,2\n", named, tableForm{}, "[1 2] [1]"},
		{"no header, no labels", "1,2\n", named, tableForm{unlabelled: true}, "[1 2] []"},
		{"counted", "y,1,2\n", counted, tableForm{}, "[1 2] [1]"},
		{"counted, no labels", "1,2\n", counted, tableForm{unlabelled: true}, "[1 2] []"},
		{"counted, header", "kind,a,b\ny,1,2\n", counted, tableForm{}, "[1 2] [1]"},
		{"counted, header, no labels", "a,b\n1,2\n", counted, tableForm{unlabelled: true}, "[1 2] []"},
		{"names that are numbers", "7,5\n2,1\n", Columns{Number: 3, Names: []string{"5", "7", "kind"}, Label: 3}, tableForm{unlabelled: true}, "[1 2] []"},
		{"names that are numbers, labels", "kind,7,5\ny,2,1\n", Columns{Number: 3, Names: []string{"5", "7", "kind"}, Label: 3}, tableForm{}, "[1 2] [1]"},
		{"numbers that are no names", "7,6\n2,1\n", Columns{Number: 3, Names: []string{"5", "7", "kind"}, Label: 3}, tableForm{unlabelled: true}, "[7 6 2 1] []"},
		{"one feature with a header, no labels", "a\n1\n", Columns{Number: 2, Names: []string{"kind", "a"}, Label: 1}, tableForm{unlabelled: true}, "[1] []"},
		{"a feature of letters and others of digits, no labels", "a,8,9\n1,2,3\n", Columns{Number: 4, Names: []string{"kind", "a", "8", "9"}, Label: 1}, tableForm{unlabelled: true}, "[1 2 3] []"},
		{"counted, a header with the number", "4,b,kind\n1,2,y\n", Columns{Number: 3, Names: nil, Label: 3}, tableForm{}, "[1 2] [1]"},
		{"features alone", "1,2\n", named, tableForm{}, "file: has the 2 features of the training set alone: a column of labels is expected"},
		{"features alone, counted", "1,2\n", counted, tableForm{}, "file: has the 2 features of the training set alone: a column of labels is expected"},
		{"labels missing", "b,a\n2,1\n", named, tableForm{}, `file: has no column "kind" for the labels: its columns are "b", "a"`},
		{"labels by another name", "truth,b,a\ny,2,1\n", named, tableForm{}, `file: has no column "kind" for the labels: its columns are "truth", "b", "a"`},
		{"a given label missing", "b,a\n2,1\n", named, tableForm{label: "truth", unlabelled: true}, `file: has no column "truth" for the labels`},
		{"a feature more", "b,a,c\n2,1,3\n", named, tableForm{unlabelled: true}, `file: line 1, column 3: is named "c", which no feature of the training set is`},
		{"a feature less", "kind,a\ny,1\n", named, tableForm{}, `file: has no column "b", which the training set has`},
		{"counted, a feature more", "y,1,2,3\n", counted, tableForm{}, `file: has 3 features where the training set has 2`},
		{"text", "b,kind,a\n2,y,red\n", named, tableForm{}, `file: line 2, column 3 ("a"): "red" where a number is expected`},
		{"another class", "b,kind,a\n2,z,1\n", named, tableForm{}, `file: line 2, column 2 ("kind"): "z" is no class`},
	} {
		test.form.columns, test.form.classes = &test.columns, []string{"x", "y"}
		table, err := readCSV(test.content, test.form)
		got := fmt.Sprint(table.samples.Bytes, table.samples.Labels)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// Files of other programs: a byte order mark, quotes, CRLF, empty lines, spaces.
func TestReadTableQuotes(t *testing.T) {
	got, err := readCSV("\ufeff\"label\",\"a \"\"b\"\"\nc\", d\r\n\r\nx,\"1\", 2 \r\n\" y, z \",3,4", tableForm{})
	if err != nil {
		t.Fatal(err)
	}
	want := table{
		name: "file", columns: Columns{Number: 3, Names: []string{"label", "a \"b\"\nc", "d"}, Label: 1}, classes: []string{"x", "y, z"},
		samples: network.Samples{Rows: 2, Features: 2, Bytes: []uint8{1, 2, 3, 4}, Labels: []int32{0, 1}},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(table{})); d != "" {
		t.Error(d)
	}
}

func TestReadTableDamage(t *testing.T) {
	zipped := gzipped([]byte("label,a\n1,2\n0,3\n"))
	many := "label"
	for i := range 784 {
		many = "pixel" + strconv.Itoa(i) + "," + many
	}
	for _, test := range []struct {
		name, content string
		form          tableForm
		want          string
	}{
		{"empty", "", tableForm{}, "file: is empty: a CSV file is expected"},
		{"empty lines", "\n\n", tableForm{}, "file: is empty: a CSV file is expected"},
		{"no text", string(gzipped(idx([]int{1}, 3))), tableForm{}, "file: holds a byte 0 in its first line: a CSV file is expected"},
		{"header alone", "label,a\n", tableForm{}, "file: has a header and no rows"},
		{"no label column", "a,b\n1,2\n", tableForm{}, `file: has no column "label" for the labels: its columns are "a", "b": Reading.Label names another`},
		{"no such column", "a,b\n1,2\n", tableForm{label: "kind"}, `file: has no column "kind" for the labels: its columns are "a", "b": a name`},
		{"no such column of many", strings.TrimSuffix(many, "label") + "x\n", tableForm{},
			`file: has no column "label" for the labels: its columns are "pixel783", "pixel782", "pixel781", "pixel780", "pixel779", "pixel778", "pixel777", "pixel776", and 777 more: Reading.Label names another`},
		{"no header and no number", "1,2\n3,4\n", tableForm{}, `file: has no header with a column "label" for the labels: give the column's number, 1 to 2`},
		{"number beyond", "1,2\n3,4\n", tableForm{label: "3"}, `file: has no header with a column "3" for the labels: give the column's number, 1 to 2`},
		{"number 0", "1,2\n3,4\n", tableForm{label: "0"}, `file: has no header with a column "0" for the labels: give the column's number, 1 to 2`},
		{"negative number", "1,2\n3,4\n", tableForm{label: "-1"}, `file: has no header with a column "-1" for the labels: give the column's number, 1 to 2`},
		{"label alone", "label\n1\n2\n", tableForm{}, "file: has no column but the label: features are expected, separated by commas"},
		{"names twice", "label,a,b,a\n1,2,3,4\n", tableForm{}, `file: line 1, column 4: has the name "a" of column 2: different names are expected`},
		{"text", "label,a,b\n1,2,3\n0,4,red\n", tableForm{}, `file: line 3, column 3 ("b"): "red" where a number is expected (Reading.Ignore 3 leaves the column out)`},
		{"text without header", "1,2,3\n0,4,red\n", tableForm{label: "1"}, `file: line 2, column 3: "red" where a number is expected (Reading.Ignore 3 leaves the column out)`},
		{"empty field", "label,a,b\n1,,3\n", tableForm{}, `file: line 2, column 2 ("a"): is empty where a number is expected`},
		{"blank field", "label,a,b\n1,2, \n", tableForm{}, `file: line 2, column 3 ("b"): is empty where a number is expected`},
		{"infinite", "label,a\n1,Inf\n", tableForm{}, `file: line 2, column 2 ("a"): "Inf" where a finite number is expected`},
		{"NaN", "label,a\n1,2\n1,nan\n", tableForm{}, `file: line 3, column 2 ("a"): "nan" where a finite number is expected`},
		{"beyond float32", "label,a\n1,1e39\n", tableForm{}, `file: line 2, column 2 ("a"): "1e39" is beyond the numbers of float32`},
		{"line behind a quoted one", "label,\"a\nb\"\n1,2\n1,x\n", tableForm{}, `file: line 4, column 2 ("a\nb"): "x" where a number is expected (Reading.Ignore 2 leaves the column out)`},
		{"short row", "label,a,b\n1,2,3\n1,2\n", tableForm{}, "file: line 3: has 2 columns where 3 are expected, as in the first line"},
		{"comment between rows", "label,a,b\n1,2,3\n# a note\n1,2,3\n", tableForm{}, "file: line 3: begins with #, and comments are read only in front of the table"},
		{"long row", "label,a,b\n1,2,3,4\n", tableForm{}, "file: line 2: has 4 columns where 3 are expected, as in the first line"},
		{"other separator", "label;a;b\n1;2;3\n", tableForm{separator: ','}, `file: has no column "label" for the labels: its columns are "label;a;b": columns separated by ',' are expected (Reading.Separator)`},
		{"empty label", "label,a\n1,2\n,3\n", tableForm{}, `file: line 3, column 1 ("label"): is empty where a label is expected`},
		{"name that is not UTF-8", "label,\xff\n1,2\n", tableForm{}, `file: line 1, column 2: has the name "\xff", which is not UTF-8`},
		{"label that is not UTF-8", "label,a\n\xff,2\n", tableForm{}, `file: line 2, column 1 ("label"): "\xff" is not UTF-8`},
		{"one class", "label,a\nx,2\nx,3\n", tableForm{}, `file: column 1 ("label"): has the same label, "x", in every row: at least two classes are expected`},
		{"unknown class", "label,a\nx,2\nz,3\n", tableForm{classes: []string{"x", "y"}}, `file: line 3, column 1 ("label"): "z" is no class: "x", "y" are`},
		{"unknown number", "label,a\n1,2\n1.5,3\n", tableForm{classes: []string{"1", "2"}}, `file: line 3, column 1 ("label"): "1.5" is no class: "1", "2" are`},
		{"quote inside", "label,a\n1,2\"3\n", tableForm{}, "file: line 2, byte 4: a quote stands inside a field that does not begin with one"},
		{"text behind a quote", "label,a\n1,\"2\"3\n", tableForm{}, "file: line 2, byte 5: a quote is missing, or has no comma or line end behind it"},
		{"open quote", "label,a\n1,\"2\n3,4\n", tableForm{}, "file: line 3, byte 5: a quote is missing, or has no comma or line end behind it"},
		{"gzip cut short", string(zipped[:len(zipped)-9]), tableForm{}, "file: ends within its gzip data: the file is cut short"},
		{"gzip damaged", string(zipped[:len(zipped)-8]) + "xxxxxxxx", tableForm{}, "file: damaged gzip data: gzip: invalid checksum"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readCSV(test.content, test.form)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

// A column of measurements is no column of labels.
func TestTooManyClasses(t *testing.T) {
	var b strings.Builder
	b.WriteString("label,a\n")
	for i := range maxClasses + 1 {
		b.WriteString(strconv.Itoa(i) + ".5,1\n")
	}
	want := `file: line 65538, column 1 ("label"): "65536.5" comes after 65536 other labels, which is the limit: is this the column of the labels?`
	if _, err := readCSV(b.String(), tableForm{}); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// A small file that unpacks to more than its limit is given up there, in rows as
// well as in a field that never ends.
func TestReadTableBomb(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks 128 MiB")
	}
	digits := strings.Repeat("0", 4000)
	for name, rows := range map[string]string{"rows": "1," + digits + "2\n", "field": digits + "\n"} {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		io.WriteString(w, "label,a\n0,1\n1,")
		if name == "rows" {
			io.WriteString(w, "1\n")
		} else {
			io.WriteString(w, "\"")
		}
		for range freeBytes/4000 + 1 {
			io.WriteString(w, rows)
		}
		w.Close()
		_, err := readCSV(b.String(), tableForm{})
		if want := "file: " + errTooLong.Error(); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// What reading takes follows the content, rows of digits and single long rows
// alike. It is all that is ever allocated, a bound on what is held at a time.
func TestReadTableMemory(t *testing.T) {
	const size = 1 << 20
	for name, content := range map[string]string{
		"bytes":      "label,a\n" + strings.Repeat("1,2\n0,3\n", size/8),
		"floats":     "label,a\n" + strings.Repeat("1,.2\n0,.3\n", size/10),
		"wide":       "label,a\n" + strings.Repeat("1,", size/2) + "\n",
		"wide first": strings.Repeat(",", size),
		"open quote": "label,a\n1,\"" + strings.Repeat("\n", size),
	} {
		var err error
		used := allocated(func() { _, err = readCSV(content, tableForm{}) })
		if good := name == "bytes" || name == "floats"; (err == nil) != good {
			t.Errorf("%s: error %v", name, err)
		}
		if most := int64(256*len(content) + 1<<20); used > most {
			t.Errorf("%s: %d bytes were allocated for %d, more than %d", name, used, len(content), most)
		}
		t.Logf("%s: %.1f bytes for each", name, float64(used)/float64(len(content)))
	}
}

// A test set's columns are found by their names, or counted where there are none.
func TestLoadTables(t *testing.T) {
	const train = "label,a,b\nx,1,2\ny,3,4\n"
	want := Set{
		Name:  "train.csv",
		Train: network.Samples{Rows: 2, Features: 2, Bytes: []uint8{1, 2, 3, 4}, Labels: []int32{0, 1}},
		Test:  network.Samples{Rows: 2, Features: 2, Bytes: []uint8{5, 6, 7, 8}, Labels: []int32{1, 1}}, Classes: 2,
		ClassNames: []string{"x", "y"}, Shape: []int{2},
	}
	want.Digest = Digest(want.Shape, want.Train, want.Test)
	for _, test := range []struct{ name, label, train, test string }{
		{"same order", "", train, "label,a,b\ny,5,6\ny,7,8\n"},
		{"other order", "", train, "b,label,a\n6,y,5\n8,y,7\n"},
		{"header in the first alone", "", train, "y,5,6\ny,7,8\n"},
		{"header in the second alone", "1", "x,1,2\ny,3,4\n", "kind,p,q\ny,5,6\ny,7,8\n"},
		{"no header", "1", "x,1,2\ny,3,4\n", "y,5,6\ny,7,8\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := writeDir(t, map[string][]byte{"train.csv": []byte(test.train), "test.csv": gzipped([]byte(test.test))})
			o := Options{Reading: Reading{Label: test.label}, Test: filepath.Join(dir, "test.csv")}
			got, err := Load(t.Context(), filepath.Join(dir, "train.csv"), o)
			if err != nil {
				t.Fatal(err)
			}
			want := want
			want.Columns = &Columns{Number: 3, Names: nil, Label: 1}
			if strings.HasPrefix(test.train, "label") {
				want.Columns.Names = []string{"label", "a", "b"}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
	for _, test := range []struct{ name, test, want string }{
		{"missing", "", `test set "DIR/test.csv": no such file: a CSV file is expected`},
		{"no labels", "a,b\n1,2\n", `DIR/test.csv: has no column "label" for the labels: its columns are "a", "b"`},
		{"fewer columns", "label,a\nx,1\n", `DIR/test.csv: has no column "b", which the training set has`},
		{"another column", "label,a,c\nx,1,2\n", `DIR/test.csv: line 1, column 3: is named "c", which no feature of the training set is`},
		{"more columns", "label,a,b,c\nx,1,2,3\n", `DIR/test.csv: line 1, column 4: is named "c", which no feature of the training set is`},
		{"other count", "x,1\n", `DIR/test.csv: has 1 features where the training set has 2`},
		{"another class", "b,a,label\n1,2,z\n", `DIR/test.csv: line 2, column 3 ("label"): "z" is no class: "x", "y" are`},
		{"text in another order", "b,a,label\n1,red,x\n", `DIR/test.csv: line 2, column 2 ("a"): "red" where a number is expected`},
		{"no CSV", "\x00\x00\x08\x01", `DIR/test.csv: is no CSV file: one is expected, as DIR/train.csv is`},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := writeDir(t, map[string][]byte{"train.csv": []byte(train), "test.csv": []byte(test.test)})
			if test.test == "" {
				os.Remove(filepath.Join(dir, "test.csv"))
			}
			_, err := Load(t.Context(), filepath.Join(dir, "train.csv"), Options{Test: filepath.Join(dir, "test.csv")})
			if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), dir, "DIR"), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

// Without a test file there is no test set, and scaling does without.
func TestLoadTableAlone(t *testing.T) {
	path := filepath.Join(writeDir(t, map[string][]byte{"t.csv": []byte("label,a,b\nx,1,2\ny,3,4\n")}), "t.csv")
	s, err := Load(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s, err = s.Preprocess(Standard); err != nil || s.Test.Rows != 0 || s.Train.Scaling.Shift[0] != 2.5 {
		t.Errorf("%+v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, path, Options{}); err == nil || err.Error() != path+": loading was stopped: context canceled" {
		t.Errorf("a cancelled load returns %v", err)
	}
}

// Label columns and test files mean something for tables only.
func TestLoadNoTable(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]Options{"mnist": {Reading: Reading{Label: "a"}}, dir: {Test: "b"}} {
		if _, err := Load(t.Context(), name, o); err == nil || !strings.HasPrefix(err.Error(), name+": is a ") || !strings.Contains(err.Error(), ", which has no use for a ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, idx([]int{1}, 3), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), file, Options{}); err == nil || err.Error() != file+": is neither a CSV nor an NPZ file" {
		t.Errorf("an IDX file: got %v", err)
	}
}

// Columns pixel0, pixel1, … in this order are a square image, and others are not.
func TestTableShape(t *testing.T) {
	for header, want := range map[string][]int{
		"label,pixel0,pixel1,pixel2,pixel3": {2, 2},
		"pixel0,pixel1,label,pixel2,pixel3": {2, 2},
		"label,pixel1,pixel0,pixel2,pixel3": {4},
		"label,pixel1,pixel2,pixel3,pixel4": {2, 2},
		"label,pixel2,pixel3,pixel4,pixel5": {4},
		"label,1x1,1x2,1x3,2x1,2x2,2x3":     {2, 3},
		"label,1x1,1x2,1x3,2x1,2x3,2x2":     {6},
		"label,pixel0,pixel1,pixel2":        {3},
		"label,a,b,c,d":                     {4},
	} {
		n := strings.Count(header, ",")
		got, err := readCSV(header+"\n1"+strings.Repeat(",1", n)+"\n2"+strings.Repeat(",2", n), tableForm{})
		if err != nil || !slices.Equal(got.shape(nil), want) {
			t.Errorf("%s: got %v, %v, want %v", header, got.shape(nil), err, want)
		}
	}
}

// FuzzCSV looks for a file that panics, takes more memory than its content
// explains, whose result contradicts itself, or whose error is not one line that
// names it.
func FuzzCSV(f *testing.F) {
	for _, content := range fuzzedTables {
		for _, label := range []string{"", "1", "3", "kind"} {
			f.Add([]byte(content), label, false)
		}
		f.Add(gzipped([]byte(content)), "", true)
	}
	f.Fuzz(func(t *testing.T, file []byte, label string, unlabelled bool) {
		checkTable(t, file, tableForm{label: label, unlabelled: unlabelled})
	})
}

// FuzzReading is FuzzCSV with whatever else can be said of a file.
func FuzzReading(f *testing.F) {
	for i, content := range fuzzedTables {
		f.Add([]byte(content), "1", "", "", byte(0), uint8(i))
		f.Add([]byte(content), "", "1", "a", byte(';'), uint8(7*i))
		f.Add([]byte(utf16Of(content, i%2 > 0)), "2", "", "", byte(0), uint8(i))
	}
	f.Fuzz(func(t *testing.T, file []byte, label, ignore, features string, separator byte, options uint8) {
		form := tableForm{
			label: label, unlabelled: options&1 > 0, numbers: options&2 > 0, header: []Header{"", HeaderAuto, HeaderYes, HeaderNo}[options>>2&3],
			missing: []Missing{"", Refuse, Drop, Mean}[options>>4&3], separator: rune(separator), log: func(string, ...any) {},
		}
		if strings.IndexByte("\"\r\n+-.0123456789", separator) >= 0 {
			return
		}
		if ignore != "" {
			form.ignore = strings.Split(ignore, ",")
		}
		if features != "" {
			form.features = strings.Split(features, ",")
		}
		checkTable(t, file, form)
	})
}

var fuzzedTables = []string{
	"", "label,a,b\n1,0,255\n0,7,8\n", "a,label\n1,rose\n2,iris\n", "5,1,x\n6,2,y\n", "\ufeff\"label\",\"a\"\"b\"\r\nx,1\r\ny,2.5\r\n",
	"label,a\n1,\"2\n3,4\n", "label,a\n1,1e39\n", ",,,,,,,,\n", "label,pixel0,pixel1,pixel2,pixel3\n1,2,3,4,5\n2,3,4,5,6\n",
	"label,a\n9007199254740993,1\n1.5,2\n-0,3\n0,-0\n", "label,a\n\xff,1\n", "1,2\n3,4,5\n", "\x1f\x8b", "label,a\n0x1p3,0x1p3\n8,1_0\n",
	"label;a;b\n1;?;3\n0;2;NA\n1;1550083467346370;4\n0;1550083467346371;4\n", "label,a\r0,1\r1,2\r", "0,1,2\n5,6,1\n",
}

// checkTable reads a table and reports what is wrong with the result.
func checkTable(t *testing.T, file []byte, form tableForm) {
	held := int64(len(file))
	if unzipped, err := gzip.NewReader(bytes.NewReader(file)); err == nil {
		held, _ = io.Copy(io.Discard, unzipped)
	}
	var got table
	var err error
	used := allocated(func() {
		got, err = readTable(bytes.NewReader(file), "file", int64(len(file)), form)
	})
	if most := 256*held + 1<<20; used > most {
		t.Errorf("%d bytes were allocated for a content of %d", used, held)
	}
	if err != nil {
		checkError(t, err)
		return
	}
	if err := got.samples.Check(len(got.classes)); err != nil {
		t.Error(err)
	}
	if err := got.fillGaps(); err != nil {
		checkError(t, err)
		return
	}
	if err := checkFinite(got.samples); err != nil {
		t.Error(err)
	}
	for i, name := range got.classes {
		if slices.Contains(got.classes[:i], name) || !slices.Contains(got.samples.Labels, int32(i)) {
			t.Errorf("class %q of %q is there twice or has no row", name, got.classes)
		}
	}
	if got.columns.Label == 0 {
		return
	}
	if err := got.columns.Check(got.samples.Features); err != nil {
		t.Error(err)
	}
	// Read as a test set it is the same.
	form.label, form.ignore, form.features, form.columns, form.classes = "", nil, nil, &got.columns, got.classes
	again, err := readTable(bytes.NewReader(file), "file", int64(len(file)), form)
	if err == nil {
		err = again.fillGaps()
	}
	if err != nil || !cmp.Equal(again.samples, got.samples) {
		t.Errorf("read again it is %+v, %v instead of %+v", again, err, got)
	}
}

// checkError reports an error that is not one line that begins with the file's name.
func checkError(t *testing.T, err error) {
	t.Helper()
	if s := err.Error(); !strings.HasPrefix(s, "file: ") || strings.Contains(s, "\n") {
		t.Errorf("error %q is not one line that begins with the file's name", s)
	}
}

// fillGaps fills the gaps of a table as those of a training set, or, where its columns have means, with these.
func (t *table) fillGaps() error {
	set, err := Set{Name: t.name, Train: t.samples, Columns: &t.columns, Gaps: t.gaps}.FillGaps()
	if err == nil {
		t.samples, t.columns = set.Train, *set.Columns
	}
	return err
}
