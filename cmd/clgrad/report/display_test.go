package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/network"
	"clgrad/network/must"
)

// Names in the order of text are shown in that of their numbers, other orders as they are.
func TestDisplayOrder(t *testing.T) {
	for _, test := range []struct{ names, want string }{
		{"class 1,class 10,class 2", "class 1,class 2,class 10"},
		{"a,b,c", "a,b,c"},
		{"-1,-2,0,10,9", "-1,-2,0,9,10"},
		{"a01,a1,a10,a2", "a01,a1,a2,a10"},
		{"1.10,1.9,2", "1.9,1.10,2"},
		{"x,x1,x10y,x2", "x,x1,x2,x10y"},
		{"10,9,8", "10,9,8"}, // not in the order of text: the model's own
		{"T-shirt,Trouser,Bag", "T-shirt,Trouser,Bag"},
		{"é10,é2,日10,日9", "é2,é10,日9,日10"},
		{"n100000000000000000000000,n20000000000000000000000", "n20000000000000000000000,n100000000000000000000000"},
	} {
		names := strings.Split(test.names, ",")
		var got []string
		for _, k := range displayOrder(names, len(names)) {
			got = append(got, names[k])
		}
		if want := strings.Split(test.want, ","); !slices.Equal(got, want) {
			t.Errorf("%q are shown as %q, want %q", names, got, want)
		}
	}
	if d := cmp.Diff([]int{0, 1, 2}, displayOrder(nil, 3)); d != "" {
		t.Errorf("without names (−want +got):\n%s", d)
	}
}

// A heat map has at most so many names, at equal distances, each at its row.
func TestHeatLabels(t *testing.T) {
	name := func(i int) string { return string(rune('a' + i%26)) }
	for _, test := range []struct {
		n, want int
		second  float64
	}{{1, 1, 0}, {2, 2, 75}, {21, 21, 7.14}, {22, 11, 11.36}, {200, 20, 5.25}, {700, 14, 7.21}, {20000, 21, 4.77}} {
		all := heatLabels(test.n, mostHeatLabels, name)
		if len(all) != test.want || len(all) > 1 && all[1].At != test.second {
			t.Errorf("%d rows: %d names, want %d: %v", test.n, len(all), test.want, all[:min(2, len(all))])
		}
	}
}

// A column weighs by the deviation of its scaled values and by its weights, and is called by
// its name; the values of a table are shown as its file has them.
func TestColumns(t *testing.T) {
	r := Run{
		Shape: []int{3}, Features: []string{"small", "large", "still"}, Offsets: []float64{1000, 0, 0}, FirstLayer: []float64{3, -4, 1, 0, 9, 9},
		Predictions: &Predictions{
			Samples: network.Samples{Rows: 2, Features: 3, Floats: []float32{-0.5, -10, 7, 0.5, 10, 7}, Labels: []int32{0, 1}}, Logits: []float64{1, 0, 0, 1},
		},
	}
	f, doc := rendered(t, r)
	// Deviations are 0.71, 14.1 and 0, lengths 5, 1 and 12.7.
	for _, want := range []string{"column weight large 100.00 % small 25.00 % still 0.00 %", "probability small large still", "73.11 % 999.5 -10 7"} {
		if !strings.Contains(doc.text, want) {
			t.Errorf("the page does not have %q: %s", want, doc.text)
		}
	}
	if doc.elements["img"] != 1 || len(f.pictures) != 1 {
		t.Errorf("%d pictures in the page, %d files", doc.elements["img"], len(f.pictures))
	}
	if d := cmp.Diff([]uint8{255, 128, 223, 1}, columnWeights(r.FirstLayer, []int{1, 0}, 2).Pix); d != "" {
		t.Errorf("weights (−want +got):\n%s", d)
	}
	// Those of colour images have no names, and say nothing one by one.
	r.Shape, r.Features = []int{1, 1, 3}, nil
	if _, doc := rendered(t, r); doc.elements["img"] != 1 {
		t.Error("three columns are not shown")
	}
	r.Shape, r.FirstLayer, r.Offsets = []int{2, 2, 3}, make([]float64, 24), nil
	r.Predictions.Samples.Features, r.Predictions.Samples.Floats = 12, make([]float32, 24)
	if _, doc := rendered(t, r); strings.Contains(doc.text, "Weight of the columns") {
		t.Error("the values of colour images are shown as columns")
	}
	r.Shape, r.Predictions.Samples.Features, r.Predictions.Samples.Floats, r.Offsets = []int{3}, 3, make([]float32, 6), []float64{1, 2, 3}
	r.Offsets = r.Offsets[1:]
	if err := Write(t.TempDir(), r); err == nil || !strings.Contains(err.Error(), "2 offsets of features where samples have 3") {
		t.Errorf("error %v", err)
	}
}

// Operations are sorted by their time, with bars against the longest.
func TestKernels(t *testing.T) {
	f, doc := rendered(t, Run{Kernels: []Kernel{{"short", 1, 1}, {"long", 2, 4}}})
	if want := "long 2 4.000 80.00 % short 1 1.000 20.00 % all 3 5.000"; !strings.Contains(doc.text, want) {
		t.Errorf("the page does not have %q: %s", want, doc.text)
	}
	if page := string(f.page); !strings.Contains(page, `style="width:100%"`) || !strings.Contains(page, `style="width:25%"`) || strings.Contains(page, "<details open") {
		t.Error("no bars of the right lengths, or not collapsed")
	}
}

// A page of a run under way says so.
func TestWritePage(t *testing.T) {
	r := example()
	r.Status = &Status{"running, iteration 3 of 9", "Running <b>.", "clgrad train --resume 'a <b>'", 10}
	var page bytes.Buffer
	must.OK(t, WritePage(&page, r))
	for _, want := range []string{`<meta http-equiv="refresh" content="10">`, "<title>running, iteration 3 of 9 – ", "<p>Running &lt;b&gt;.</p><pre>clgrad train --resume &#39;a &lt;b&gt;&#39;</pre>"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page does not have %s", want)
		}
	}
	r.Loss.Curves[0].Values = nil
	if err := WritePage(&page, r); err == nil || !strings.HasPrefix(err.Error(), "report: loss curve") {
		t.Errorf("error %v", err)
	}
}
