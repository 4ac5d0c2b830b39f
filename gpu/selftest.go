package gpu

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"clgrad/kernels"
	"clgrad/network"
)

// A driver can compile everything and compute it wrong, or compute it right as long as
// loops are short. So before a plan is used its own launches run once, at their own
// sizes, on integers, and a sample of what they give is compared with what the host
// computes exactly. What passed is remembered (see [Passes]) and not run again.

// Passes remembers which launches have given exact results, and which wrong ones, by keys
// that stand for source and build options of a program, device, driver and the sizes of the
// launch.
type Passes interface {
	Passed(key string) bool
	// Add remembers more of them. Where it cannot, they are tested again next time.
	Add(keys ...string)
}

// memory are the Passes of this process.
type memory struct{ keys sync.Map }

func (m *memory) Passed(key string) bool {
	_, is := m.keys.Load(key)
	return is
}

func (m *memory) Add(keys ...string) {
	for _, k := range keys {
		m.keys.Store(k, true)
	}
}

var process memory

// A Failure is an operation whose launches do not build, do not run or are wrong.
type Failure struct {
	Operation string `json:"operation"` // of package kernels, network.OpSoftmax, network.OpUpdate or opStep
	N         int    `json:"n"`         // inputs and outputs of a layer; 0, 0 of what is no product
	P         int    `json:"p"`
	First     bool   `json:"first"`  // the layer is the first
	Reason    string `json:"reason"` // one line
	// wrong says that it ran and gave other numbers: no use to try again.
	wrong bool
}

// A wrongResult is a result that is not the exact one.
type wrongResult string

func (w wrongResult) Error() string { return string(w) }

func wrong(format string, args ...any) error { return wrongResult(fmt.Sprintf(format, args...)) }

// failureOf returns the failure of an operation, err being what is wrong with it.
func failureOf(op string, err error) *Failure {
	_, is := err.(wrongResult)
	return &Failure{Operation: op, Reason: reason(err), wrong: is}
}

func (f *Failure) Error() string { return f.Reason }

// A selfTest runs the launches of a plan.
type selfTest struct {
	api    api
	source func(kernels.Program) string
	device Device
	passes Passes
	config kernels.Config
	sizes  []int
	rows   []int // of the blocks in training and scoring

	// dryRun ends the test with errUntested where something would have to be run.
	dryRun bool
	// testing, where not nil, is told what is about to be run.
	testing func(Failure)

	besides string // what stands in the keys of launches beside them

	dry  *executor // whose launches are recorded
	seen *recording
	real *executor // nil until something has to be run
}

// run tests what has not passed yet. The error is a *Failure where a variant may be
// replaced by another.
func (t *selfTest) run() error { return t.during(t.all) }

// simplest tests one kernel, whatever has passed.
func (t *selfTest) simplest() error {
	t.passes = &memory{}
	return t.during(func() error { return t.other(network.OpUpdate, updateTest{network.Align, network.GD}.run) })
}

// during has what f tests be run, and frees what it took.
func (t *selfTest) during(f func() error) (err error) {
	t.seen = &recording{}
	if t.dry, err = t.open(t.seen); err != nil {
		return err
	}
	err = f()
	for _, e := range []*executor{t.dry, t.real} {
		if e == nil {
			continue
		}
		// What a failed driver says at the end adds nothing.
		if e := e.s.close(); err == nil {
			err = e
		}
	}
	return err
}

// all tests every operation of the plan.
func (t *selfTest) all() error {
	// First the simplest kernel, which shows a driver that builds nothing.
	layout, err := network.NewLayout(t.sizes)
	if err != nil {
		return err
	}
	rules := []network.Optimizer{network.GD}
	if t.config.Rule != "" {
		rules = append(rules, network.Optimizer(strings.ToLower(string(t.config.Rule))))
	}
	for _, rule := range rules {
		if err := t.other(network.OpUpdate, updateTest{layout.Len, rule}.run); err != nil {
			return err
		}
	}
	whole := t.config.Step != nil || t.config.Fused
	if whole {
		for _, rule := range rules {
			// How long the loops of these launches are does not show in their work-items.
			t.besides = fmt.Sprintf("%s of %v on %d rows", opStep, t.sizes, t.rows[0])
			err := t.other(opStep, stepTest{sizes: t.sizes, rows: t.rows[0], rule: rule, shifted: t.config.Shifted}.run)
			t.besides = ""
			if err != nil {
				return err
			}
		}
	}
	last := len(t.sizes) - 2
	for i, n := range t.sizes[:last+1] {
		for k, rows := range t.rows {
			l := layerTest{rows: rows, n: n, p: t.sizes[i+1], act: network.ReLU, input: i == 0, shifted: t.config.Shifted}
			if i == last {
				l.act = network.Identity
			}
			operations := []string{kernels.OpForward}
			if k == 0 && !whole {
				operations = append(operations, kernels.OpWeightGradient)
				if i > 0 {
					operations = append(operations, kernels.OpInputGradient)
				}
			}
			if err := t.layer(l, operations); err != nil {
				return err
			}
		}
	}
	for _, rows := range t.rows {
		s := softmaxTest{rows: rows, classes: t.sizes[last+1]}
		if err := t.other(network.OpSoftmax, s.run); err != nil {
			return err
		}
	}
	return nil
}

// open returns an executor on a session of its own: what breaks its context harms
// nothing else.
func (t *selfTest) open(a api) (*executor, error) {
	s, err := newSession(a, t.device, t.source)
	if err != nil {
		return nil, err
	}
	plan := network.ShardPlan{BlockRows: t.rows[0], ScoreRows: t.rows[len(t.rows)-1]}
	return &executor{state: &state{s: s}, config: t.config, plan: plan, launches: map[launchKey]*launch{}}, nil
}

// errUntested reports a plan of which not all has passed.
var errUntested = errors.New("not all of the plan has passed its self-test")

// about says what is about to be run.
func (t *selfTest) about(f Failure) {
	if t.testing != nil {
		t.testing(f)
	}
}

// onDevice returns the executor that the launches run on.
func (t *selfTest) onDevice() (*executor, error) {
	if t.dryRun {
		return nil, errUntested
	}
	if t.real != nil {
		return t.real, nil
	}
	var err error
	t.real, err = t.open(t.api)
	return t.real, err
}

// keys returns what stands for the launches that f enqueues, and whether all have passed.
func (t *selfTest) keys(f func(*executor) error) (keys []string, passed bool, err error) {
	t.seen.launches = nil
	if err := f(t.dry); err != nil {
		return nil, false, err
	}
	passed = true
	for _, l := range t.seen.launches {
		key := t.device.passKey(l + t.besides)
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
			passed = passed && t.passes.Passed(key)
		}
	}
	return keys, passed, nil
}

// passKey returns the key of a recorded launch on the device.
func (d Device) passKey(launch string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q", []any{d.PlatformName, d.PlatformVersion, d.Name, d.Driver, d.ComputeUnits, launch}))
	return hex.EncodeToString(h[:16])
}

// layer tests operations of a layer, with an operand of few numbers that have as many
// bits as the precision takes, and then with another.
func (t *selfTest) layer(l layerTest, operations []string) error {
	sample := l
	defer func() { sample.close() }()
	if err := sample.prepare(t.dry, true); err != nil {
		return err // there is no room for the operands, whatever the variant
	}
	var open []string
	known := map[string][]string{}
	for _, op := range operations {
		keys, passed, err := t.keys(func(*executor) error { return sample.run(op) })
		if err == nil && !passed {
			err = t.wrongBefore(keys)
		}
		if err != nil {
			return l.failure(op, err)
		}
		if known[op] = keys; !passed {
			open = append(open, op)
		}
	}
	if len(open) == 0 {
		return nil
	}
	e, err := t.onDevice()
	if err != nil {
		return err
	}
	for _, l.wide = range wideOperands(t.config) {
		one := l
		err := one.prepare(e, false)
		if err != nil {
			return errors.Join(err, one.close())
		}
		for _, op := range open {
			t.about(*l.failure(op, nil))
			if err := one.check(op); err != nil {
				one.close()
				return t.remember(l.failure(op, err), known[op])
			}
		}
		if err := one.close(); err != nil {
			return err
		}
	}
	for _, op := range open {
		t.passes.Add(known[op]...)
	}
	return nil
}

// failure returns that of an operation, err being what is wrong, nil where nothing is yet.
func (l *layerTest) failure(op string, err error) *Failure {
	f := &Failure{Operation: op}
	if err != nil {
		f = failureOf(op, err)
	}
	f.N, f.P, f.First = l.n, l.p, l.input
	return f
}

// wrongKey returns the key under which it is remembered that launches gave wrong results.
func wrongKey(keys []string) string {
	h := sha256.Sum256([]byte("wrong " + strings.Join(keys, " ")))
	return hex.EncodeToString(h[:16])
}

// wrongBefore reports launches that gave wrong results when they were tested before.
func (t *selfTest) wrongBefore(keys []string) error {
	if t.passes.Passed(wrongKey(keys)) {
		return wrongResult("its results were wrong when it was tested before")
	}
	return nil
}

// remember has a failure by wrong results be known from now on.
func (t *selfTest) remember(f *Failure, keys []string) *Failure {
	if f.wrong {
		t.passes.Add(wrongKey(keys))
	}
	return f
}

// other tests what is no product.
func (t *selfTest) other(op string, f func(e *executor, dry bool) error) error {
	keys, passed, err := t.keys(func(e *executor) error { return f(e, true) })
	if err != nil {
		return err // there is no room for the operands, whatever the variant
	}
	if passed {
		return nil
	}
	if err := t.wrongBefore(keys); err != nil {
		return failureOf(op, err)
	}
	e, err := t.onDevice()
	if err != nil {
		return err
	}
	t.about(Failure{Operation: op})
	if err := f(e, false); err != nil {
		return t.remember(failureOf(op, err), keys)
	}
	t.passes.Add(keys...)
	return nil
}
