package gpu

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"clgrad/kernels"
	"clgrad/network"
)

// stepSearchOf returns the search for the tile of a network's whole iterations.
func stepSearchOf(t *testing.T, a api, d Device, sizes []int, s network.Samples, o TuneOptions) *stepSearch {
	t.Helper()
	tasks, step, err := tuneTasks(a, d, sizes, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if step == nil {
		t.Fatalf("the plan of %v has no whole iterations", sizes)
	}
	if tasks[0].config.Step != nil || tasks[0].op != kernels.OpPacked {
		t.Errorf("the operations are those of a plan with whole iterations: %+v", tasks[0])
	}
	return step
}

// On a device, tiles of whole iterations are taken where they build and are right, and timed
// on whole blocks of the samples.
func TestStepTrial(t *testing.T) {
	for _, d := range usableDevices(t) {
		if d.Class() != kernels.CPU {
			continue
		}
		sizes := []int{50, 40, 10}
		step := stepSearchOf(t, must(openCL()), d, sizes, sparse(1200, 50), TuneOptions{BatchRows: 1200})
		if step.rows != stepBlockRows || step.samples.Rows != 2*stepBlockRows || step.key() != "step 50x40x10" {
			t.Errorf("%s: %d samples in blocks of %d rows", step.key(), step.samples.Rows, step.rows)
		}
		tile := *step.config.Step
		for want, change := range map[string][3]string{
			"":                         {"-DITEM_ROWS=", "", ""},
			"build step_register.cl":   {"-DITEM_ROWS=", "kernel __attribute__", "undeclared"},
			"whole":                    {"-DITEM_ROWS=", "losses[s] = (int2)(as_int(loss), correct)", "losses[s] = (int2)(as_int(loss), 0)"},
			"update by gd of layer 1 ": {"-DRULE=GD", "range * N0 / RANGES, end", "range * N0 / RANGES + 1, end"},
		} {
			step.source = func(p kernels.Program) string {
				text := p.Source()
				if p.File != "step_register.cl" || !strings.Contains(p.Options, change[0]) || change[1] == "" {
					return text
				}
				if !strings.Contains(text, change[1]) {
					t.Errorf("no %q in the source", change[1])
				}
				return strings.Replace(text, change[1], change[2], 1)
			}
			trial, err := step.try(tile)
			if want != "" {
				if want == "whole" {
					want = "loss and correct rows of [50 40 10] on 504 rows are "
				}
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			before, after := make([]float64, trial.step.theta.Len()), make([]float64, trial.step.theta.Len())
			e := trial.step.theta.(*buffer).e
			seconds := 0.0
			err = e.Read(trial.step.theta, 0, before)
			if err == nil {
				seconds, err = trial.seconds(3)
			}
			if err := errors.Join(err, e.Read(trial.step.theta, 0, after)); err != nil || !(seconds > 0) || !reflect.DeepEqual(before, after) {
				t.Errorf("%g seconds, %v; parameters are the same: %v", seconds, err, reflect.DeepEqual(before, after))
			}
			var r [1]network.Record
			if _, err := e.ReadRecords(trial.step.r, 0, r[:]); err != nil || !(r[0].Loss > 0) {
				t.Errorf("record %+v, %v", r[0], err)
			}
			if err := trial.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A timedAPI is a fakeAPI whose launches take a time, and whose programs may not build, by
// their options.
type timedAPI struct {
	*fakeAPI
	cost    func(options string) time.Duration // below 0: it does not build
	options map[handle]string                  // of programs and kernels
}

func (a *timedAPI) buildProgram(p handle, options string) error {
	if a.cost(options) < 0 {
		return errInjected
	}
	a.options[p] = options
	return a.fakeAPI.buildProgram(p, options)
}

func (a *timedAPI) createKernel(p handle, name string) (handle, error) {
	k, err := a.fakeAPI.createKernel(p, name)
	a.options[k] = a.options[p]
	return k, err
}

func (a *timedAPI) enqueueKernel(q, k handle, global, local []int, keep bool) (handle, error) {
	time.Sleep(a.cost(a.options[k]))
	return a.fakeAPI.enqueueKernel(q, k, global, local, keep)
}

// The fastest tile of whole iterations that builds is found, and is that of later plans for
// the same network and for no other.
func TestTuneSteps(t *testing.T) {
	defer func(old time.Duration) { minimalTrial = old }(minimalTrial)
	minimalTrial = 0
	a := &timedAPI{fakeAPI: newFake(), options: map[handle]string{}, cost: func(options string) time.Duration {
		switch {
		case !strings.Contains(options, "-DLAYERS=1 -DN0=100 -DN1=3"):
			return 0
		case strings.Contains(options, "-DITEM_ROWS=1 ") || strings.Contains(options, "-DITEM_ROWS=6 "):
			return -1
		case strings.Contains(options, "-DITEM_ROWS=") && !strings.Contains(options, "-DITEM_ROWS=4 "):
			return 10 * time.Millisecond
		}
		return time.Millisecond
	}}
	sizes, s := []int{100, 3}, tinyPacked()
	if step := stepSearchOf(t, a, fakeDevice, sizes, s, TuneOptions{BatchRows: 11, Options: Options{Untested: true}}); step.rows != 11 || step.samples.Rows != 22 {
		t.Errorf("batches of 11 rows: blocks of %d, of %d rows together", step.rows, step.samples.Rows)
	}
	var progress []string
	tuning, shapes, err := tune(t.Context(), a, fakeDevice, sizes, s, TuneOptions{
		Budget: 4 * time.Second, Options: Options{Untested: true},
		Progress: func(p TuneProgress) { progress = append(progress, p.Shape+": "+p.Tile.String()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	const key = "step 100x3"
	best := tuning.For(s.Rows).Steps[key]
	found := shapes[0]
	if found.Shape != key || *found.BestStep != best || best.Rows != 4 || !(found.Seconds < found.DefaultSeconds/2) || found.Tried < 2 {
		t.Errorf("found %+v, best %s", found, found.BestStep)
	}
	if all := strings.Join(found.Rejected, "\n"); !strings.Contains(all, ": opencl:0.0: build step_register.cl") || !strings.Contains(all, "injected") {
		t.Errorf("rejected:\n%s", all)
	}
	if len(progress) == 0 || !strings.HasPrefix(progress[0], key+": step:") {
		t.Errorf("progress %q", progress)
	}
	if len(a.live) > 0 || len(a.bad) > 0 {
		t.Errorf("not released: %v, bad: %v", a.live, a.bad)
	}
	if err := tuning.Check(fakeDevice); err != nil {
		t.Error(err)
	}

	// A tile of packed input whose groups have too few zeros is of no account.
	tuning.Blocks[shapes[len(shapes)-1].Rows].Shapes[kernels.Key(kernels.OpPacked, 100, 3)] = kernels.Tile{Variant: kernels.Packed, ItemRows: 23, ItemCols: 16, Width: 16, Splits: 2}
	for i := range s.Rows {
		for j := range 5 {
			s.Bytes[i*100+(5*i+j)%100] = 1
		}
	}
	for _, c := range []struct {
		sizes []int
		dense bool
		tuned bool
	}{{sizes, false, true}, {[]int{100, 4}, false, false}, {[]int{100, 3, 3}, false, false}, {sizes, true, false}} {
		b, err := open(newFake(), fakeDevice, Options{Untested: true, Tuning: tuning, Dense: c.dense})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := b.Propose(c.sizes, s, s.Rows)
		if err := errors.Join(err, b.Close()); err != nil {
			t.Fatal(err)
		}
		var config kernels.Config
		if err := json.Unmarshal(plan.Settings, &config); err != nil {
			t.Fatal(err)
		}
		want := kernels.DefaultStep(fakeDevice.ComputeUnits, fakeDevice.lanes(), c.sizes[1])
		if c.tuned {
			want = best
		}
		switch {
		case c.dense:
			if config.Step != nil || config.Packed != nil {
				t.Errorf("dense: %+v", config)
			}
		case config.Step == nil || *config.Step != want || config.Packed.ItemRows != want.Rows:
			t.Errorf("%v: the plan has %v, want %s", c.sizes, config.Step, want)
		}
	}
	if _, _, err := tune(t.Context(), newFake(), fakeDevice, sizes, s, TuneOptions{BatchRows: 24, Options: Options{Untested: true}}); err == nil || err.Error() != "batches of 24 rows: the samples have 23" {
		t.Errorf("too large a batch: %v", err)
	}
}

// Tunings of several networks and batches are kept together, and one without any is as before.
func TestTuningMerge(t *testing.T) {
	one, other := *kernels.Default(kernels.CPU, 2, 16).Step, *kernels.Default(kernels.CPU, 2, 8).Step
	steps := func(rows int, tiles map[string]kernels.StepTile) Tuning {
		return Tuning{Blocks: map[int]Tiles{rows: {map[string]kernels.Tile{}, tiles}}}
	}
	earlier := steps(128, map[string]kernels.StepTile{"step 5x4": one, "step 5x3": one})
	merged := steps(128, map[string]kernels.StepTile{"step 5x4": other}).Merge(earlier)
	want := steps(128, map[string]kernels.StepTile{"step 5x4": other, "step 5x3": one})
	if diff := cmp.Diff(want, merged); diff != "" || earlier.Blocks[128].Steps["step 5x4"] != one {
		t.Errorf("merged:\n%s", diff)
	}
	if text, err := json.Marshal((Tuning{}).Merge(Tuning{})); err != nil || strings.Contains(string(text), "steps") {
		t.Errorf("%s, %v", text, err)
	}
	if diff := cmp.Diff(earlier, (Tuning{}).Merge(earlier)); diff != "" {
		t.Errorf("merged:\n%s", diff)
	}
}

// Tiles are those that were found for the nearest number of rows, shape by shape.
func TestTuningFor(t *testing.T) {
	tile := func(rows int) kernels.Tile { return kernels.Tile{Variant: kernels.Register, ItemRows: rows} }
	tuning := Tuning{Blocks: map[int]Tiles{
		100:   {Shapes: map[string]kernels.Tile{"a": tile(1), "b": tile(1)}},
		400:   {Shapes: map[string]kernels.Tile{"a": tile(2)}},
		60000: {Shapes: map[string]kernels.Tile{"a": tile(3), "c": tile(3)}},
	}}
	for rows, want := range map[int][]int{1: {1, 1, 3}, 150: {1, 1, 3}, 200: {2, 1, 3}, 4000: {2, 1, 3}, 5000: {3, 1, 3}, 1 << 30: {3, 1, 3}} {
		got := tuning.For(rows)
		for i, shape := range []string{"a", "b", "c"} {
			if got.Shapes[shape].ItemRows != want[i] {
				t.Errorf("%d rows, %s: tile %d, want %d", rows, shape, got.Shapes[shape].ItemRows, want[i])
			}
		}
	}
	if got := (Tuning{}).For(128); len(got.Shapes)+len(got.Steps) > 0 {
		t.Errorf("%+v", got)
	}
}
