package dataset

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"

	"clgrad/network/must"
)

func utf16Of(text string, big bool) string {
	var b strings.Builder
	for _, c := range append([]uint16{0xfeff}, utf16.Encode([]rune(text))...) {
		low, high := byte(c), byte(c>>8)
		if big {
			low, high = high, low
		}
		b.Write([]byte{low, high})
	}
	return b.String()
}

// Only plain decimal numbers are numbers.
func TestParseDecimal(t *testing.T) {
	for _, text := range []string{
		"", "+", "-", ".", "+.", "e5", "1e", "1e+", "1_0", "0x10", "0x1p4", "Inf", "inf", "NaN", "1..2", "1.2.3", "1e5.", "--1", "1-", " 1", "١",
		"1234567890123456789012", "-1234567890123456789012",
	} {
		if v, ok := parseDecimal([]byte(text)); ok {
			t.Errorf("%q is read as %v", text, v)
		}
	}
	for _, text := range []string{
		"0", "-0", "+7", "1.", ".5", "-.5e-3", "1E5", "9007199254740993", "9007199254740993e1", "123456789012345678901", "1234567890123456789012.0", "12345678901234567890123e-5",
		"0.1", "2.2250738585072011e-308", "1e22", "1e23", "4503599627370497e22", "1e-400", "5e-324", "000000000000000000000000000000012", "0.000000000000000000000000000000000012345",
	} {
		want, _ := strconv.ParseFloat(text, 64)
		if got, ok := parseDecimal([]byte(text)); !ok || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, ok, want)
		}
	}
	if v, ok := parseDecimal([]byte("-1e999")); !ok || !math.IsInf(v, -1) {
		t.Errorf("-1e999 is %v, %v", v, ok)
	}
}

// parseDecimal agrees with strconv to the last bit.
func TestParseDecimalRapid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float64().Draw(t, "v")
		text := strconv.FormatFloat(v, rapid.SampledFrom([]byte("gef")).Draw(t, "form"), rapid.IntRange(-1, 25).Draw(t, "precision"), 64)
		want, err := strconv.ParseFloat(text, 64)
		if errors.Is(err, strconv.ErrRange) { // rounded to a few digits it may be beyond float64: both say infinite
			err = nil
		}
		got, ok := parseDecimal([]byte(text))
		if strings.Trim(text, "+-0123456789") == "" && significantDigits([]byte(text)) > longestWhole {
			want, got, ok = 0, 0, !ok
		}
		if !ok || err != nil || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%q: got %v, %v, want %v, %v", text, got, ok, want, err)
		}
	})
}

// Values that are large beside their differences keep these, in later files too.
func TestNarrowColumns(t *testing.T) {
	const text = "label,t,u,v\n0,1550083467346370,5,0.1\n1,1550083468346370,5,0.2\n0,,5,0.3\n1,1550083468346371,5,0.4\n"
	var said []string
	form := tableForm{missing: Mean, log: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
	fill := func(read table) (table, error) {
		set, err := Set{Train: read.samples, Columns: &read.columns, Gaps: read.gaps}.FillGaps()
		if err == nil {
			read.columns = *set.Columns
		}
		return read, err
	}
	got, err := readCSV(text, form)
	if err == nil {
		got, err = fill(got)
	}
	must.OK(t, err)
	mean := float32(2000001. / 3)
	want := []float32{0, 5, .1, 1000000, 5, .2, mean, 5, .3, 1000001, 5, .4}
	if !slices.Equal(got.samples.Floats, want) || !slices.Equal(got.columns.Offsets, []float64{1550083467346370, 0, 0}) {
		t.Errorf("%v with offsets %v, want %v", got.samples.Floats, got.columns.Offsets, want)
	}
	if all := strings.Join(said, "\n"); !strings.Contains(all, `file: column 2 ("t"): the values are too large for float32`) || !strings.Contains(all, "1 gap is filled") {
		t.Errorf("said: %s", all)
	}
	form.columns = &got.columns
	later, err := readCSV("t,u,v,label\n1550083467346370,5,0.1,1\n,,,0\n", form)
	if err == nil {
		later, err = fill(later)
	}
	if want := []float32{0, 5, .1, mean, 5, .25}; err != nil || !slices.Equal(later.samples.Floats, want) {
		t.Errorf("later %v, %v, want %v", later.samples.Floats, err, want)
	}
	for _, text := range []string{
		"label,t\n0,16777216\n1,16777217\n0,1\n", // not narrow
		"label,t\n0,100000.5\n1,100001.5\n",      // float32 has all of them
		"label,t\n0,0.1\n1,0.1\n",                // no differences
		"label,t\n0,1e-9\n1,3e-9\n",
	} {
		if got, err := readCSV(text, tableForm{}); err != nil || got.columns.Offsets != nil {
			t.Errorf("%q: offsets %v, %v", text, got.columns.Offsets, err)
		}
	}
}
