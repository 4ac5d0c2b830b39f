package gpu

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

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
	Operation string `json:"operation"` // of package kernels, network.OpSoftmax or network.OpUpdate
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
	return t.during(func() error { return t.other(network.OpUpdate, updateTest(network.Align).run) })
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
	if err := t.other(network.OpUpdate, updateTest(layout.Len).run); err != nil {
		return err
	}
	last := len(t.sizes) - 2
	for i, n := range t.sizes[:last+1] {
		for k, rows := range t.rows {
			l := layerTest{rows: rows, n: n, p: t.sizes[i+1], act: network.ReLU, input: i == 0, shifted: t.config.Shifted}
			if i == last {
				l.act = network.Identity
			}
			operations := []string{kernels.OpForward}
			if k == 0 {
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
	return &executor{state: &state{s: s}, config: t.config, launches: map[launchKey]*launch{}}, nil
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
		d := t.device
		h := sha256.Sum256(fmt.Appendf(nil, "%q", []any{d.PlatformName, d.PlatformVersion, d.Name, d.Driver, d.ComputeUnits, l}))
		key := hex.EncodeToString(h[:16])
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
			passed = passed && t.passes.Passed(key)
		}
	}
	return keys, passed, nil
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
		if err == nil {
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

// value returns an integer for element (i, j) of an operand, as good as random.
func value(operand, i, j int) uint32 {
	h := uint32(i)*2654435761 + uint32(j)*2246822519 + uint32(operand)*3266489917
	h = (h ^ h>>15) * 2246822519
	return h ^ h>>13
}

// exactSum bounds sums of products, well below 2²⁴, up to which float32 holds all integers.
const exactSum = 1 << 22

// A layerTest holds the operands of a layer's operations.
type layerTest struct {
	rows, n, p int
	act        network.Activation
	input      bool    // x is a block of an input, as the plan holds it
	shifted    bool    // and a byte of 0 is no 0
	zeros      []uint8 // where given, bytes of x are 0 where these are
	wide       int     // the operand that has numbers of many bits

	e           *executor
	x           network.Rows
	mask        network.Matrix // x where it is a matrix, or as large
	w, b, h     network.Matrix
	dz, dw, db  network.Matrix
	made        []interface{ Close() error }
	bits        int
	sparse      int // one of so many numbers has many bits
	sparseBytes int
}

// The operands, as value knows them.
const (
	ofX = iota
	ofW
	ofB
	ofDz
)

// wideOperands returns which operands take turns to have numbers of many bits: of the two
// operands of every product one at a time. Where operands are rounded or split, every one
// of them has its turn.
func wideOperands(c kernels.Config) []int {
	if c.Forward.Variant == kernels.Tensor {
		return []int{ofX, ofDz, ofW}
	}
	return []int{ofX, ofDz}
}

// at returns element (i, j) of an operand: −1, 0 or 1, and sometimes an odd number of
// bits bits.
func (l *layerTest) at(operand, i, j int) int {
	h := value(operand, i, j)
	if l.wide == operand && int(h>>8)%l.sparse == 0 {
		v := int(h)&(1<<l.bits-1) | 1
		if h>>31 == 0 {
			return -v
		}
		return v
	}
	return int(h%3) - 1
}

// byteAt returns the byte of element (i, j) of an input: four in five are 0.
func (l *layerTest) byteAt(i, j int) uint8 {
	h := value(ofX, i, j)
	if l.zeros != nil {
		if l.zeros[i*l.n+j] == 0 {
			return 0
		}
		return uint8(1 + h%3)
	}
	switch {
	case int(h%1021)%l.sparseBytes != 0:
		return 0
	case l.wide == ofX:
		return uint8(1 + (h>>10)%255)
	}
	return uint8(1 + (h>>10)%3)
}

// bytes reports whether x is held as bytes, packed or not.
func (l *layerTest) bytes() bool {
	return l.input && (l.e.config.Packed != nil || l.e.config.Bytes)
}

// xAt returns element (i, j) of x.
func (l *layerTest) xAt(i, j int) int {
	if !l.bytes() {
		return l.at(ofX, i, j)
	}
	v := int(l.byteAt(i, j))
	if l.shifted {
		v++
	}
	return v
}

// prepare makes the operands. Dry ones hold nothing.
func (l *layerTest) prepare(e *executor, dry bool) (err error) {
	l.e = e
	l.bits = operandBits(e.config)
	terms := max(l.rows, l.n, l.p)
	l.sparse = max(7, groups(terms<<l.bits, exactSum))
	l.sparseBytes = max(5, min(1021, groups(255*terms, exactSum)))
	matrix := func(rows, cols int) (m network.Matrix) {
		if err != nil {
			return m
		}
		m = network.Matrix{Rows: rows, Cols: cols, Stride: network.AlignUp(cols)}
		if m.Buffer, err = e.NewBuffer(rows * m.Stride); err == nil {
			l.made = append(l.made, m.Buffer)
		}
		return m
	}
	fill := func(m network.Matrix, operand int) network.Matrix {
		if err == nil && !dry {
			err = writeRows(e, m, func(i, j int) float64 { return float64(l.at(operand, i, j)) })
		}
		return m
	}
	l.w, l.b = fill(matrix(l.n, l.p), ofW), fill(matrix(1, l.p), ofB)
	l.h, l.dz = matrix(l.rows, l.p), fill(matrix(l.rows, l.p), ofDz)
	l.dw, l.db = matrix(l.n, l.p), matrix(1, l.p)
	if l.input {
		if err != nil {
			return err
		}
		return l.load(dry)
	}
	l.mask = fill(matrix(l.rows, l.n), ofX)
	l.x = network.Rows{Matrix: l.mask}
	return err
}

// load makes x a block of an input.
func (l *layerTest) load(dry bool) error {
	if dry {
		x, err := l.e.dryInput(l.rows, l.n, l.shifted)
		l.x = network.Rows{Block: network.Block{Input: x}}
		return err
	}
	s := network.Samples{Rows: l.rows, Features: l.n}
	if l.bytes() {
		s.Bytes = make([]uint8, l.rows*l.n)
		for i := range l.rows {
			for j := range l.n {
				s.Bytes[i*l.n+j] = l.byteAt(i, j)
			}
		}
		if l.shifted {
			s.Scaling = network.Scaling{Shift: []float64{-1}, Factor: []float64{1}}
		}
	} else {
		s.Floats = make([]float32, l.rows*l.n)
		for i := range l.rows {
			for j := range l.n {
				s.Floats[i*l.n+j] = float32(l.at(ofX, i, j))
			}
		}
	}
	x, err := l.e.Load(s, []int{l.rows})
	if err == nil {
		l.made = append(l.made, x)
		l.x = network.Rows{Block: network.Block{Input: x}}
	}
	return err
}

func (l *layerTest) close() error {
	var errs []error
	for _, c := range slices.Backward(l.made) {
		errs = append(errs, c.Close())
	}
	l.made = nil
	return errors.Join(errs...)
}

// run enqueues an operation.
func (l *layerTest) run(op string) error {
	switch op {
	case kernels.OpForward:
		return l.e.Forward(l.x, l.w, l.b, l.act, l.h)
	case kernels.OpWeightGradient:
		return l.e.WeightGradient(l.x, l.dz, false, l.dw, l.db)
	}
	return l.e.InputGradient(l.dz, l.w, l.mask, l.mask)
}

// check runs an operation and compares a sample of its results with exact ones.
func (l *layerTest) check(op string) error {
	err := l.run(op)
	if err == nil && op == kernels.OpWeightGradient {
		// The first time replaces what is there, the second adds to it.
		err = l.e.WeightGradient(l.x, l.dz, true, l.dw, l.db)
	}
	if err != nil {
		return err
	}
	switch op {
	case kernels.OpForward:
		return l.compare(op, l.h, l.n, l.xAt, func(k, j int) int { return l.at(ofW, k, j) }, func(_, j, sum int) int {
			if sum += l.at(ofB, 0, j); l.act == network.ReLU {
				return max(0, sum)
			}
			return sum
		})
	case kernels.OpWeightGradient:
		twice := func(_, _, sum int) int { return 2 * sum }
		dz := func(k, j int) int { return l.at(ofDz, k, j) }
		if err := l.compare(op, l.dw, l.rows, func(i, k int) int { return l.xAt(k, i) }, dz, twice); err != nil {
			return err
		}
		return l.compare("bias of "+op, l.db, l.rows, func(_, _ int) int { return 1 }, dz, twice)
	}
	return l.compare(op, l.mask, l.p, func(i, k int) int { return l.at(ofDz, i, k) }, func(k, j int) int { return l.at(ofW, j, k) }, func(i, j, sum int) int {
		if l.at(ofX, i, j) > 0 {
			return sum
		}
		return 0
	})
}

// sampleRows and sampleCols are how many rows and columns of a result are compared.
const (
	sampleRows = 14
	sampleCols = 10
)

// sampleOf returns up to most of the indexes 0 … n−1: the first and last ones, where tiles
// have their edges, and some between.
func sampleOf(n, most int) (all []int) {
	for _, i := range []int{0, 1, n - 1, n - 2, n / 2} {
		if i >= 0 && i < n && !slices.Contains(all, i) {
			all = append(all, i)
		}
	}
	for k := 0; len(all) < min(n, most); k++ {
		if i := int(value(9, k, n)) % n; !slices.Contains(all, i) {
			all = append(all, i)
		}
	}
	return all
}

// compare compares elements of m with finish(Σ a(i, k)·b(k, j)) over terms k.
func (l *layerTest) compare(op string, m network.Matrix, terms int, a, b func(i, j int) int, finish func(i, j, sum int) int) error {
	cols := sampleOf(m.Cols, sampleCols)
	columns := make([][]int32, len(cols))
	for c, j := range cols {
		columns[c] = make([]int32, terms)
		for k := range terms {
			columns[c][k] = int32(b(k, j))
		}
	}
	row, got := make([]int32, terms), make([]float64, m.Cols)
	for _, i := range sampleOf(m.Rows, sampleRows) {
		if err := l.e.Read(m.Buffer, m.Offset+i*m.Stride, got); err != nil {
			return err
		}
		for k := range terms {
			row[k] = int32(a(i, k))
		}
		for c, j := range cols {
			sum := 0
			for k, v := range columns[c] {
				sum += int(row[k]) * int(v)
			}
			if want := float64(finish(i, j, sum)); got[j] != want {
				return wrong("element (%d, %d) of %s on %d rows is %v where exactly %v is expected",
					i, j, network.OperationKey(op, l.n, l.p), l.rows, got[j], want)
			}
		}
	}
	return nil
}

// operandBits is how many bits an operand of products can have.
func operandBits(c kernels.Config) int {
	switch c.Roundoff() {
	case kernels.BF16.Roundoff():
		return 8
	case kernels.TF32.Roundoff():
		return 11
	}
	return 12
}

// writeRows writes a matrix by its elements.
func writeRows(e *executor, m network.Matrix, at func(i, j int) float64) error {
	const most = 1 << 18 // elements written at a time
	rows := max(1, most/m.Stride)
	values := make([]float64, min(rows, m.Rows)*m.Stride)
	for first := 0; first < m.Rows; first += rows {
		n := min(rows, m.Rows-first)
		for i := range n {
			for j := range m.Cols {
				values[i*m.Stride+j] = at(first+i, j)
			}
		}
		if err := e.Write(m.Buffer, m.Offset+first*m.Stride, values[:n*m.Stride]); err != nil {
			return err
		}
	}
	return nil
}

// A softmaxTest has logits so far apart that every probability is 0 or 1, and every
// loss 0 or lostLoss.
type softmaxTest struct{ rows, classes int }

const lostLoss = 128 // exp −128 is 0 in float32

// largest is the class of a row's largest logit, label the row's label.
func (t softmaxTest) largest(i int) int { return int(value(4, i, 0)) % t.classes }

func (t softmaxTest) label(i int) int {
	if value(5, i, 0)%3 > 0 {
		return t.largest(i)
	}
	return int(value(6, i, 0)) % t.classes
}

func (t softmaxTest) run(e *executor, dry bool) (err error) {
	var made []interface{ Close() error }
	defer func() {
		for _, c := range slices.Backward(made) {
			err = errors.Join(err, c.Close())
		}
	}()
	z := network.Matrix{Rows: t.rows, Cols: t.classes, Stride: network.AlignUp(t.classes)}
	if z.Buffer, err = e.NewBuffer(z.Rows * z.Stride); err != nil {
		return err
	}
	made = append(made, z.Buffer)
	r, err := e.NewRecorder(1)
	if err != nil {
		return err
	}
	made = append(made, r)
	labels := make([]int32, t.rows)
	if !dry {
		for i := range labels {
			labels[i] = int32(t.label(i))
		}
		if err := writeRows(e, z, func(i, j int) float64 {
			if j == t.largest(i) {
				return lostLoss
			}
			return 0
		}); err != nil {
			return err
		}
	}
	y, err := e.Load(network.Samples{Rows: t.rows, Features: 1, Bytes: make([]uint8, t.rows), Labels: labels}, []int{t.rows})
	if err != nil {
		return err
	}
	made = append(made, y)
	m := 1 // of the batch: a power of two, so that 1/m is exact
	for m < t.rows {
		m *= 2
	}
	if err := e.SoftmaxCrossEntropy(z, network.Block{Input: y}, m, r, 0); err != nil || dry {
		return err
	}
	want := network.Record{}
	for i := range t.rows {
		if t.label(i) == t.largest(i) {
			want.Correct++
		} else {
			want.Loss += lostLoss
		}
	}
	var got [1]network.Record
	if _, err := e.ReadRecords(r, 0, got[:]); err != nil {
		return err
	}
	if got[0] != want {
		return wrong("loss and correct rows of %s on %d rows are %v, %d where exactly %v, %d are expected",
			network.SoftmaxKey(t.classes), t.rows, got[0].Loss, got[0].Correct, want.Loss, want.Correct)
	}
	row := make([]float64, t.classes)
	for _, i := range sampleOf(t.rows, 64) {
		if err := e.Read(z.Buffer, i*z.Stride, row); err != nil {
			return err
		}
		for j, got := range row {
			want := 0.0
			if j == t.largest(i) {
				want++
			}
			if j == t.label(i) {
				want--
			}
			if want /= float64(m); got != want {
				return wrong("element (%d, %d) of %s on %d rows is %v where exactly %v is expected",
					i, j, network.SoftmaxKey(t.classes), t.rows, got, want)
			}
		}
	}
	return nil
}

// An updateTest updates so many parameters.
type updateTest int

func (t updateTest) run(e *executor, dry bool) (err error) {
	n := int(t)
	var made []interface{ Close() error }
	defer func() {
		for _, c := range slices.Backward(made) {
			err = errors.Join(err, c.Close())
		}
	}()
	theta, err := e.NewBuffer(n)
	if err != nil {
		return err
	}
	made = append(made, theta)
	g, err := e.NewBuffer(n)
	if err != nil {
		return err
	}
	made = append(made, g)
	r, err := e.NewRecorder(1)
	if err != nil {
		return err
	}
	made = append(made, r)
	const part = 1 << 14 // elements at the start, in the middle and at the end
	starts := []int{0, n / 2, max(0, n-part)}
	values := func(operand, from int) []float64 {
		v := make([]float64, min(part, n-from))
		for i := range v {
			v[i] = float64(value(operand, from+i, 0)>>8) - 1<<23
		}
		return v
	}
	if !dry {
		for _, from := range starts {
			if err := errors.Join(e.Write(theta, from, values(7, from)), e.Write(g, from, values(8, from))); err != nil {
				return err
			}
		}
	}
	if err := e.Update(network.Whole(theta), network.Whole(g), 0.5, 1, r); err != nil || dry {
		return err
	}
	for _, from := range starts {
		got := make([]float64, min(part, n-from))
		if err := e.Read(theta, from, got); err != nil {
			return err
		}
		x, d := values(7, from), values(8, from)
		for i, v := range got {
			if want := float64(float32(x[i] - 0.5*d[i])); v != want {
				return wrong("element %d of %s is %v where exactly %v is expected", from+i, network.OpUpdate, v, want)
			}
		}
	}
	// Numbers that are not finite are seen, and only those.
	for i, want := range []int{0, 2} {
		if i == 1 {
			if err := errors.Join(e.Write(g, n-1, []float64{math.Inf(1)}), e.Update(network.Whole(theta), network.Whole(g), 0.5, 2, r)); err != nil {
				return err
			}
		}
		first, err := e.ReadRecords(r, 0, make([]network.Record, 1))
		if err == nil && first != want {
			err = wrong("%s reports iteration %d as the first not finite where it is %d (0: none)", network.OpUpdate, first, want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dryInput returns an input of the plan's form that holds nothing: for its launches.
func (e *executor) dryInput(rows, features int, shifted bool) (*input, error) {
	x := &input{e: e, rows: rows, features: features, blocks: []int{rows}, starts: []int{0}}
	o, err := e.buffer("input", 4)
	if err != nil {
		return nil, err
	}
	if p := e.config.Packed; p != nil {
		x.packed = &packedRows{tile: *p, table: o, chunks: []packedChunk{{o, o, o}}, chunkOf: []int{0}, groupOf: []int{0}}
	} else {
		x.dense = &denseRows{stride: network.AlignUp(features), width: 4, chunks: []denseChunk{{o: o, end: 1}}}
		if e.config.Bytes {
			x.dense.width = 1
		}
	}
	if x.shifted = shifted; e.config.Packed != nil && shifted || e.config.Bytes {
		x.affine = o
	}
	return x, nil
}

// A recording is an api without a device, which notes the launches.
type recording struct{ launches []string }

// A recorded handle is a program or kernel, or anything else.
type recorded struct{ source, options, kernel string }

func (*recording) devices() ([]Device, error)                         { return nil, nil }
func (*recording) createContext(Device) (handle, error)               { return &recorded{}, nil }
func (*recording) createQueue(handle, Device, bool) (handle, error)   { return &recorded{}, nil }
func (*recording) createBuffer(handle, int) (handle, error)           { return &recorded{}, nil }
func (*recording) setArg(handle, int, any) error                      { return nil }
func (*recording) enqueueFill(handle, handle, int, int) error         { return nil }
func (*recording) finish(handle) error                                { return nil }
func (*recording) release(handle)                                     {}
func (*recording) workGroupSize(_ handle, d Device) (int, error)      { return d.MaxWorkGroup, nil }
func (*recording) times(handle) (start, end time.Duration, err error) { return 0, 0, nil }

func (*recording) write(_, _ handle, _ int, _ unsafe.Pointer, _ int) error { return nil }
func (*recording) read(_, _ handle, _ int, _ unsafe.Pointer, _ int) error  { return nil }

func (*recording) createProgram(_ handle, source string) (handle, error) {
	return &recorded{source: source}, nil
}

func (*recording) buildProgram(p handle, options string) error {
	p.(*recorded).options = options
	return nil
}

func (*recording) createKernel(p handle, name string) (handle, error) {
	k := *p.(*recorded)
	h := sha256.Sum256([]byte(comment.ReplaceAllString(k.source, "")))
	return &recorded{hex.EncodeToString(h[:]), k.options, name}, nil
}

// comment is one of a kernel's source. A changed comment changes no program.
var comment = regexp.MustCompile(`[ \t]*//[^\n]*\n|(?m)^[ \t]*\n`)

func (r *recording) enqueueKernel(_, kernel handle, global, local []int, _ bool) (handle, error) {
	k := kernel.(*recorded)
	r.launches = append(r.launches, fmt.Sprint(k.source, k.options, k.kernel, global, local))
	return nil, nil
}
