package gpu

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"clgrad/kernels"
)

// A Tuning holds the tiles that were fastest on one device. [Options] take it into a
// backend's default plans; what a run uses stands in its plan, so a later tuning does not
// change a run that goes on.
type Tuning struct {
	Device TunedDevice `json:"tuned_for"`
	// Blocks are the tiles by the rows of the blocks that they were found for: what is fastest
	// for 128 rows is not for 60,000.
	Blocks map[int]Tiles `json:"blocks"`
}

// Tiles are those of shapes and networks.
type Tiles struct {
	Shapes map[string]kernels.Tile `json:"shapes"` // by kernels.Key, OpPacked included
	// Steps are the tiles of whole iterations, by kernels.StepKey.
	Steps map[string]kernels.StepTile `json:"steps,omitempty"`
}

// For returns the tiles for blocks of some rows: of each shape and network those that were
// found for the number of rows nearest to it, by the ratio, of two as near the larger.
func (t Tuning) For(rows int) Tiles {
	distance := func(r int) float64 { return math.Abs(math.Log(float64(max(r, 1)) / float64(max(rows, 1)))) }
	nearest := slices.SortedFunc(maps.Keys(t.Blocks), func(a, b int) int {
		return cmp.Or(cmp.Compare(distance(b), distance(a)), cmp.Compare(a, b))
	})
	all := Tiles{}
	for _, r := range nearest { // the nearest last
		all = all.with(t.Blocks[r])
	}
	return all
}

// with returns t with the tiles of another, in the place of its own.
func (t Tiles) with(other Tiles) Tiles {
	return Tiles{joined(t.Shapes, other.Shapes), joined(t.Steps, other.Steps)}
}

func joined[V any](a, b map[string]V) map[string]V {
	if len(a) == 0 {
		return maps.Clone(b)
	}
	a = maps.Clone(a)
	maps.Copy(a, b)
	return a
}

// Merge adds the tiles of an earlier tuning that t does not have.
func (t Tuning) Merge(earlier Tuning) Tuning {
	merged := map[int]Tiles{}
	for _, from := range []Tuning{earlier, t} {
		for rows, tiles := range from.Blocks {
			merged[rows] = merged[rows].with(tiles)
		}
	}
	t.Blocks = merged
	return t
}

// TunedDevice is all that a tuning depends on.
type TunedDevice struct {
	Identity
	Kernels string `json:"kernels"` // kernels.Digest
}

// An Identity is what has to be equal for anything that was learned of a device to be
// true of it later.
type Identity struct {
	Device   string `json:"device"`
	Driver   string `json:"driver"`
	Platform string `json:"platform"`
	Version  string `json:"platform_version"`
	Units    int    `json:"compute_units"`
}

// Identity returns that of the device.
func (d Device) Identity() Identity {
	return Identity{d.Name, d.Driver, d.PlatformName, d.PlatformVersion, d.ComputeUnits}
}

// Check reports what was made for a device that is not the one here.
func (i Identity) Check(here Identity) error {
	for _, f := range []struct {
		what       string
		made, here any
	}{
		{"device", i.Device, here.Device},
		{"driver", i.Driver, here.Driver},
		{"platform", i.Platform, here.Platform},
		{"platform version", i.Version, here.Version},
		{"number of compute units", i.Units, here.Units},
	} {
		if f.made != f.here {
			return fmt.Errorf("was made for another %s (%v, here %v)", f.what, f.made, f.here)
		}
	}
	return nil
}

func (d Device) tuned() TunedDevice { return TunedDevice{d.Identity(), kernels.Digest()} }

// Check reports a tuning that was made for another device, driver or version of
// the kernels, or that asks for what the device cannot do. The error is one line;
// a caller then goes on without the tuning.
func (t Tuning) Check(d Device) error {
	if err := t.Device.Check(d.Identity()); err != nil {
		return err
	}
	if t.Device.Kernels != kernels.Digest() {
		return errors.New("was made for another version of the kernels")
	}
	for rows, tiles := range t.Blocks {
		if rows < 1 {
			return fmt.Errorf("tiles for blocks of %d rows: at least 1 is expected", rows)
		}
		for shape, tile := range tiles.Shapes {
			if err := checkShape(shape, tile, d.limits()); err != nil {
				return err
			}
		}
		for key, tile := range tiles.Steps {
			if err := tile.CheckTuned(key, d.limits()); err != nil {
				return err
			}
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
