package bench

import (
	"slices"
	"strings"
	"testing"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/network"
)

// Rows that no machine has memory for are refused before any is taken.
func TestRoomForRows(t *testing.T) {
	s := network.Samples{Rows: 1, Features: 1, Bytes: make([]byte, 1)}
	_, err := repeatRows(s, recipe.Most, 1e9)
	if err == nil || !strings.Contains(err.Error(), "--rows 1000000000: needs 8.0 GB of memory at least, this machine has 1.0 GB") {
		t.Error(err)
	}
	if _, err := repeatRows(s, 2, 1e9); err != nil {
		t.Error(err)
	}
}

func TestRepeatRows(t *testing.T) {
	s := network.Samples{Rows: 2, Features: 2, Bytes: []byte{1, 2, 3, 4}, Labels: []int32{0, 1}}
	for _, c := range []struct {
		rows   int
		bytes  string
		labels []int32
	}{
		{1, "\x01\x02", []int32{0}},
		{2, "\x01\x02\x03\x04", []int32{0, 1}},
		{5, "\x01\x02\x03\x04\x01\x02\x03\x04\x01\x02", []int32{0, 1, 0, 1, 0}},
	} {
		got, err := repeatRows(s, c.rows, 1e9)
		if err != nil || got.Rows != c.rows || string(got.Flat().Bytes) != c.bytes || !slices.Equal(got.Labels, c.labels) || got.Floats != nil || got.Check(2) != nil {
			t.Errorf("%d rows: %+v", c.rows, got)
		}
	}
}
