package gpu

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/backendtest/gotest"
)

// A device does another precision, and passes the suite there, or says in one line
// that it has none.
func TestPrecision(t *testing.T) {
	for _, d := range usableDevices(t) {
		for _, p := range kernels.Precisions()[1:] {
			t.Run(d.ID()+"/"+string(p), func(t *testing.T) {
				b, err := Open(d, Options{Precision: p})
				if err == nil {
					if _, err = b.Propose([]int{50, 20}, sparse(100, 50), 100); err != nil {
						err = errors.Join(err, b.Close())
					}
				}
				if failed := (*Error)(nil); err != nil {
					if !errors.As(err, &failed) || !strings.Contains(err.Error(), "precision "+string(p)+" needs mma.sync") {
						t.Errorf("got %v", err)
					}
					t.Logf("the device does not have it: %v", err)
					return
				}
				if got := b.Info().OperandRoundoff; got != p.Roundoff() {
					t.Errorf("roundoff of operands is %v", got)
				}
				b.Close()
				gotest.Run(t, func() (network.Backend, error) { return Open(d, Options{Precision: p}) })
			})
		}
	}
}

// What a device computes is looked at before it is used, by plain loops where it has
// no instructions; and no precision is taken for float32.
func TestTryTensor(t *testing.T) {
	t.Parallel()
	d := usableDevices(t)[0]
	samples := sparse(100, 50)
	source := kernels.Program.Source
	open := func(p kernels.Precision) error {
		for _, dense := range []bool{false, true} {
			b, err := Open(d, Options{Precision: p, Dense: dense, loops: true, source: source, Passes: &memory{}})
			if err != nil {
				return err
			}
			plan, err := b.Propose([]int{50, 3}, samples, samples.Rows)
			if err != nil {
				return errors.Join(err, b.Close())
			}
			if bytes := strings.Contains(string(plan.Settings), `"bytes":true`); bytes != (p.Reduced() && !dense) {
				t.Errorf("%s, dense %v: %s", p, dense, plan.Settings)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	for _, p := range kernels.Precisions() {
		if err := open(p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	if err := open("float16"); err == nil || !strings.Contains(err.Error(), `precision "float16" is unknown`) {
		t.Errorf("got %v", err)
	}
	changed := func(old string) string {
		if strings.HasPrefix(old, "to[") {
			return "to[p * size] = p == 0 ? w : w ^ 0x80008000u;\n        v -= "
		}
		return "- " + old
	}
	for old, want := range map[string]string{
		"sum[i][j][r], row":                " of forward 50x3 on 100 rows is ",
		"first_of(bs[":                     " of bias of weight_gradient 50x3 on 100 rows is ",
		"to[p * size] = w;\n        v -= ": " of weight_gradient 50x3 on 100 rows is ", // a second term of another sign
	} {
		source = func(p kernels.Program) string {
			text := p.Source()
			if p.File == "matmul_tensor.cl" && strings.Count(text, old) != 1 {
				panic("matmul_tensor.cl does not hold the text to be changed: " + old)
			}
			return strings.Replace(text, old, changed(old), 1)
		}
		if err := open(kernels.BF16x3); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", old, err)
		}
	}
}

// A weight gradient is split so that its tiles fill the device twice, and less where
// memory is short.
func TestFullSplits(t *testing.T) {
	d := fakeDevice
	d.Type, d.ComputeUnits, d.MaxWorkGroup, d.LocalMemory, d.MaxBuffer = "GPU", 132, 1024, 48<<10, 1<<30
	small := d
	small.MaxBuffer = 10 * 4 * 800 * 128
	for _, c := range []struct {
		d    Device
		n, p int
		want int
	}{
		{d, 784, 128, 37}, {d, 784, 500, 9}, {d, 500, 150, 33}, {d, 784, 4000, 1}, {small, 784, 128, 10},
	} {
		b, err := open(newFake(), c.d, Options{Untested: true})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := b.Propose([]int{c.n, c.p}, network.Samples{Rows: 100, Features: c.n, Bytes: make([]byte, 100*c.n)}, 100)
		if err != nil {
			t.Fatal(err)
		}
		var config kernels.Config
		if err := json.Unmarshal(plan.Settings, &config); err != nil {
			t.Fatal(err)
		}
		if got := config.Tile(kernels.OpWeightGradient, c.n, c.p).Splits; got != c.want {
			t.Errorf("%d×%d: %d splits, want %d", c.n, c.p, got, c.want)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Bytes are kept as bytes where scaling leaves a 0 near 0, and nothing else is.
func TestBytesPlan(t *testing.T) {
	d := fakeDevice
	d.Type = "GPU"
	far := sparse(100, 50)
	far.Scaling.Shift = []float64{10000}
	for _, c := range []struct {
		name    string
		samples network.Samples
		options Options
		bytes   bool
	}{
		{"sparse", sparse(100, 50), Options{}, true},
		{"full", noise(100, 50), Options{}, true},
		{"far from 0", far, Options{}, false},
		{"floats", network.Samples{Rows: 3, Features: 2, Floats: make([]float32, 6)}, Options{}, false},
		{"dense", sparse(100, 50), Options{Dense: true}, false},
	} {
		c.options.Untested = true
		b, err := open(newFake(), d, c.options)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := b.Propose([]int{c.samples.Features, 3}, c.samples, c.samples.Rows)
		if err != nil {
			t.Fatal(err)
		}
		if bytes := strings.Contains(string(plan.Settings), `"bytes":true`); bytes != c.bytes {
			t.Errorf("%s: bytes is %v: %s", c.name, bytes, plan.Settings)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
