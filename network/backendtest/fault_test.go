package backendtest_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/backendtest"
	"clgrad/network/backendtest/gotest"
)

// A fault is one thing that a naive backend does wrong.
type fault string

const (
	none          fault = ""
	dropsTerm     fault = "drops the last term"
	dropsEight    fault = "drops 8 of 60000 terms"
	edgeRow       fault = "last row of a partial tile takes its operands from the one before"
	edgeColumn    fault = "columns of a partial tile start from zero"
	bfloat16      fault = "operands rounded to bfloat16"
	tf32          fault = "operands rounded to TF32"
	half          fault = "operands rounded to half"
	stale         fault = "a partial tile holds operands of the tile before"
	accumulates16 fault = "sums held in bfloat16"
	reorders      fault = "order of sums varies from call to call"
	overwrites    fault = "writes behind the result"
	underwrites   fault = "writes in front of the result"
	intoOperand   fault = "writes into an operand"
	intoGradient  fault = "update changes the gradient"
	readsOn       fault = "reads one element more than asked for"
	padding       fault = "leaves padding that is not zero"
	replaces      fault = "weight gradient always replaces"
	adds          fault = "weight gradient always adds"
	wholeBuffers  fault = "update of a part takes all"
	hidesNaN      fault = "ReLU hides NaN"
	maskWithZero  fault = "mask is x >= 0"
	lastTie       fault = "ties go to the highest class"
	unscaled      fault = "derivative is not divided by m"
	unshifted     fault = "softmax without the maximum"
	otherRecord   fault = "another record is set"
	addsRecords   fault = "records are added to"
	lastIteration fault = "the last iteration that is not finite"
	onlyFirst     fault = "only the first element is tested"
	skipsLast     fault = "update leaves out the last element"
	noDecay       fault = "update without weight decay"
	fixedStep     fault = "bias correction is that of the first step"
	plainMomentum fault = "nesterov is momentum"
	notZeroed     fault = "new buffers are not zero"
	scalesTwice   fault = "samples are scaled twice"
	keepsRow      fault = "a refilled input keeps a row"
	keepsLabels   fault = "a refilled input keeps its labels"
	claimsFloat64 fault = "float32 that claims to be float64"
	noBias        fault = "biases have no gradient in whole iterations"
	lastFeature   fault = "the last feature is left out of whole iterations"
	shortGroup    fault = "the last rows are left out of the gradient of whole iterations"
	staleCopy     fault = "whole iterations go on with the weights before a step"
	noRecord      fault = "whole iterations set no record"
	skipsBegin    fault = "whole iterations do not take over parameters"
)

// tile is the size of the tiles whose edges the faults get wrong.
const tile = 16

// spoil returns element (i, j) of a sum with the fault. add adds products
// from, from+step, … up to but not including to.
func (f fault) spoil(a, b grid, i, j, call int, start float32, add func(sum float32, from, to, step int) float32) float32 {
	k := a.cols
	switch f {
	case dropsTerm:
		return add(start, 0, k-1, 1)
	case dropsEight:
		if k == 60000 {
			return add(add(start, 0, k/2, 1), k/2+8, k, 1)
		}
	case edgeRow:
		if i == a.rows-1 && a.rows%tile != 0 && i > 0 {
			return f.with(a.row0(i-1), b, start, j, nil)
		}
	case edgeColumn:
		if j == b.cols-1 && b.cols%tile != 0 {
			return add(0, 0, k, 1)
		}
	case stale:
		if k > tile && k%tile != 0 {
			return add(add(start, 0, k, 1), k-tile, k/tile*tile, 1)
		}
	case bfloat16:
		return f.with(a.row0(i), b, start, j, func(v float32) float32 { return rounded(v, 16) })
	case tf32:
		return f.with(a.row0(i), b, start, j, func(v float32) float32 { return rounded(v, 13) })
	case half:
		return f.with(a.row0(i), b, start, j, toHalf)
	case accumulates16:
		sum := start
		for t := range k {
			sum = rounded(sum+a.at(i, t)*b.at(t, j), 8)
		}
		return sum
	case reorders:
		if uint32(call)*2654435761>>31 == 0 { // as good as random
			return add(start, k-1, -1, -1)
		}
	}
	return add(start, 0, k, 1)
}

// row0 returns row i as a matrix of one row.
func (g grid) row0(i int) grid { return grid{g.v[i*g.row:], 1, g.cols, g.row, g.col} }

// with adds the products of a row and a column after changing both operands.
func (f fault) with(row, b grid, sum float32, j int, change func(float32) float32) float32 {
	for k := range row.cols {
		x, y := row.at(0, k), b.at(k, j)
		if change != nil {
			x, y = change(x), change(y)
		}
		sum += x * y
	}
	return sum
}

// rounded returns v without its lowest bits of the significand, to nearest even.
func rounded(v float32, bits int) float32 {
	u := math.Float32bits(v)
	u += 1<<(bits-1) - 1 + u>>bits&1
	return math.Float32frombits(u >> bits << bits)
}

// toHalf returns v rounded to half precision: 11 bits like TF32, but subnormal below
// 2⁻¹⁴ and infinite above 65504.
func toHalf(v float32) float32 {
	switch magnitude := math.Abs(float64(v)); {
	case magnitude < 0x1p-14:
		return float32(math.RoundToEven(float64(v)*0x1p24) * 0x1p-24)
	case magnitude >= 65520:
		return float32(math.Copysign(math.Inf(1), float64(v)))
	}
	return rounded(v, 13)
}

func opener(f fault) func() (network.Backend, error) {
	return func() (network.Backend, error) { return &naiveBackend{fault: f}, nil }
}

func TestNaiveBackendPasses(t *testing.T) {
	t.Parallel()
	gotest.Run(t, opener(none), backendtest.Quick())
}

// What a tiny run of the suite finds, every run finds: its cases are among theirs. Faults
// that take many terms, or steps, are left to a quick one.
func TestFaultsAreFound(t *testing.T) {
	many := []fault{dropsEight, accumulates16, stale, fixedStep}
	all := []string{"forward-input", "forward", "weight-gradient-input", "weight-gradient", "input-gradient"}
	products := []string{"forward", "weight-gradient-input", "input-gradient"} // the naive backend's others are the same loops
	gradients := []string{"weight-gradient-input", "weight-gradient"}
	softmax := []string{"softmax-cross-entropy"}
	steps := []string{"steps"}
	for _, c := range []struct {
		fault      fault
		operations []string
		gates      []string // all of which notice it
	}{
		{dropsTerm, all, []string{"bound", "exact", "naive kernel"}},
		{dropsEight, all, []string{"exact", "naive kernel"}},
		{edgeRow, products, []string{"bound", "exact", "naive kernel"}},
		{edgeColumn, []string{"forward-input", "forward", "weight-gradient-input", "weight-gradient"}, []string{"bound", "exact"}},
		{bfloat16, products, []string{"bound", "exact", "naive kernel"}},
		{tf32, products, []string{"bound", "exact", "naive kernel"}},
		{half, products, []string{"bound", "exact", "naive kernel"}},
		{accumulates16, products, []string{"bound", "exact", "naive kernel"}},
		{stale, products, []string{"bound", "exact", "naive kernel"}},
		{reorders, products, []string{"same bits"}},
		{overwrites, slices.Concat(all, softmax), []string{"around the result"}},
		{underwrites, slices.Concat(all, softmax), []string{"around the result"}},
		{intoOperand, all, []string{"around the result"}},
		{intoGradient, []string{"update"}, []string{"exact"}},
		{readsOn, []string{"buffer", "update", "forward", "recorder"}, []string{"error"}},
		{padding, slices.Concat(products, softmax), []string{"around the result"}},
		{replaces, gradients, []string{"bound", "exact"}},
		{adds, gradients, []string{"bound", "exact"}},
		{adds, []string{"gradient"}, []string{"same bits"}},
		{adds, []string{"training"}, []string{"bound"}},
		{wholeBuffers, []string{"update"}, []string{"exact"}},
		{replaces, []string{"gradient", "training"}, []string{"bound"}},
		{hidesNaN, []string{"forward"}, []string{"exact"}},
		{maskWithZero, []string{"input-gradient"}, []string{"bound", "exact"}},
		{maskWithZero, []string{"gradient", "training"}, []string{"bound"}},
		{lastTie, softmax, []string{"exact"}},
		{unscaled, softmax, []string{"bound", "exact"}},
		{unshifted, softmax, []string{"bound"}},
		{otherRecord, softmax, []string{"around the result"}},
		{otherRecord, []string{"recorder"}, []string{"exact"}},
		{addsRecords, []string{"recorder"}, []string{"exact"}},
		{lastIteration, []string{"update"}, []string{"exact"}},
		{onlyFirst, []string{"update"}, []string{"exact"}},
		{skipsLast, []string{"update"}, []string{"bound", "exact"}},
		{noDecay, []string{"update"}, []string{"bound", "exact"}},
		{fixedStep, []string{"update"}, []string{"bound"}},
		{plainMomentum, []string{"update"}, []string{"bound", "exact"}},
		{noDecay, []string{"training"}, []string{"bound"}},
		{fixedStep, []string{"training"}, []string{"bound"}},
		{plainMomentum, []string{"training"}, []string{"bound"}},
		{notZeroed, []string{"buffer"}, []string{"exact"}},
		{scalesTwice, []string{"load"}, []string{"exact"}},
		{keepsRow, []string{"load"}, []string{"exact"}},
		{keepsLabels, []string{"load"}, []string{"exact"}},
		{claimsFloat64, slices.Concat(products, softmax), []string{"bound"}},
		{claimsFloat64, []string{"buffer"}, []string{"exact"}},
		{claimsFloat64, []string{"update", "gradient", "training"}, []string{"bound"}},
		{dropsTerm, steps, []string{"bound", "exact", "naive kernel"}},
		{edgeRow, steps, []string{"bound", "exact", "naive kernel"}},
		{edgeColumn, steps, []string{"bound", "exact"}},
		{bfloat16, steps, []string{"bound", "naive kernel"}},
		{half, steps, []string{"bound", "naive kernel"}},
		{reorders, steps, []string{"same bits"}},
		{padding, steps, []string{"around the result"}},
		{replaces, steps, []string{"bound", "exact"}},
		{adds, steps, []string{"bound", "exact"}},
		{maskWithZero, steps, []string{"bound", "exact"}},
		{hidesNaN, steps, []string{"exact"}},
		{lastTie, steps, []string{"exact"}},
		{unscaled, steps, []string{"bound", "exact"}},
		{unshifted, steps, []string{"exact"}},
		{otherRecord, steps, []string{"around the result"}},
		{addsRecords, steps, []string{"same bits", "exact"}},
		{lastIteration, steps, []string{"exact"}},
		{onlyFirst, steps, []string{"exact"}},
		{noDecay, steps, []string{"bound", "exact"}},
		{fixedStep, steps, []string{"bound"}},
		{plainMomentum, steps, []string{"bound", "exact"}},
		{claimsFloat64, steps, []string{"bound"}},
		{noBias, steps, []string{"bound", "exact"}},
		{lastFeature, steps, []string{"bound", "exact"}},
		{shortGroup, steps, []string{"bound", "exact"}},
		{staleCopy, steps, []string{"bound", "same bits"}},
		{noRecord, steps, []string{"bound", "exact"}},
		{skipsBegin, steps, []string{"bound", "exact"}},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			t.Parallel()
			size := backendtest.Tiny()
			if slices.Contains(many, c.fault) || slices.Contains(c.operations, "training") {
				size = backendtest.Quick()
			}
			report, err := backendtest.Check(opener(c.fault), size, backendtest.Only(c.operations...))
			if err == nil {
				t.Fatal("not found")
			}
			for _, o := range report.Operations {
				if o.Passed || len(o.Failures) == 0 {
					t.Errorf("%s passed", o.Operation)
				}
				for _, gate := range c.gates {
					if !slices.ContainsFunc(o.Failures, func(f backendtest.Failure) bool { return f.Gate == gate }) {
						t.Errorf("%s: the gate %q did not notice it", o.Operation, gate)
					}
				}
				if !strings.Contains("\n"+err.Error(), "\n"+o.Operation+" ") {
					t.Errorf("the error does not name %s", o.Operation)
				}
			}
			t.Logf("%d failures, the first: %v", len(strings.Split(err.Error(), "\n")), strings.Split(err.Error(), "\n")[0])
		})
	}
}
