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
)

var (
	_ network.Backend = (*cpu.Backend[float32])(nil)
	_ network.Backend = (*cpu.Backend[float64])(nil)
)

func TestFloat32(t *testing.T) {
	gotest.Run(t, func() (network.Backend, error) { return cpu.New[float32](), nil })
}

func TestFloat64(t *testing.T) {
	gotest.Run(t, func() (network.Backend, error) { return cpu.New[float64](), nil })
}

// Numbers of splits that divide the rows unevenly, or exceed them, are as good.
func TestSplits(t *testing.T) {
	for _, splits := range []int{1, 3, 7, 64} {
		t.Run(fmt.Sprint(splits), func(t *testing.T) {
			gotest.Run(t, func() (network.Backend, error) {
				return split{cpu.New[float32](), splits}, nil
			}, backendtest.Quick(), backendtest.Only("weight-gradient", "weight-gradient-input"))
		})
	}
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
	if err != nil {
		t.Fatal(err)
	}
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
