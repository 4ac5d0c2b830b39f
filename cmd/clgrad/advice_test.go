package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"clgrad/network/must"
)

// A loss that ends higher than it began, that never moved or that is no better than a guess is said
// in one line, with what to try. One that falls, however slowly or unevenly, is not.
func TestAdvice(t *testing.T) {
	file := write(t, "flowers.csv", flowers(1, 50))
	for _, x := range []struct{ flags, want string }{
		{"--lr 1e-9", "the loss hardly moved, from 1.1029 to 1.1029: try a larger learning rate, such as --lr 1e-08"},
		{"--lr 1e-9 --batch-size 10 --epochs 3", "the loss hardly moved"},
		{"--layers none --lr 100 --preprocess none", "the loss ended higher than it began"},
		{"--layers none --lr 200 --preprocess none --batch-size 10", "the loss ended higher than it began"},
		{"--lr 1000", "the network predicts the same for all rows, because a hidden layer gives 0 for each of them (its ReLUs are all off): try a smaller learning rate, such as --lr 100"},
		{"--lr 100 --preprocess none", "or --preprocess standard, as the features are not scaled"},
		{"", ""},
		{"--lr 0.01", ""},
		{"--lr 1e-9 --iterations 5", ""}, // too few to say
		{"--batch-size 5 --epochs 3", ""},
		{"--batch-size 1 --epochs 2 --lr 0.05", ""},
		{"--layers none", ""},
		{"--optimizer adam", ""},
		{"--optimizer lbfgs", ""},
		{"--init normal --iterations 200", ""},
		{"--validation 0.2 --early-stopping --patience 2", ""},
	} {
		args := []string{"train", "--data", file, "--label", "species", "--backend", "cpu64"}
		status, _, err := clgrad(t, append(args, strings.Fields(x.flags)...)...)
		said := ""
		for line := range strings.SplitSeq(err, "\n") {
			if strings.Contains(line, ": try ") {
				said = line
			}
		}
		if status != success || x.want == "" && said != "" || !strings.Contains(said, x.want) {
			t.Errorf("%s: status %d, said %q, want %q:\n%s", x.flags, status, said, x.want, err)
		}
	}
}

// The report has the same line as standard error, and none where the loss fell.
func TestAdviceInReport(t *testing.T) {
	file := write(t, "flowers.csv", flowers(1, 50))
	for flags, want := range map[string]string{
		"--lr 1e-9": "The loss hardly moved, from 1.1029 to 1.1029: try a larger learning rate, such as --lr 1e-08, more iterations, or another --init.",
		"--lr 0.01": "",
	} {
		dir := t.TempDir() + "/run"
		good(t, append([]string{"train", "--data", file, "--label", "species", "--backend", "cpu64", "--out", dir}, strings.Fields(flags)...)...)
		page := fileText(dir, "report.html")
		if want == "" && strings.Contains(page, ": try ") || !strings.Contains(page, want) {
			t.Errorf("%s: the report has not %q, or has other advice", flags, want)
		}
	}
}

// The lines of --json have the same keys whether the run is kept or not.
func TestLineKeys(t *testing.T) {
	dir := images(t, 300, 30)
	var want []string
	for _, more := range [][]string{nil, {"--out", t.TempDir() + "/run"}} {
		args := []string{"train", "--data", dir, "--backend", "cpu", "--validation", "0.1", "--iterations", "20", "--json"}
		out := good(t, append(args, more...)...)
		var got []string
		for line := range strings.Lines(out) {
			var values map[string]any
			must.OK(t, json.Unmarshal([]byte(line), &values))
			if _, summary := values["summary"]; !summary {
				got = append(got, strings.Join(slices.Sorted(maps.Keys(values)), " "))
			}
		}
		if want == nil {
			want = got
		}
		if len(got) != 2 || !slices.Equal(got, want) || !strings.Contains(got[0], "test_accuracy test_loss train_accuracy validation_accuracy validation_loss") {
			t.Errorf("%v: keys %q, want %q", more, got, want)
		}
	}
}
