package network_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/must"
)

// Shares divide a batch in proportion, with a row for everyone.
func TestPlanShare(t *testing.T) {
	b := func(n int) (all []network.Backend) {
		for range n {
			all = append(all, cpu.New[float32]())
		}
		return all
	}
	s := blobs(160, 5, 3, 7)
	for _, c := range []struct {
		batchRows int
		shares    []int
		want      []int // rows
	}{
		{160, []int{9, 7}, []int{90, 70}},
		{160, []int{1, 15}, []int{10, 150}},
		{20, []int{1, 2}, []int{6, 14}},
		{3, []int{1, 1, 100}, []int{1, 1, 1}},
		{5, []int{100, 1, 1}, []int{3, 1, 1}},
		{4, []int{1, 1000}, []int{1, 3}},
	} {
		backends := b(len(c.shares))
		plan, err := network.NewOrderedPlan([]int{5, 3}, s, c.batchRows, network.Random, 3, backends...)
		must.OK(t, err)
		shared, err := plan.Share(s, c.shares, backends...)
		must.OK(t, err)
		var rows []int
		first := 0
		for _, p := range shared.Shards {
			if p.First != first || p.BlockRows > p.Rows {
				t.Errorf("shares %v: shards %+v", c.shares, shared.Shards)
			}
			rows, first = append(rows, p.Rows), first+p.Rows
		}
		if !slices.Equal(rows, c.want) || shared.OrderDigest != plan.OrderDigest || shared.BatchRows != c.batchRows {
			t.Errorf("batches of %d rows, shares %v: rows %v, want %v", c.batchRows, c.shares, rows, c.want)
		}
	}
	plan, err := network.NewPlan([]int{5, 3}, s, 160, b(2)...)
	must.OK(t, err)
	for _, c := range []struct {
		shares []int
		want   string
	}{
		{[]int{1}, "1 shares for 2 backends"},
		{[]int{0, 1}, "share 0: 1 to 1048576 are possible"},
		{[]int{1, 1<<20 + 1}, "share 1048577"},
	} {
		if _, err := plan.Share(s, c.shares, b(2)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("shares %v: error %v, want %q", c.shares, err, c.want)
		}
	}
	plan.BatchRows = 1
	if _, err := plan.Share(s, []int{1, 1}, b(2)...); err == nil {
		t.Error("a batch of a row has slices for two")
	}
}

// A speed is positive, and measuring it leaves nothing behind.
func TestSpeeds(t *testing.T) {
	s := blobs(60, 5, 3, 7)
	l := layout(t, 5, 6, 3)
	one, two := cpu.New[float32](), cpu.New[float64]()
	plan, err := network.NewOrderedPlan(l.Sizes, s, 40, network.Random, 1, one, two)
	must.OK(t, err)
	speeds, err := network.Speeds(l, s, plan, initial(t, l, network.He, 1), one, two)
	if err != nil || len(speeds) != 2 || !(speeds[0] > 0 && speeds[1] > 0) {
		t.Errorf("speeds %v, %v", speeds, err)
	}
	if one.MemoryHeld() != 0 || two.MemoryHeld() != 0 {
		t.Errorf("%d and %d bytes are held", one.MemoryHeld(), two.MemoryHeld())
	}
	two.Close()
	if _, err := network.Speeds(l, s, plan, initial(t, l, network.He, 1), one, two); err == nil {
		t.Error("a closed backend has a speed")
	}
}

// The order for several devices keeps the groups of similar rows whole, in another order,
// and every slice of it has about as many zeros.
func TestSpread(t *testing.T) {
	const rows, groupRows = 3607, 12
	s := strokes(rows, 90, 3, 4, mixed(3))
	for i := range s.Bytes { // rows of 10 to 80 features that are not 0
		row, j := i/90, i%90
		s.Bytes[i] = 0
		if j < 10+row*37%rows*70/rows {
			s.Bytes[i] = 1
		}
	}
	similar, spread := permutation(t, network.Similar, s, rows, 1), permutation(t, network.Spread, s, rows, 1)
	groups := func(order []int32) (all []string) {
		for g := 0; g+groupRows <= rows; g += groupRows {
			all = append(all, fmt.Sprint(order[g:g+groupRows]))
		}
		slices.Sort(all)
		return all
	}
	if slices.Equal(similar, spread) || !slices.Equal(groups(similar), groups(spread)) {
		t.Error("the groups of the two orders differ, or the orders do not")
	}
	zeros := func(order []int32) (share float64) {
		for _, i := range order {
			for _, v := range s.Bytes[int(i)*90 : int(i)*90+90] {
				if v == 0 {
					share++
				}
			}
		}
		return share / float64(len(order)*90)
	}
	if a, b := zeros(spread[:rows/2]), zeros(spread[rows/2:]); a/b > 1.15 || b/a > 1.15 {
		t.Errorf("the halves have shares of zeros of %g and %g", a, b)
	}
	if a, b := zeros(similar[:rows/2]), zeros(similar[rows/2:]); a/b < 2 && b/a < 2 {
		t.Errorf("similar rows are spread already, with shares of %g and %g", a, b)
	}
	for _, batchRows := range []int{1, 60, 1800, rows - 1} { // with more batches it is the order of similar groups
		if !slices.Equal(permutation(t, network.Spread, s, batchRows, 2), permutation(t, network.Similar, s, batchRows, 2)) {
			t.Errorf("batches of %d rows: the orders differ", batchRows)
		}
	}
}
