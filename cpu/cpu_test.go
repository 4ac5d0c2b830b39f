package cpu_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/backendtest"
	"clgrad/network/backendtest/gotest"
	"clgrad/network/must"
)

var (
	_ network.Backend = (*cpu.Backend[float32])(nil)
	_ network.Backend = (*cpu.Backend[float64])(nil)
)

func TestFloat32(t *testing.T) {
	t.Parallel()
	gotest.Run(t, func() (network.Backend, error) { return cpu.New[float32](), nil })
}

func TestFloat64(t *testing.T) {
	t.Parallel()
	gotest.Run(t, func() (network.Backend, error) { return cpu.New[float64](), nil })
}

// Numbers of splits that divide the rows unevenly, or exceed them, are as good, and each
// is another order of the sum.
func TestSplits(t *testing.T) {
	seen := map[string]int{}
	for _, splits := range []int{1, 3, 7, 64} {
		bits := fmt.Sprintf("%x", splitSum(t, splits))
		if other, ok := seen[bits]; ok {
			t.Errorf("%d and %d splits give the same bits: the plan's are not taken", splits, other)
		}
		seen[bits] = splits
		t.Run(fmt.Sprint(splits), func(t *testing.T) {
			t.Parallel()
			gotest.Run(t, func() (network.Backend, error) {
				return split{cpu.New[float32](), splits}, nil
			}, backendtest.Quick(), backendtest.Only("weight-gradient", "weight-gradient-input"))
		})
	}
}

// splitSum returns a weight gradient of 1,000 rows, summed in a number of splits.
func splitSum(t *testing.T, splits int) []float64 {
	t.Helper()
	b := split{cpu.New[float32](), splits}
	defer b.Close()
	const rows, n = 1000, 16
	s := network.Samples{Rows: rows, Features: n, Bytes: make([]byte, rows*n), Scaling: network.Scaling{Shift: []float64{0}, Factor: []float64{1. / 255}}}
	for i := range s.Bytes {
		s.Bytes[i] = byte(i * i >> 3)
	}
	plan, err := b.Propose([]int{n, n}, s, rows)
	must.OK(t, err)
	x, err := b.Prepare([]int{n, n}, plan)
	must.OK(t, err)
	input, err := x.Load(s, []int{rows})
	must.OK(t, err)
	dz, dw := make([]float64, rows*n), make([]float64, n*n)
	for i := range dz {
		dz[i] = 1 / float64(1+i%97)
	}
	buffer, err := x.NewBuffer(len(dz) + len(dw) + n)
	must.OK(t, err)
	must.OK(t, x.Write(buffer, 0, dz))
	view := func(offset, rows int) network.Matrix {
		return network.Matrix{Buffer: buffer, Offset: offset, Rows: rows, Cols: n, Stride: n}
	}
	must.OK(t, x.WeightGradient(network.Rows{Block: network.Block{Input: input}}, view(0, rows), false, view(len(dz), n), view(len(dz)+len(dw), 1)))
	must.OK(t, x.Read(buffer, len(dz), dw))
	return dw
}

// split is a backend whose plans have a given number of splits.
type split struct {
	*cpu.Backend[float32]
	splits int
}

func (b split) Propose(sizes []int, s network.Samples, batchRows int) (network.ShardPlan, error) {
	plan, err := b.Backend.Propose(sizes, s, batchRows)
	plan.Settings = json.RawMessage(fmt.Sprintf(`{"splits":%d}`, b.splits))
	return plan, err
}

func TestPrepareRefuses(t *testing.T) {
	b := cpu.New[float32]()
	good, err := b.Propose([]int{2, 2}, network.Samples{Rows: 1, Features: 2, Bytes: make([]byte, 2)}, 1)
	must.OK(t, err)
	for settings, want := range map[string]string{
		`{"splits":0}`:    "0 splits",
		`{"splits":2000}`: "2000 splits",
		`{"splits":`:      "settings of the plan",
		``:                "settings of the plan",
	} {
		plan := good
		plan.Settings = json.RawMessage(settings)
		if _, err := b.Prepare([]int{2, 2}, plan); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("settings %s: %v, want %q", settings, err, want)
		}
	}
}
