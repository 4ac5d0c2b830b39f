package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clgrad/network/must"
)

// The first shares that are kept under a key stay, whatever others find later, and a file
// that is of no use is said and replaced.
func TestShares(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	one, two := Key("one"), Key("two")
	if shares, err := Shares(dir, one); shares != nil || err != nil {
		t.Fatalf("%v, %v before there are any", shares, err)
	}
	for _, c := range []struct {
		key        string
		keep, want []int
	}{
		{one, []int{9, 7}, []int{9, 7}},
		{one, []int{8, 8}, []int{9, 7}},
		{two, []int{1, 15}, []int{1, 15}},
	} {
		if got, err := KeepShares(dir, c.key, c.keep); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("keeping %v: %v, %v, want %v", c.keep, got, err, c.want)
		}
		if got, err := Shares(dir, c.key); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("after keeping %v: %v, %v, want %v", c.keep, got, err, c.want)
		}
	}
	file := filepath.Join(dir, sharesFile)
	for text, want := range map[string]string{
		"[":                                    "is no list of shares: unexpected EOF",
		"[] []":                                "something follows its end",
		`[{"key": "00", "shares": [0, 3]}]`:    "shares [0 3]: numbers from 1 to 64 are expected",
		`[{"key": "00", "shares": []}]`:        "shares []: numbers from 1",
		`[{"key": "zz", "shares": [1]}]`:       `pass "zz": a digest is expected`,
		`[{"key": "00", "other": [1]}]`:        `unknown field "other"`,
		strings.Repeat(" ", maxFile+1):         "has more than 1048576 bytes",
		`[{"key": "00", "shares": [1, 1000]}]`: "shares [1 1000]: numbers",
	} {
		must.Write(t, text, file)
		_, err := Shares(dir, one)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40s: error %v, want one line with %q", text, err, want)
		}
		if got, err := KeepShares(dir, one, []int{3, 13}); err != nil || !slices.Equal(got, []int{3, 13}) {
			t.Errorf("%.40s: not replaced: %v, %v", text, got, err)
		}
	}
	os.Remove(file)
	must.OK(t, os.Mkdir(file, 0o777))
	if got, err := KeepShares(dir, one, []int{4, 12}); err == nil || !slices.Equal(got, []int{4, 12}) {
		t.Errorf("a directory in the file's place: %v, %v", got, err)
	}
}
