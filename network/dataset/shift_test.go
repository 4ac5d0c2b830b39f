package dataset

import (
	"slices"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/must"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Copies stand behind the images in the order that the comment gives.
func TestShiftByHand(t *testing.T) {
	s := Set{Name: "toy", Classes: 2, Shape: []int{2, 3}, Digest: "d"}
	s.Train = network.Samples{Rows: 2, Features: 6, Labels: []int32{1, 0}, Bytes: []uint8{1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16}}
	s.Test, s.Validation = s.Train, s.Train
	got, err := s.Shift(1)
	must.OK(t, err)
	want := s
	want.Train = network.Samples{
		Rows: 10, Features: 6, Labels: []int32{1, 0, 1, 0, 1, 0, 1, 0, 1, 0},
		Bytes: []uint8{
			1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16,
			4, 5, 6, 0, 0, 0, 14, 15, 16, 0, 0, 0,
			0, 0, 0, 1, 2, 3, 0, 0, 0, 11, 12, 13,
			2, 3, 0, 5, 6, 0, 12, 13, 0, 15, 16, 0,
			0, 1, 2, 0, 4, 5, 0, 11, 12, 0, 14, 15,
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Every pixel of every copy is the one that the formula names, of bytes and floats, with
// channels and without, and the images before stay as they were.
func TestShift(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, w, c := rapid.IntRange(2, 6).Draw(t, "h"), rapid.IntRange(2, 6).Draw(t, "w"), rapid.IntRange(1, 3).Draw(t, "c")
		rows, pixels := rapid.IntRange(1, 3).Draw(t, "rows"), rapid.IntRange(1, min(h, w)-1).Draw(t, "pixels")
		s := Set{Name: "toy", Classes: 3, Shape: []int{h, w}}
		if c > 1 || rapid.Bool().Draw(t, "channels") {
			s.Shape = append(s.Shape, c)
		}
		n := rows * h * w * c
		s.Train = network.Samples{Rows: rows, Features: h * w * c, Bytes: make([]uint8, n)}
		for i := range n {
			s.Train.Bytes[i] = uint8(1 + i%251)
		}
		if rapid.Bool().Draw(t, "labels") {
			s.Train.Labels = []int32{2, 0, 1}[:rows]
		}
		before := slices.Clone(s.Train.Bytes)
		if rapid.Bool().Draw(t, "floats") {
			s.Train.Bytes, s.Train.Floats = nil, make([]float32, n)
			for i, b := range before {
				s.Train.Floats[i] = -float32(b) / 7
			}
		}
		got, err := s.Shift(pixels)
		must.OK(t, err)
		if err := got.Train.Check(s.Classes); err != nil || got.Train.Rows != (1+4*pixels)*rows || (got.Train.Labels == nil) != (s.Train.Labels == nil) {
			t.Fatalf("%d rows of %d, %v", got.Train.Rows, rows, err)
		}
		value := func(s network.Samples, row, i, j, k int) float64 {
			if i < 0 || i >= h || j < 0 || j >= w {
				return 0
			}
			at := row*s.Features + (i*w+j)*c + k
			if s.Bytes != nil {
				return float64(s.Bytes[at])
			}
			return float64(s.Floats[at])
		}
		moves := [][2]int{{0, 0}}
		for d := 1; d <= pixels; d++ {
			moves = append(moves, [2]int{d, 0}, [2]int{-d, 0}, [2]int{0, d}, [2]int{0, -d})
		}
		for m, move := range moves {
			for row := range rows {
				if s.Train.Labels != nil && got.Train.Labels[m*rows+row] != s.Train.Labels[row] {
					t.Errorf("copy %d of row %d has label %d", m, row, got.Train.Labels[m*rows+row])
				}
				for at := range h * w * c {
					i, j, k := at/c/w, at/c%w, at%c
					if v, want := value(got.Train, m*rows+row, i, j, k), value(s.Train, row, i+move[0], j+move[1], k); v != want {
						t.Fatalf("copy %d of row %d has %g at %d, %d, %d: want %g", m, row, v, i, j, k, want)
					}
				}
			}
		}
		if s.Train.Bytes != nil && !slices.Equal(before, s.Train.Bytes) {
			t.Error("the images were changed")
		}
	})
}

// Copies are of the rows that are left for training, and the scaling is fitted on them too.
func TestShiftAfterSplit(t *testing.T) {
	s := Set{Name: "toy", Classes: 2, Shape: []int{2, 2}, Digest: "d"}
	s.Train = network.Samples{Rows: 8, Features: 4, Labels: []int32{0, 1, 0, 1, 0, 1, 0, 1}, Bytes: make([]uint8, 32)}
	for i := range s.Train.Bytes {
		s.Train.Bytes[i] = uint8(100 + i)
	}
	split, err := s.Split(0.25, 1)
	must.OK(t, err)
	got, err := split.Shift(1)
	must.OK(t, err)
	if got.Train.Rows != 30 || !cmp.Equal(got.Validation, split.Validation) || got.Digest != "d" {
		t.Errorf("%d rows, validation set %+v, digest %s", got.Train.Rows, got.Validation, got.Digest)
	}
	want, err := Fit(Standard, got.Train, got.Shape)
	must.OK(t, err)
	if scaled, err := got.Preprocess(Standard); err != nil || !cmp.Equal(scaled.Validation.Scaling, want) {
		t.Errorf("scaling %v, want %v: %v", scaled.Validation.Scaling, want, err)
	}
}

func TestShiftErrors(t *testing.T) {
	image := func(shape ...int) Set {
		return Set{Name: "toy", Shape: shape, Train: network.Samples{Rows: 1, Features: 12, Bytes: make([]uint8, 12)}}
	}
	for _, test := range []struct {
		name   string
		set    Set
		pixels int
		want   string
	}{
		{"none", image(3, 4), 0, "shifts of 0 pixels: at least 1 is expected"},
		{"table", image(12), 1, "toy: images of rows and columns are expected, the samples' shape is 12"},
		{"four dimensions", image(3, 2, 2, 1), 1, "toy: images of rows and columns are expected, the samples' shape is 3×2×2×1"},
		{"another size", image(3, 3), 1, "toy: shape 3×3 does not fit samples of 12 features"},
		{"no columns", image(3, 0), 1, "toy: shape 3×0 does not fit"},
		{"all of the image", image(3, 4), 3, "shifts of 3 pixels: images of 3 × 4 in toy have nothing left: at most 2 is expected"},
		{"all of the image, with channels", image(3, 2, 2), 2, "shifts of 2 pixels: images of 3 × 2 in toy have nothing left: at most 1 is expected"},
		{"no rows", Set{Name: "toy", Shape: []int{3, 4}}, 1, "training set of toy: "},
	} {
		if _, err := test.set.Shift(test.pixels); err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
	for _, shape := range [][]int{{3, 4}, {3, 2, 2}, {2, 2, 3}} {
		if _, err := image(shape...).Shift(1); err != nil {
			t.Errorf("shape %v: %v", shape, err)
		}
	}
}
