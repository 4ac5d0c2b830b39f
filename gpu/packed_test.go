package gpu

import (
	"encoding/json"
	"testing"

	"clgrad/kernels"
	"clgrad/network"
)

// Whether rows are packed is judged in the order in which they are loaded, and blocks of
// packed rows end with a group.
func TestPackedOrder(t *testing.T) {
	const rows, features = 9000, 40
	s := network.Samples{Rows: rows, Features: features, Bytes: make([]uint8, rows*features)}
	for i := range rows { // row i has a quarter of the features, another one than its neighbours
		for j := range features / 4 {
			s.Bytes[i*features+i%4*features/4+j] = uint8(1 + i%200)
		}
	}
	d := fakeDevice
	d.MaxBuffer = 1 << 30
	b, err := open(newFake(), d, Options{Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.config.Step = nil
	b.config.Packed = &kernels.Tile{Variant: kernels.Packed, ItemRows: 6, ItemCols: 64, Width: 16, Splits: 2}
	for _, o := range []network.Order{network.Given, network.Similar} {
		plan, err := network.NewOrderedPlan([]int{features, 3}, s, rows, o, 0, b)
		if err != nil {
			t.Fatal(err)
		}
		var c kernels.Config
		if err := json.Unmarshal(plan.Shards[0].Settings, &c); err != nil {
			t.Fatal(err)
		}
		block, want := plan.Shards[0].BlockRows, b.config.BlockRows
		if o == network.Similar {
			want -= want % b.config.Packed.ItemRows
		}
		if score := plan.Shards[0].ScoreRows; score != want {
			t.Errorf("order %q: scores blocks of %d rows, want %d", o, score, want)
		}
		if packed := c.Packed != nil; packed != (o == network.Similar) || block != want {
			t.Errorf("order %q: packed is %v, in blocks of %d rows, want %d", o, packed, block, want)
		}
	}
	// One block needs no whole groups.
	one, err := network.NewOrderedPlan([]int{features, 3}, s, 128, network.Similar, 0, b)
	if err != nil || one.Shards[0].BlockRows != 128 {
		t.Errorf("a batch of 128 rows: %+v, %v", one.Shards, err)
	}
}
