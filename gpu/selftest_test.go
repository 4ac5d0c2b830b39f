package gpu

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"clgrad/kernels"
	"clgrad/network"
)

// proposed returns what is proposed on a device, and the lines that were noted.
func proposed(t *testing.T, d Device, s network.Samples, o Options) (c kernels.Config, notes []string, err error) {
	t.Helper()
	o.Note = func(line string) { notes = append(notes, line) }
	if o.Passes == nil {
		o.Passes = &memory{}
	}
	b, err := Open(d, o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	sizes := []int{s.Features, 20, 3}
	plan, err := b.Propose(sizes, s, s.Rows)
	if err != nil {
		return c, notes, err
	}
	if err := json.Unmarshal(plan.Settings, &c); err != nil {
		t.Fatal(err)
	}
	e, err := b.Prepare(sizes, plan)
	if err == nil {
		err = e.Close()
	}
	return c, notes, err
}

// number returns how many launches have passed.
func (m *memory) number() (n int) {
	m.keys.Range(func(any, any) bool { n++; return true })
	return n
}

// counted counts the programs that are built and the launches.
type counted struct {
	api
	builds, launches int
}

func (c *counted) buildProgram(p handle, options string) error {
	c.builds++
	return c.api.buildProgram(p, options)
}

func (c *counted) enqueueKernel(q, k handle, global, local []int, keep bool) (handle, error) {
	c.launches++
	return c.api.enqueueKernel(q, k, global, local, keep)
}

// A sound device passes once, and what has passed is not tested again; another size of a
// launch, another program or another driver is.
func TestSelfTestPasses(t *testing.T) {
	t.Parallel()
	for _, d := range usableDevices(t) {
		for name, s := range map[string]network.Samples{"dense": noise(3000, 50), "sparse": sparse(3000, 50)} {
			passes := &memory{}
			source := kernels.Program.Source
			propose := func(d Device, s network.Samples) (launches int) {
				a := &counted{api: must(openCL())}
				b, err := open(a, d, Options{Passes: passes, source: source})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				if _, err := b.Propose([]int{s.Features, 20, 3}, s, s.Rows); err != nil {
					t.Errorf("%s, %s: %v", d.ID(), name, err)
				}
				return a.launches
			}
			first, n := propose(d, s), passes.number()
			if first < 10 || n < 8 {
				t.Errorf("%s, %s: %d launches were tested, %d passed", d.ID(), name, first, n)
			}
			if again := propose(d, s); again != 0 || passes.number() != n {
				t.Errorf("%s, %s: %d launches are tested again", d.ID(), name, again)
			}
			if other := propose(d, s.Slice(0, 2000)); other == 0 {
				t.Errorf("%s, %s: other sizes are not tested", d.ID(), name)
			}
			newer := d
			newer.Driver += ".1"
			if other := propose(newer, s); other < 10 {
				t.Errorf("%s, %s: another driver is not tested", d.ID(), name)
			}
			source = func(p kernels.Program) string { return "// A comment.\n\n" + p.Source() }
			if again := propose(d, s); again != 0 {
				t.Errorf("%s, %s: with another comment %d launches are tested again", d.ID(), name, again)
			}
			source = func(p kernels.Program) string {
				return p.Source() + "\nkernel void more(global float *x) { x[0] = 1; }\n"
			}
			if again := propose(d, s); again < 10 {
				t.Errorf("%s, %s: other programs are not tested", d.ID(), name)
			}
		}
	}
}

// change is what a test does to the source of a program.
type change struct{ file, old, new string }

// changed returns the source of programs with changes. Every text has to stand in its file.
func changed(changes ...change) func(kernels.Program) string {
	return func(p kernels.Program) string {
		text := p.Source()
		for _, c := range changes {
			if p.File != c.file {
				continue
			}
			if c.old == "" {
				text += c.new
				continue
			}
			if !strings.Contains(text, c.old) {
				panic(c.file + " does not hold the text to be changed: " + c.old)
			}
			text = strings.ReplaceAll(text, c.old, c.new)
		}
		return text
	}
}

const undeclared = "\nkernel void broken(global float *x) { undeclared = 1; }\n"

// Kernels that do not build, or are wrong (here mostly by a loop that ends too early, as
// one of Mesa's drivers has it), give way to the next variant that is right, in one line;
// where none is, that is an error.
func TestSelfTestReplaces(t *testing.T) {
	t.Parallel()
	cpu := kernels.Default(kernels.CPU, 2, usableDevices(t)[0].lanes())
	naive := []change{
		{"matmul_naive.cl", "k < n; k++", "k < n - 1; k++"}, {"matmul_naive.cl", "k < B; k++", "k < B - 1; k++"}, {"matmul_naive.cl", "k < p; k++", "k < p - 1; k++"},
	}
	register := change{"matmul_register.cl", "k < K; k++", "k < min(K, 40); k++"}
	local := change{"matmul_local.cl", "low + A_TERM < end,", "low + A_TERM < min(end, 40),"}
	for _, c := range []struct {
		name    string
		samples network.Samples
		changes []change
		notes   []string // in their order, a part of each
		variant func(kernels.Config) bool
		err     string
	}{
		{"forward in registers", noise(3000, 50), []change{register},
			[]string{"kernel " + cpu.Forward.String() + " of forward 50x20 gives way to local:8x8@16x16d16: element ("},
			func(c kernels.Config) bool {
				return c.Tile(kernels.OpForward, 50, 20).Variant == kernels.LocalMemory && c.Tile(kernels.OpForward, 20, 3).Variant == kernels.Register
			}, ""},
		{"gradient does not build", noise(3000, 50), []change{{"gradient_register.cl", "", undeclared}},
			[]string{"of weight_gradient 50x20 gives way to local:", "of weight_gradient 20x3 gives way to local:"},
			func(c kernels.Config) bool {
				return c.Tile(kernels.OpWeightGradient, 50, 20).Variant == kernels.LocalMemory
			}, ""},
		{"registers and local memory", noise(3000, 50), []change{register, local},
			[]string{"of forward 50x20 gives way to local:", "of forward 50x20 gives way to naive: "},
			func(c kernels.Config) bool {
				return c.Tile(kernels.OpForward, 50, 20).Variant == kernels.NaiveVariant
			}, ""},
		{"packed", sparse(3000, 50), []change{{"packed_register.cl", "q < end; q++", "q < end - 1; q++"}},
			[]string{"kernel " + cpu.Step.Tile(*cpu.Packed).String() + " of forward 50x20 gives way to dense input: "},
			func(c kernels.Config) bool { return c.Packed == nil && !c.Shifted }, ""},
		{"whole iterations, rows", sparse(3000, 50), []change{{"step_register.cl", "losses[s] = (int2)", "losses[0] = (int2)"}},
			[]string{"whole iterations give way to one operation after the other: loss and correct rows of [50 20 3] on 504 rows are "},
			func(c kernels.Config) bool { return c.Step == nil && c.Packed.ItemRows == cpu.Packed.ItemRows }, ""},
		{"whole iterations, columns", sparse(3000, 50), []change{{"step_register.cl", "(range + 1) * N0 / RANGES;", "(range + 1) * N0 / RANGES - (range + 1 == RANGES);"}},
			[]string{"whole iterations give way to one operation after the other: gradient of layer 1 of [50 20 3] on 504 rows: element (49, 0) is "},
			func(c kernels.Config) bool { return c.Step == nil && c.Packed != nil }, ""},
		{"softmax", noise(3000, 50), []change{{"softmax.cl", "i < end; i++", "i < end - 1; i++"}},
			[]string{"kernel register of softmax gives way to naive: loss and correct rows of softmax 3 on 3000 rows are "},
			func(c kernels.Config) bool { return c.SoftmaxRows == 0 }, ""},
		{"update", noise(3000, 50), []change{{"update.cl", "const int end = min(first + ITEM, count);", "const int end = min(first + ITEM, count) - (ITEM > 1);"}},
			[]string{"kernel register of update gives way to naive: element "},
			func(c kernels.Config) bool { return c.UpdateItem == 1 }, ""},
		{"numbers that are not finite", noise(3000, 50), []change{{"update.cl", "if (wrong != wrong)", "if (ITEM == 1 && wrong)"}},
			[]string{"update reports iteration 0 as the first not finite where it is 2"},
			func(c kernels.Config) bool { return c.UpdateItem == 1 }, ""},
		{"all", noise(3000, 50), append(naive, register, local),
			[]string{"gives way to local:", "gives way to naive: "}, nil,
			"no kernel of forward 50x20 computes right on "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := usableDevices(t)[0]
			d.Type, d.ComputeUnits = "CPU", 2 // whose kernels run anywhere
			config, notes, err := proposed(t, d, c.samples, Options{source: changed(c.changes...)})
			if len(notes) != len(c.notes) {
				t.Errorf("%d lines where %d are expected:\n%s", len(notes), len(c.notes), strings.Join(notes, "\n"))
			}
			for i, want := range c.notes {
				if i < len(notes) && (!strings.Contains(notes[i], want) || !strings.Contains(notes[i], d.Name) || !strings.Contains(notes[i], d.Driver) || !strings.Contains(notes[i], "opencl:"+d.ID())) {
					t.Errorf("%q does not hold %q, or does not name device and driver", notes[i], want)
				}
			}
			if c.err != "" {
				if failed := (*Error)(nil); err == nil || !strings.Contains(err.Error(), c.err) || !errors.As(err, &failed) || !strings.Contains(err.Error(), d.Name) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !c.variant(config) || config.Forward != cpu.Forward {
				t.Errorf("the plan has %+v", config)
			}
		})
	}
}

// On GPUs iterations in few launches give way too.
func TestSelfTestReplacesSmallBatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, new, want string }{
		{"for (int s = 1; s < parts; s++)\n        g +=", "for (int s = 2; s < parts; s++)\n        g +=", "gradient of layer 2 of [50 20 3] on 3000 rows: element ("},
		{"n = inputs, p = outputs, parts = s;", "n = inputs, p = outputs;", "gradient of layer 2 of [50 20 3] on 3000 rows: element ("},
		{"corrects[t] = best == y;", "corrects[t] = 1;", "loss and correct rows of [50 20 3] on 3000 rows are "},
	} {
		d := usableDevices(t)[0]
		d.Type, d.ComputeUnits = "GPU", 2
		one := kernels.Default(kernels.GPU, 2, 16).WeightGradient
		one.Splits = 1
		config, notes, err := proposed(t, d, sparse(3000, 50), Options{
			source: changed(change{"step_local.cl", c.old, c.new}),
			Tuning: Tuning{Blocks: map[int]Tiles{1: {Shapes: map[string]kernels.Tile{kernels.Key(kernels.OpWeightGradient, 50, 20): one}}}}, // layer 2 has more
		})
		if err != nil {
			t.Fatal(err)
		}
		want := "whole iterations give way to one operation after the other: " + c.want
		if config.Fused || len(notes) != 1 || !strings.Contains(notes[0], want) {
			t.Errorf("%q: fused %v, notes %q, want %q", c.old, config.Fused, notes, want)
		}
	}
}

// A stored plan whose kernels are wrong by now is refused.
func TestSelfTestOfStoredPlan(t *testing.T) {
	t.Parallel()
	d := usableDevices(t)[0]
	s := noise(3000, 50)
	sizes := []int{50, 20, 3}
	b, err := Open(d, Options{Passes: &memory{}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	plan, err := b.Propose(sizes, s, s.Rows)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open(d, Options{Passes: &memory{}, source: changed(change{"update.cl", "const int end = min(first + ITEM, count);", "const int end = min(first + ITEM, count) - 1;"})})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Prepare(sizes, plan); err == nil || !strings.Contains(err.Error(), "opencl:"+d.ID()+": self-test of the plan: element ") {
		t.Errorf("error %v", err)
	}
}

// A plan that is tested elsewhere is the plan that is proposed, through a file, and what
// fails or passes there counts as if it were here.
func TestSelfTestElsewhere(t *testing.T) {
	t.Parallel()
	d := usableDevices(t)[0]
	d.Type, d.ComputeUnits = "CPU", 2
	s := sparse(3000, 50)
	wrong := changed(change{"packed_register.cl", "q < end; q++", "q < end - 1; q++"}, change{"matmul_register.cl", "k < K; k++", "k < min(K, 40); k++"})
	passes, asked := &memory{}, 0
	o := Options{Passes: passes, source: wrong}
	o.Isolate = func(sizes []int, plan network.ShardPlan) (passed []string, err error) {
		asked++
		there := &memory{}
		b, err := Open(d, Options{Passes: there, source: wrong})
		if err != nil {
			return nil, err
		}
		defer b.Close()
		said := 0
		err = b.SelfTest(sizes, plan, func(Failure) { said++ })
		if said == 0 {
			t.Error("nothing is said of what is run")
		}
		there.keys.Range(func(key, _ any) bool { passed = append(passed, key.(string)); return true })
		return passed, err
	}
	// What was wrong once is not tried again.
	for turn, want := range []int{3, 0} {
		asked = 0
		c, notes, err := proposed(t, d, s, o)
		if err != nil || len(notes) != 2 || c.Packed != nil || c.Tile(kernels.OpForward, 50, 20).Variant != kernels.LocalMemory {
			t.Errorf("turn %d: %v, %v, %+v", turn, err, notes, c)
		}
		if asked != want {
			t.Errorf("turn %d: asked %d times where %d are expected", turn, asked, want)
		}
	}
}

// asking are passes of everything that note what they are asked for.
type asking map[string]bool

func (a asking) Passed(key string) bool {
	a[key] = true
	return true
}

func (a asking) Add(...string) {}

// Every launch of a training run over whole blocks, and of scoring, is one that the
// self-test asks for, at its own sizes.
func TestSelfTestCoversRun(t *testing.T) {
	far := sparse(384, 50)
	far.Scaling.Shift = []float64{3}
	for _, c := range []struct {
		class string
		batch int // rows: four blocks, or one
	}{{"CPU", 384}, {"CPU", 96}, {"GPU", 384}, {"GPU", 96}} {
		class, batch := c.class, c.batch
		for name, s := range map[string]network.Samples{"dense": noise(384, 50), "packed or bytes": sparse(384, 50), "shifted": far} {
			name := fmt.Sprintf("%s, batches of %d", name, batch)
			d := fakeDevice
			d.Type, d.MaxBuffer, d.MaxWorkGroup, d.LocalMemory = class, 1<<30, 1024, 48<<10
			asked, seen := asking{}, &recording{}
			b, err := open(seen, d, Options{Passes: asked})
			if err != nil {
				t.Fatal(err)
			}
			b.config.BlockRows = 96 // four whole blocks, of whole groups
			l, err := network.NewLayout([]int{50, 20, 3})
			if err != nil {
				t.Fatal(err)
			}
			plan, err := network.NewPlan(l.Sizes, s, batch, b)
			if err != nil {
				t.Fatal(err)
			}
			tr, err := network.NewTrainer(l, s, plan, []network.Backend{b}, nil)
			if err != nil {
				t.Fatal(err)
			}
			start, err := l.Initial(network.He, 1)
			if err == nil {
				err = tr.SetParameters(start, 0)
			}
			if err == nil {
				err = tr.Descend(t.Context(), network.Descent{Iterations: 2, LearningRate: 0.1}, nil)
			}
			if err == nil {
				_, _, err = tr.Score(s)
			}
			if err != nil {
				t.Fatal(err)
			}
			least, besides := 2*batch/96*8, "" // launches of the descent
			settings, whole := string(plan.Shards[0].Settings), opStep+" of [50 20 3] on 96 rows"
			step, fused := strings.Contains(settings, `"step":`), strings.Contains(settings, `"fused":true`)
			switch {
			case step:
				least, besides = 2*batch/96*2, whole
			case fused:
				least, besides = 2*5, whole
			}
			if step != (class == "CPU" && strings.HasPrefix(name, "packed")) || fused != (class == "GPU" && batch == 96) {
				t.Errorf("%s, %s: whole iterations %v, in few launches %v", class, name, step, fused)
			}
			if len(seen.launches) < least {
				t.Errorf("%s, %s: %d launches", class, name, len(seen.launches))
			}
			for _, launch := range seen.launches {
				if !asked[d.passKey(launch)] && !asked[d.passKey(launch+besides)] {
					t.Errorf("%s, %s: not tested: %.200s", class, name, launch[64:])
				}
			}
			if err := errors.Join(tr.Close(), b.Close()); err != nil {
				t.Error(err)
			}
		}
	}
}

// The self-test of every rule passes where the kernels are right, whatever the network: it has
// no numbers whose own rounding goes beyond what it allows.
func TestSelfTestOfRules(t *testing.T) {
	t.Parallel()
	for _, d := range usableDevices(t) {
		b, err := Open(d, Options{Untested: true})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		e := b.executor(b.config, nil, network.ShardPlan{})
		for _, o := range network.Optimizers() {
			if o == network.LBFGS {
				continue // which has no kernel
			}
			for _, n := range []int{16, 13 * network.Align, 113056, 459536, 1 << 20} {
				if err := (updateTest{n, o}).run(e, false); err != nil {
					t.Errorf("%s: %v", d.ID(), err)
				}
			}
			if b.config.Step == nil {
				continue
			}
			e.config.Packed = e.config.Step.Tile(*e.config.Packed)
			for _, rows := range []int{8, 60, 504} {
				if err := (stepTest{sizes: []int{30, 17, 10}, rows: rows, rule: o}).run(e, false); err != nil {
					t.Errorf("%s: %v", d.ID(), err)
				}
			}
		}
	}
}
