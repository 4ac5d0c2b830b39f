package kernels

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var roomy = Limits{WorkGroup: 1024, LocalMemory: 48 << 10}

// The defaults of every class are possible on an ordinary device.
func TestDefaults(t *testing.T) {
	for _, c := range []Config{Default(CPU, 1, 16), Default(CPU, 128, 16), Default(GPU, 132, 16), Specification(),
		Default(GPU, 132, 16).At(TF32, true), Default(GPU, 132, 16).At(BF16, true), Default(CPU, 2, 16).At(BF16x3, true)} {
		if err := c.Check(roomy); err != nil {
			t.Error(err)
		}
	}
}

// Every program has the kernels that it is built for in its own file, behind what all
// share, and the file reads each of its options. No file is left over.
func TestPrograms(t *testing.T) {
	cpu, gpu := Default(CPU, 2, 16), Default(GPU, 132, 16)
	tensor := gpu.At(TF32, true).Forward
	const shared = "common.cl"
	used := map[string]bool{shared: true, "step_tile.cl": true}
	for _, c := range []struct {
		program Program
		kernels string // in the order of their names
	}{
		{Naive(), "forward input_gradient weight_gradient"},
		{cpu.Forward.Matmul(Bias), "matmul"},
		{cpu.InputGradient.Matmul(Mask), "matmul"},
		{cpu.WeightGradient.Gradient(), "weight_gradient_partial"},
		{cpu.Packed.PackedInput(), "add_partials_packed forward_packed weight_gradient_packed"},
		{gpu.Forward.Matmul(Bias), "matmul"},
		{gpu.Forward.Matmul(Bias).OverBytes(), "matmul"},
		{gpu.InputGradient.Matmul(Mask), "matmul"},
		{gpu.WeightGradient.Matmul(Partial), "matmul"},
		{tensor.Matmul(Bias), "matmul"},
		{tensor.Matmul(Bias).OverBytes(), "matmul"},
		{tensor.Matmul(Partial), "matmul"},
		{Affine(64), "add_affine_partials affine_bias affine_weights scale_weights"},
		{Softmax(3), "softmax_cross_entropy softmax_cross_entropy_register"},
		{Reduce(64), "add_partials sum_record"},
		{Update("ADAM", 16), "update"},
		{Transpose(), "transpose"},
		{cpu.Step.RowsOf([]int{784, 128, 10}), "step_columns step_rows"},
		{cpu.Step.ColumnsOf([]int{784, 128, 10}, "ADAM"), "step_columns step_rows"},
		{Output{128, 10, 8}.Program(), "step_output step_update"},
		{StepUpdate([]int{784, 128, 10}, "ADAM", Shifts, 256), "step_output step_update"},
		{PeakProbe(CPU).Program(), "arithmetic copy"},
		{PeakProbe(GPU).Program(), "arithmetic copy"},
	} {
		name, own := c.program.File, text(c.program.File)
		used[name] = true
		if got := strings.Join(kernelsOf(own), " "); got != c.kernels {
			t.Errorf("%s has the kernels %q where %q are expected", name, got, c.kernels)
		}
		if got := c.program.Source(); c.program.Tiles == "" && got != text(shared)+own {
			t.Errorf("%s: the source is not the shared part and the file", name)
		}
		for _, option := range strings.Fields(c.program.Options) {
			macro, _, _ := strings.Cut(strings.TrimPrefix(option, "-D"), "=")
			if !regexp.MustCompile(`\b` + macro + `\b`).MatchString(c.program.Source()) {
				t.Errorf("%s: nothing reads %s", name, option)
			}
		}
	}
	all, err := fs.Glob(files, "*.cl")
	for _, name := range all {
		b, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if code := comments.ReplaceAllString(string(b), ""); strings.IndexFunc(code, func(r rune) bool { return r > unicode.MaxASCII }) >= 0 {
			t.Errorf("%s has characters beside ASCII outside of comments", name)
		}
	}
	if err != nil || len(all) != len(used) {
		t.Errorf("the files are %v, %v: those of programs are %v", all, err, used)
	}
}

var (
	comments  = regexp.MustCompile(`//.*`)
	kernelDef = regexp.MustCompile(`(?s)\bkernel\s+(?:__attribute__\(\([^;{]*?\)\)\)\s+)?void\s+(\w+)\(`)
)

// kernelsOf returns the names of the kernels that a source defines, in order.
func kernelsOf(source string) (names []string) {
	for _, m := range kernelDef.FindAllStringSubmatch(comments.ReplaceAllString(source, ""), -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return names
}

// A shape's own tile goes before the default.
func TestConfigTile(t *testing.T) {
	c := Default(CPU, 2, 16)
	own := Tile{Variant: Register, ItemRows: 4, ItemCols: 16, Width: 16}
	c.Shapes = map[string]Tile{Key(OpForward, 784, 10): own}
	if got := c.Tile(OpForward, 784, 10); got != own {
		t.Errorf("listed shape: %v", got)
	}
	if got := c.Tile(OpForward, 784, 11); got != c.Forward {
		t.Errorf("other shape: %v", got)
	}
	if got := c.Tile(OpInputGradient, 784, 10); got != c.InputGradient {
		t.Errorf("other operation: %v", got)
	}
}

func TestCheckRefuses(t *testing.T) {
	register := Tile{Variant: Register, ItemRows: 4, ItemCols: 16, Width: 16}
	local := Tile{Variant: LocalMemory, ItemRows: 8, ItemCols: 8, GroupRows: 16, GroupCols: 16, Depth: 16}
	for want, tile := range map[string]Tile{
		"variant":                                {Variant: "magic"},
		"width is 5":                             {Variant: Register, ItemRows: 4, ItemCols: 15, Width: 5},
		"item rows is 0":                         {Variant: Register, ItemCols: 16, Width: 16},
		"no multiple":                            {Variant: Register, ItemRows: 4, ItemCols: 20, Width: 8},
		"item columns is 8":                      {Variant: Register, ItemRows: 4, ItemCols: 8, Width: 16},
		"depth is 0":                             {Variant: LocalMemory, ItemRows: 8, ItemCols: 8, GroupRows: 16, GroupCols: 16},
		"work-group is 1056":                     {Variant: LocalMemory, ItemRows: 1, ItemCols: 1, GroupRows: 32, GroupCols: 33, Depth: 1},
		"bytes of local memory":                  {Variant: LocalMemory, ItemRows: 8, ItemCols: 8, GroupRows: 16, GroupCols: 16, Depth: 64},
		"item rows is 8":                         {Variant: Tensor, ItemRows: 8, ItemCols: 8, GroupRows: 1, GroupCols: 1, Depth: 8, Precision: TF32},
		"no multiple of 16":                      {Variant: Tensor, ItemRows: 24, ItemCols: 8, GroupRows: 1, GroupCols: 1, Depth: 8, Precision: TF32},
		"none of 8":                              {Variant: Tensor, ItemRows: 16, ItemCols: 8, GroupRows: 1, GroupCols: 1, Depth: 12, Precision: TF32},
		`precision "float32"`:                    {Variant: Tensor, ItemRows: 16, ItemCols: 8, GroupRows: 1, GroupCols: 1, Depth: 8, Precision: Float32},
		"columns of a work-group is 64: 8 to 32": {Variant: Tensor, ItemRows: 16, ItemCols: 64, GroupRows: 1, GroupCols: 1, Depth: 8, Precision: TF32},
		"work-group is 2048":                     {Variant: Tensor, ItemRows: 16, ItemCols: 8, GroupRows: 8, GroupCols: 8, Depth: 8, Precision: TF32},
		"needs 61440 bytes":                      {Variant: Tensor, ItemRows: 64, ItemCols: 32, GroupRows: 2, GroupCols: 4, Depth: 16, Precision: BF16x3, PTX: true},
		"splits is -1":                           {Variant: NaiveVariant, Splits: -1},
		"group columns is 1048576":               {Variant: LocalMemory, ItemRows: 8, ItemCols: 8, GroupRows: 1, GroupCols: 1 << 20, Depth: 1},
	} {
		if err := tile.Check(roomy); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", tile, err, want)
		}
	}
	for _, tile := range []Tile{register, local} {
		if err := tile.Check(roomy); err != nil {
			t.Error(err)
		}
	}
	for want, change := range map[string]func(*Config){
		"block rows":                func(c *Config) { c.BlockRows = 0 },
		"record group":              func(c *Config) { c.RecordGroup = 48 },
		"needs a depth":             func(c *Config) { c.WeightGradient.Depth = 0 },
		"parameters of a work-item": func(c *Config) { c.UpdateItem = 0 },
		"softmax rows":              func(c *Config) { c.SoftmaxRows = -1 },
		"forward 3x4: ":             func(c *Config) { c.Shapes = map[string]Tile{"forward 3x4": {Variant: "magic"}} },
	} {
		c := Default(CPU, 2, 16)
		change(&c)
		if err := c.Check(roomy); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// A fitted register tile never exceeds the result, and one that does not is left alone.
func TestFit(t *testing.T) {
	for _, tile := range []Tile{
		{Variant: Register, ItemRows: 12, ItemCols: 32, Width: 16},
		{Variant: Register, ItemRows: 7, ItemCols: 64, Width: 16},
		{Variant: Register, ItemRows: 3, ItemCols: 12, Width: 4},
	} {
		for m := 1; m < 40; m++ {
			for n := 16; n < 200; n += 16 {
				f := tile.Fit(m, n)
				if f.ItemRows > m || f.ItemCols > n || f.Check(roomy) != nil {
					t.Fatalf("%v fitted to %d×%d is %v", tile, m, n, f)
				}
				if m >= tile.ItemRows && n >= tile.ItemCols && f != tile {
					t.Fatalf("%v fitted to %d×%d, where it has room, is %v", tile, m, n, f)
				}
			}
		}
	}
}

// A tile is spread over as many compute units as it can be, never beyond what a device takes, and
// what is spread stays as it is.
func TestSpread(t *testing.T) {
	for _, p := range Precisions() {
		tile := Default(GPU, 132, 16).At(p, true).Forward
		for _, m := range []int{1, 10, 100, 1024, 8192, 60000} {
			for _, n := range []int{10, 128, 500} {
				fitted := tile.Fit(m, n)
				spread := fitted.Spread(m, n, 132)
				if err := spread.Check(roomy); err != nil {
					t.Error(err)
				}
				if again := spread.Spread(m, n, 132); again != spread || spread.Splits != tile.Splits || spread.Depth != tile.Depth {
					t.Errorf("%v spread over %d×%d is %v, and then %v", tile, m, n, spread, again)
				}
				if fitted.Groups(m, n) >= 132 && spread != fitted {
					t.Errorf("%v, with %d groups, becomes %v", fitted, fitted.Groups(m, n), spread)
				}
				if m >= 1024 && n >= 128 && spread.Groups(m, n) < 128 {
					t.Errorf("%d×%d has %d groups of %v", m, n, spread.Groups(m, n), spread)
				}
			}
		}
	}
	small := Tile{Variant: LocalMemory, ItemRows: 4, ItemCols: 4, GroupRows: 8, GroupCols: 8, Depth: 16}
	if got := Default(GPU, 132, 16).Forward.Spread(1024, 128, 132); got != small {
		t.Errorf("1024×128 has %v, want %v", got, small)
	}
}

// The last layer is computed where it has room in local memory.
func TestOutputOf(t *testing.T) {
	l := Limits{WorkGroup: 1024, LocalMemory: 48 << 10}
	for _, c := range []struct{ inputs, classes, rows int }{
		{128, 10, 8}, {500, 10, 8}, {700, 10, 4}, {1000, 10, 0}, {128, 64, 8}, {32, 65, 0},
	} {
		o, can := OutputOf(c.inputs, c.classes, l)
		if can != (c.rows > 0) || can && o.Rows != c.rows {
			t.Errorf("%d inputs, %d classes: %v, %+v", c.inputs, c.classes, can, o)
		}
	}
	if _, can := OutputOf(128, 10, Limits{WorkGroup: 64, LocalMemory: 48 << 10}); can {
		t.Error("a work-group of more than the device takes")
	}
	if got := UpdateGroup(Limits{WorkGroup: 100}); got != 64 {
		t.Errorf("work-group %d, want 64", got)
	}
}

// A search can go from every default, and only to tiles that a device can take.
func TestNeighbours(t *testing.T) {
	for _, c := range []Config{Default(CPU, 2, 16), Default(GPU, 132, 16)} {
		tiles := []Tile{c.Forward, c.WeightGradient}
		if c.Packed != nil {
			tiles = append(tiles, *c.Packed)
		}
		for _, tile := range tiles {
			all := tile.Neighbours(roomy)
			if len(all) < 8 {
				t.Errorf("%s has the neighbours %v alone", tile, all)
			}
			seen := map[Tile]bool{tile: true}
			for _, n := range all {
				if err := n.Check(roomy); err != nil {
					t.Error(err)
				}
				if seen[n] || n.Variant != tile.Variant || (n.Splits > 0) != (tile.Splits > 0) || (n.Depth > 0) != (tile.Depth > 0) {
					t.Errorf("%s has the neighbour %s", tile, n)
				}
				seen[n] = true
			}
		}
	}
}

// A search of whole iterations goes to tiles that are possible, and changes every number.
func TestStepNeighbours(t *testing.T) {
	for _, lanes := range []int{8, 16} {
		tile := *Default(CPU, 2, lanes).Step
		all := tile.Neighbours()
		changed := StepTile{}
		seen := map[StepTile]bool{tile: true}
		for _, n := range all {
			if err := n.CheckTuned("step 784x128x10", roomy); err != nil {
				t.Error(err)
			}
			if seen[n] || max(n.Rows*n.Packed, n.DenseRows*n.Dense, n.Gradient) > maxVectors || !slices.Contains(stepRows, n.Rows) {
				t.Errorf("%s has the neighbour %s", tile, n)
			}
			seen[n] = true
			for _, of := range []func(*StepTile) *int{
				func(t *StepTile) *int { return &t.Rows }, func(t *StepTile) *int { return &t.Packed }, func(t *StepTile) *int { return &t.DenseRows },
				func(t *StepTile) *int { return &t.Dense }, func(t *StepTile) *int { return &t.Gradient },
				func(t *StepTile) *int { return &t.RowItems }, func(t *StepTile) *int { return &t.Ranges },
			} {
				if *of(&n) != *of(&tile) {
					*of(&changed)++
				}
			}
		}
		if least := min(changed.Rows, changed.Packed, changed.DenseRows, changed.Dense, changed.Gradient, changed.RowItems, changed.Ranges); least < 2 {
			t.Errorf("of the neighbours of %s so many change each number: %+v", tile, changed)
		}
	}
	// Rows that are all multiples of a group's, however many that are.
	tile := StepTile{Rows: 3, Packed: 4, DenseRows: 6, Dense: 4, Gradient: 8, RowItems: 2, Ranges: 4}
	for _, want := range []StepTile{
		{Rows: 4, Packed: 3, DenseRows: 4, Dense: 4, Gradient: 8, RowItems: 2, Ranges: 4},
		{Rows: 4, Packed: 3, DenseRows: 8, Dense: 4, Gradient: 8, RowItems: 2, Ranges: 4},
		{Rows: 6, Packed: 2, DenseRows: 6, Dense: 4, Gradient: 8, RowItems: 2, Ranges: 4},
	} {
		if !slices.Contains(tile.Neighbours(), want) {
			t.Errorf("%s is no neighbour of %s", want, tile)
		}
	}
}

// A tile of whole iterations is fitted to the layers.
func TestStepFit(t *testing.T) {
	tile := StepTile{Rows: 3, Packed: 4, DenseRows: 6, Dense: 4, Gradient: 8, RowItems: 2, Ranges: 4}
	for _, c := range []struct {
		sizes                   []int
		packed, dense, gradient int
	}{{[]int{784, 128, 10}, 4, 4, 8}, {[]int{784, 100, 10}, 4, 4, 7}, {[]int{784, 10}, 1, 1, 1}, {[]int{784, 17, 40, 10}, 2, 3, 2}} {
		want := tile
		want.Packed, want.Dense, want.Gradient = c.packed, c.dense, c.gradient
		if got := tile.Fit(c.sizes); got != want {
			t.Errorf("%v: %+v, want %+v", c.sizes, got, want)
		}
	}
}

// Fitted tiles are possible wherever the tile itself is, and no wider than needed.
func TestFitted(t *testing.T) {
	small := Limits{WorkGroup: 256, LocalMemory: 32 << 10}
	for _, tile := range []Tile{Default(GPU, 8, 16).Forward, Default(GPU, 8, 16).At(BF16, true).Forward, Default(CPU, 8, 16).Forward, Default(CPU, 8, 16).WeightGradient} {
		for _, n := range []int{1, 2, 10, 16, 33, 64, 100, 128, 500} {
			if tile.Variant == Register {
				n = (n + 15) / 16 * 16
			}
			all := []Tile{tile.Fit(1000, n)}
			if tile.Variant == Register {
				all = append(all, tile.FitAll(1000, n))
			}
			for _, fitted := range all {
				if err := fitted.Check(small); err != nil {
					t.Errorf("%s for %d columns: %v", tile, n, err)
				}
			}
			fitted := tile.Fit(1000, n)
			if cols := fitted.ItemCols * max(1, fitted.GroupCols); cols >= 2*max(n, 16) {
				t.Errorf("%s for %d columns has %d", fitted, n, cols)
			}
			if tile.Grouped() && fitted.GroupRows*fitted.GroupCols != tile.GroupRows*tile.GroupCols {
				t.Errorf("%s for %d columns has another work-group", fitted, n)
			}
		}
	}
}

// A grid is of whole work-groups that cover the result.
func TestGrid(t *testing.T) {
	for want, tile := range map[string]Tile{
		"[16 32 5] [4 8 1]":  {Variant: LocalMemory, ItemRows: 3, ItemCols: 2, GroupRows: 8, GroupCols: 4},
		"[128 3 5] [32 1 1]": {Variant: Tensor, ItemRows: 32, ItemCols: 8, GroupRows: 1, GroupCols: 1},
		"[128 2 5] [64 1 1]": {Variant: Tensor, ItemRows: 48, ItemCols: 8, GroupRows: 1, GroupCols: 2},
	} {
		if global, local := tile.Grid(96, 32, 5); fmt.Sprint(global, local) != want {
			t.Errorf("%s: %v %v, want %s", tile, global, local, want)
		}
	}
}
