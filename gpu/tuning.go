package gpu

import (
	"errors"
	"fmt"
	"strings"

	"clgrad/kernels"
)

// A Tuning holds the tiles that were fastest on one device, by shape or network. [Options]
// take it into a backend's default plans; what a run uses stands in its plan, so
// a later tuning does not change a run that goes on.
type Tuning struct {
	Device TunedDevice             `json:"tuned_for"`
	Shapes map[string]kernels.Tile `json:"shapes"` // by kernels.Key, OpPacked included
	// Steps are the tiles of whole iterations, by kernels.StepKey.
	Steps map[string]kernels.StepTile `json:"steps,omitempty"`
}

// TunedDevice is all that a tuning depends on.
type TunedDevice struct {
	Device   string `json:"device"`
	Driver   string `json:"driver"`
	Platform string `json:"platform"`
	Version  string `json:"platform_version"`
	Units    int    `json:"compute_units"`
	Kernels  string `json:"kernels"` // kernels.Digest
}

func (d Device) identity() TunedDevice {
	return TunedDevice{d.Name, d.Driver, d.PlatformName, d.PlatformVersion, d.ComputeUnits, kernels.Digest()}
}

// Check reports a tuning that was made for another device, driver or version of
// the kernels, or that asks for what the device cannot do. The error is one line;
// a caller then goes on without the tuning.
func (t Tuning) Check(d Device) error {
	here := d.identity()
	for _, f := range []struct {
		what        string
		tuned, here any
	}{
		{"device", t.Device.Device, here.Device},
		{"driver", t.Device.Driver, here.Driver},
		{"platform", t.Device.Platform, here.Platform},
		{"platform version", t.Device.Version, here.Version},
		{"number of compute units", t.Device.Units, here.Units},
	} {
		if f.tuned != f.here {
			return fmt.Errorf("was made for another %s (%v, here %v)", f.what, f.tuned, f.here)
		}
	}
	if t.Device.Kernels != here.Kernels {
		return errors.New("was made for another version of the kernels")
	}
	for shape, tile := range t.Shapes {
		if err := checkShape(shape, tile, d.limits()); err != nil {
			return err
		}
	}
	for key, tile := range t.Steps {
		if err := tile.CheckTuned(key, d.limits()); err != nil {
			return err
		}
	}
	return nil
}

// checkShape reports what a device cannot be asked for, or a key that is none.
func checkShape(shape string, tile kernels.Tile, l kernels.Limits) error {
	op, sizes, _ := strings.Cut(shape, " ")
	var n, p int
	if _, err := fmt.Sscanf(sizes, "%dx%d", &n, &p); err != nil || n < 1 || p < 1 || kernels.Key(op, n, p) != shape {
		return fmt.Errorf("shape %q: an operation, inputs and outputs are expected, as in %q", shape, kernels.Key(kernels.OpForward, 784, 128))
	}
	c := kernels.Specification()
	c.Shapes = map[string]kernels.Tile{shape: tile}
	return c.Check(l)
}
