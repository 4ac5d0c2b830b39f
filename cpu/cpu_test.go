package cpu_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/backendtest"
)

var (
	_ network.Backend = (*cpu.Backend[float32])(nil)
	_ network.Backend = (*cpu.Backend[float64])(nil)
)

func TestFloat32(t *testing.T) {
	backendtest.Run(t, func() (network.Backend, error) { return cpu.New[float32](), nil })
}

func TestFloat64(t *testing.T) {
	backendtest.Run(t, func() (network.Backend, error) { return cpu.New[float64](), nil })
}

// Numbers of splits that divide the rows unevenly, or exceed them, are as good.
func TestSplits(t *testing.T) {
	for _, splits := range []int{1, 3, 7, 64} {
		t.Run(fmt.Sprint(splits), func(t *testing.T) {
			backendtest.Run(t, func() (network.Backend, error) {
				b := cpu.New[float32]()
				plan, err := b.DefaultPlan([]int{2, 2}, network.Samples{Rows: 1, Features: 2, Bytes: make([]byte, 2)})
				if err != nil {
					return nil, err
				}
				plan.Settings = json.RawMessage(fmt.Sprintf(`{"splits":%d}`, splits))
				return b, b.Configure(plan)
			}, backendtest.Quick(), backendtest.Only("weight-gradient", "weight-gradient-input"))
		})
	}
}

func TestConfigureRefuses(t *testing.T) {
	b := cpu.New[float32]()
	good, err := b.DefaultPlan([]int{2, 2}, network.Samples{Rows: 1, Features: 2, Bytes: make([]byte, 2)})
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
		if err := b.Configure(plan); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("settings %s: %v, want %q", settings, err, want)
		}
	}
}
