package text

import (
	"fmt"
	"strings"
	"testing"

	"clgrad/network/must"
)

// A table that is too wide goes on below, with its first column again, and no line is as long as
// to be broken by the terminal.
func TestTable(t *testing.T) {
	devices := Table{Columns: []string{"BACKEND", "DEVICE", "MEMORY"}}
	devices.Row("cpu", "a processor of two words", "8 GiB")
	devices.Row("opencl:0.0", "pthread", "16 GiB")
	for columns, want := range map[int]string{
		0: "BACKEND     DEVICE                    MEMORY\n" +
			"cpu         a processor of two words  8 GiB\n" +
			"opencl:0.0  pthread                   16 GiB\n",
		40: "BACKEND     DEVICE\n" +
			"cpu         a processor of two words\n" +
			"opencl:0.0  pthread\n" +
			"\n" +
			"BACKEND     MEMORY\n" +
			"cpu         8 GiB\n" +
			"opencl:0.0  16 GiB\n",
		30: "BACKEND     DEVICE\n" +
			"cpu         a processor of\n" +
			"            two words\n" +
			"opencl:0.0  pthread\n" +
			"\n" +
			"BACKEND     MEMORY\n" +
			"cpu         8 GiB\n" +
			"opencl:0.0  16 GiB\n",
	} {
		var b strings.Builder
		if err := devices.Write(&b, columns); err != nil || b.String() != want {
			t.Errorf("%d columns: %v\n%s\nwant\n%s", columns, err, b.String(), want)
		}
	}
	numbers := Table{Columns: []string{"name"}, Right: []bool{true}}
	row := []string{"x"}
	for i := range 20 {
		numbers.Columns = append(numbers.Columns, fmt.Sprint("column ", i))
		row = append(row, fmt.Sprint(i*i*i))
	}
	numbers.Row(row...)
	for _, columns := range []int{40, 60, 200} {
		var b strings.Builder
		must.OK(t, numbers.Write(&b, columns))
		for i := range 20 {
			if strings.Count(b.String(), fmt.Sprint("column ", i)) == 0 {
				t.Errorf("%d columns: column %d is missing", columns, i)
			}
		}
		for line := range strings.SplitSeq(b.String(), "\n") {
			if Width(line) > columns {
				t.Errorf("%d columns: %q", columns, line)
			}
		}
	}
}

// Characters that take two columns, and a row with fewer cells, do not move the columns behind them.
func TestTableWide(t *testing.T) {
	table := Table{Columns: []string{"class", "rows", "name"}, Right: []bool{false, true, false}}
	table.Row("数据", "7", "x")
	table.Row("b", "12", "y")
	table.Row("c")
	var b strings.Builder
	want := "class  rows  name\n数据      7  x\nb        12  y\nc\n"
	if err := table.Write(&b, 0); err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
	}
}

func TestWrap(t *testing.T) {
	for _, x := range []struct {
		s       string
		columns int
		want    string
	}{
		{"one two three", 0, "one two three"}, {"one two three", 7, "one two|three"}, {"one twothreefour", 6, "one|twothr|eefour"},
		{"数据数据 x", 5, "数据|数据|x"}, {"", 5, ""},
	} {
		if got := strings.Join(Wrap(x.s, x.columns), "|"); got != x.want {
			t.Errorf("%q in %d columns: %q, want %q", x.s, x.columns, got, x.want)
		}
	}
	for _, x := range []struct {
		s       string
		columns int
		want    string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"数据", 3, "数…"}, {"é", 1, "é"}, {"ab", 0, ""}} {
		if got := Cut(x.s, x.columns); got != x.want {
			t.Errorf("%q cut to %d: %q, want %q", x.s, x.columns, got, x.want)
		}
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"adm": "adam", "adma": "adam", "nest": "nesterov", "nestrov": "nesterov", "adamw2": "adamw", "xyz": "", "a": "", "": "", "ADAM": "adam",
		strings.Repeat("adam", 20): "",
	} {
		if got := Nearest(word, "gd", "adam", "adamw", "nesterov"); got != want {
			t.Errorf("%q is taken for %q, want %q", word, got, want)
		}
	}
}

// Names of files, columns and classes cannot command a terminal, nor end a line.
func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{"a\x1b[31mb": "a?[31mb", "a\tb\nc": "a b c", "é 数据 −": "é 数据 −", "\u202eabc": "?abc", "": ""} {
		if got := Printable(s); got != want {
			t.Errorf("%q is printed as %q, want %q", s, got, want)
		}
	}
}
