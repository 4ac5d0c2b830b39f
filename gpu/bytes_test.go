package gpu

import (
	"encoding/json"
	"strings"
	"testing"

	"clgrad/kernels"
	"clgrad/network"
)

// Where kernels of a later layer give way to the naive one, the first layer's bytes stay,
// unless that layer has the first one's shape, and its tiles; the plan is one that this
// device prepares.
func TestBytesAndOtherLayers(t *testing.T) {
	t.Parallel()
	d := usableDevices(t)[0]
	d.Type, d.ComputeUnits = "GPU", 2
	wrong := func(n string) []change {
		return []change{
			{"matmul_local.cl", "#define FETCH(LOW)", "#ifdef A_BYTES\n#define WRONG false\n#else\n#define WRONG (N == " + n + ")\n#endif\n#define FETCH(LOW)"},
			{"matmul_local.cl", "low + B_TERM < end,", "low + B_TERM < end && !WRONG,"},
		}
	}
	for _, c := range []struct {
		sizes []int
		wrong string
		first string // of the notes on single operations
		bytes bool
	}{
		{[]int{50, 20, 3}, "3", "forward 20x3 gives way to naive", true},
		{[]int{20, 20, 20, 3}, "20", "forward 20x20 gives way to naive", false},
	} {
		s := sparse(300, c.sizes[0])
		var notes []string
		b, err := Open(d, Options{Passes: &memory{}, source: changed(wrong(c.wrong)...), Note: func(line string) { notes = append(notes, line) }})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		b.config = configs(d)["odd-local"] // small tiles build fast
		plan, err := b.Propose(c.sizes, s, s.Rows)
		if err != nil {
			t.Fatal(err)
		}
		var config kernels.Config
		if err := json.Unmarshal(plan.Settings, &config); err != nil {
			t.Fatal(err)
		}
		if len(notes) < 2 || !strings.Contains(notes[0], opStep) || !strings.Contains(notes[1], c.first) || config.Bytes != c.bytes || config.Shifted {
			t.Errorf("%v: bytes %v where %v is expected:\n%s", c.sizes, config.Bytes, c.bytes, strings.Join(notes, "\n"))
		}
		if _, err := b.Prepare(c.sizes, plan); err != nil {
			t.Errorf("%v: %v", c.sizes, err)
		}
	}
}

// A first layer whose tile was tuned to one that reads no bytes has float32 input, and a
// plan that says otherwise is refused.
func TestBytesAndTuning(t *testing.T) {
	d := fakeDevice
	d.Type = "GPU"
	s := sparse(100, 50)
	sizes := []int{50, 20, 3}
	naive := kernels.Tile{Variant: kernels.NaiveVariant}
	for shape, bytes := range map[string]bool{"forward 50x20": false, "weight_gradient 50x20": false, "forward 20x3": true} {
		b, err := open(newFake(), d, Options{Untested: true, Tuning: Tuning{Blocks: map[int]Tiles{1: {Shapes: map[string]kernels.Tile{shape: naive}}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		plan, err := b.Propose(sizes, s, s.Rows)
		if err != nil {
			t.Fatal(err)
		}
		var config kernels.Config
		if err := json.Unmarshal(plan.Settings, &config); err != nil {
			t.Fatal(err)
		}
		if config.Bytes != bytes {
			t.Errorf("%s is naive: bytes %v where %v is expected", shape, config.Bytes, bytes)
		}
		if _, err := b.Prepare(sizes, plan); err != nil {
			t.Errorf("%s: %v", shape, err)
		}
		config.Bytes = true
		if plan.Settings, err = json.Marshal(config); err != nil {
			t.Fatal(err)
		}
		_, err = b.Prepare(sizes, plan)
		if bytes != (err == nil) || err != nil && !strings.Contains(err.Error(), shape+": tile naive over bytes") {
			t.Errorf("%s: a plan of bytes: %v", shape, err)
		}
	}
	b, err := open(newFake(), d, Options{Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.SelfTest([]int{50}, network.ShardPlan{}, nil); err == nil || !strings.Contains(err.Error(), "at least its inputs and its classes") {
		t.Errorf("a test of a network of one size: %v", err)
	}
}
