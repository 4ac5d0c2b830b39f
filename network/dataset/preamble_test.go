package dataset

import (
	"archive/zip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// In front of a table may stand what Excel reads and comments, but no row is lost.
func TestPreamble(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		header Header
		labels string // of the rows
		said   string // of comments
	}{
		"Excel":                      {"sep=;\nlabel;a\nx;1,5\n", "", "", ""},
		"Excel, decimal points":      {"sep=;\r\nlabel;a\r\nx;1.5\r\ny;2\r\n", "", "x y", ""},
		"capitals and a tab":         {"SEP=\t\nlabel\ta\nx\t1\ny\t2\n", "", "x y", ""},
		"an unusual separator":       {"sep=|\nlabel|a\nx|1\ny|2\n", "", "x y", ""},
		"comments":                   {"# made by hand\n#\n# a: length, in cm; wet, dry\nlabel,a\nx,1\ny,2\n", "", "x y", "3 lines that begin with # are passed over"},
		"a comment":                  {"# made by hand\nlabel,a\nx,1\ny,2\n", "", "x y", "1 line that begins with # is passed over"},
		"comments and empty lines":   {"\n# one\n\n# two\n\nlabel,a\nx,1\ny,2\n", "", "x y", "2 lines that begin with # are passed over"},
		"Excel and comments":         {"sep=;\n# one, two\nlabel;a\nx;1\ny;2\n", "", "x y", "1 line that begins with # is passed over"},
		"lines end with CR":          {"# one\rlabel,a\rx,1\ry,2\r", "", "x y", "1 line that begins with # is passed over"},
		"a quote in a comment":       {"# 5\" pipes\nlabel,a\nx,1\ny,2\n", "", "x y", "1 line that begins with # is passed over"},
		"names that begin with #":    {"#n,label,a\n1,x,1\n2,y,2\n", "", "x y", ""},
		"comments before such names": {"# by hand\n#n,label,a\n1,x,1\n2,y,2\n", "", "x y", "1 line that begins with # is passed over"},
		"rows that begin with #":     {"#1,1\n#2,2\ny,3\n", HeaderNo, "#1 #2 y", ""},
		"all rows begin with #":      {"#1,1\n#2,2\n", HeaderNo, "#1 #2", ""},
		"# inside":                   {"label,a\nx,1\n#y,2\n", "", "x #y", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			l := library{Options: Options{Input: strings.NewReader(c.text), Reading: Reading{Header: c.header}}}
			if c.header == HeaderNo {
				l.Label = "1"
			}
			l.Log = func(line string) { said = append(said, line) }
			set, err := l.load(t.Context(), StandardInput)
			if c.labels == "" {
				if err == nil || !strings.Contains(err.Error(), `line 3, column 2 ("a"): "1,5" where a number is expected, with a decimal point`) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var labels []string
			for _, class := range set.Train.Labels {
				labels = append(labels, set.ClassNames[class])
			}
			if d := cmp.Diff(strings.Fields(c.labels), labels); d != "" {
				t.Error(d)
			}
			if has := slices.ContainsFunc(said, func(line string) bool { return strings.HasSuffix(line, c.said) }); c.said != "" && !has || c.said == "" && strings.Contains(strings.Join(said, ""), "passed over") {
				t.Errorf("it says %q", said)
			}
		})
	}
}

// Errors count the lines that are passed over.
func TestPreambleLines(t *testing.T) {
	o := Options{Input: strings.NewReader("sep=;\n# one\n\nlabel;a\nx;1\ny;red\n")}
	if _, err := Load(t.Context(), StandardInput, o); err == nil || !strings.Contains(err.Error(), `line 6, column 2 ("a"): "red" where a number`) {
		t.Errorf("got %v", err)
	}
}

// True and False, as pandas, Excel and R write them, are 1 and 0 in a feature. It is said once for each
// training set.
func TestBooleans(t *testing.T) {
	var said []string
	log := func(line string) { said = append(said, line) }
	o := Options{Log: log, Input: strings.NewReader("label,a,b,c,d\nx,True,1.5,TRUE,0\ny,False,2,false,1\nx, true ,3,False,0\n")}
	set, err := Load(t.Context(), StandardInput, o)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]float32{1, 1.5, 1, 0, 0, 2, 0, 1, 1, 3, 0, 0}, set.Train.Floats); d != "" {
		t.Error(d)
	}
	if want := `standard input: column 2 ("a"), column 4 ("c"): True and False are taken for 1 and 0`; len(said) != 1 || said[0] != want {
		t.Errorf("it says %q, want %q", said, want)
	}
	// A first row of them has no names, and the rows of a trained model are read without a word.
	said = nil
	rows := Options{Log: log, Unlabelled: true, Columns: set.Columns, Reading: Reading{}, Input: strings.NewReader("FALSE,1,true,0\n")}
	later, err := Load(t.Context(), StandardInput, rows)
	if err != nil || later.Train.Rows != 1 || !slices.Equal(later.Train.Bytes, []byte{0, 1, 1, 0}) || len(said) != 0 {
		t.Errorf("%v, %v, %v, it says %q", later, later.Train.Bytes, err, said)
	}
	// Labels are no numbers, and other words no booleans.
	o.Input = strings.NewReader("label,a\nTrue,1\nFalse,2\n")
	if set, err = Load(t.Context(), StandardInput, o); err != nil || !slices.Equal(set.ClassNames, []string{"False", "True"}) {
		t.Errorf("%v, %v", set.ClassNames, err)
	}
	o.Input = strings.NewReader("label,a\nx,True\ny,Yes\n")
	if _, err = Load(t.Context(), StandardInput, o); err == nil || !strings.Contains(err.Error(), `line 3, column 2 ("a"): "Yes" where a number is expected`) {
		t.Errorf("got %v", err)
	}
}

// What other programs keep tables in is named, and what to do.
func TestOtherTables(t *testing.T) {
	workbook := archive(zip.Deflate, entry{"[Content_Types].xml", nil}, entry{"_rels/.rels", nil}, entry{"xl/workbook.xml", nil}, entry{"xl/worksheets/sheet1.xml", nil})
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"a.xlsx":    {workbook, "an Excel workbook"},
		"b.csv":     {workbook, "an Excel workbook"}, // whatever it is called
		"a.xls":     {[]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00"), "an Excel workbook"},
		"a.ods":     {archive(zip.Store, entry{"mimetype", []byte("application/vnd.oasis.opendocument.spreadsheet")}, entry{"content.xml", nil}), "an OpenDocument file"},
		"a.parquet": {[]byte("PAR1\x15\x04\x15\x10\x15"), "a Parquet file"},
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(t.Context(), path, Options{})
		if want := path + ": is " + c.want + ", which is not read: save the table as CSV"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
