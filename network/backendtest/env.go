package backendtest

import (
	"fmt"
	"io"
	"math"

	"clgrad/network"
)

// An env is an executor with what a case makes on it. The first error stops
// everything after it: methods do nothing once err is set.
type env struct {
	b      network.Executor
	u      float64 // unit roundoff
	delta  float64 // that of the operands of products, where it is more
	single bool    // u = 2⁻²⁴
	err    error
	made   []io.Closer
}

func newEnv(b network.Executor, info network.Info) *env {
	return &env{b: b, u: info.Roundoff, delta: info.OperandRoundoff, single: info.Roundoff == 0x1p-24}
}

// networkErrors is how many roundoffs of its operands a network's results may be off:
// relative to the largest of them, as the rest of a tolerance.
const networkErrors = 8

// tolerance returns the given number of roundoffs, or networkErrors of those of operands
// that have fewer bits.
func (e *env) tolerance(roundoffs float64) float64 {
	return max(roundoffs*e.u, networkErrors*e.delta)
}

// operandBits returns the bits of an operand, as far as drawIntegers uses them.
func (e *env) operandBits() int {
	if e.delta == 0 {
		return integerBits
	}
	return min(integerBits, int(-math.Log2(e.delta)))
}

// operand returns the relative error of a product of two rounded operands.
func (e *env) operand() float64 { return 2*e.delta + e.delta*e.delta }

// round returns v at the backend's precision.
func (e *env) round(v float64) float64 {
	if e.single {
		return float64(float32(v))
	}
	return v
}

// tiny is the largest absolute error of an operation whose result underflows.
// A device may flush subnormal numbers to zero, so it is the least normal one.
func (e *env) tiny() float64 {
	if e.single {
		return 0x1p-126
	}
	return 0x1p-1022
}

// do runs f unless an error came before.
func (e *env) do(f func() error) {
	if e.err == nil {
		e.err = f()
	}
}

// closeAll closes what was made since the last call, last first.
func (e *env) closeAll(report func(error)) {
	for i := len(e.made) - 1; i >= 0; i-- {
		if err := e.made[i].Close(); err != nil {
			report(err)
		}
	}
	e.made = nil
}

func (e *env) buffer(elements int) (b network.Buffer) {
	e.do(func() (err error) {
		if b, err = e.b.NewBuffer(elements); err == nil {
			e.made = append(e.made, b)
		}
		return err
	})
	return b
}

// filled returns a buffer that holds v.
func (e *env) filled(v []float64) network.Buffer {
	b := e.buffer(len(v))
	e.write(b, v)
	return b
}

func (e *env) write(b network.Buffer, v []float64) {
	e.do(func() error { return e.b.Write(b, 0, v) })
}

// read returns all elements of b. Behind them stands a canary.
func (e *env) read(b network.Buffer) []float64 {
	if e.err != nil {
		return nil
	}
	n := b.Len()
	v := make([]float64, n+1)
	v[n] = canary(n)
	e.do(func() error { return e.b.Read(b, 0, v[:n]) })
	e.do(func() error {
		if v[n] != canary(n) {
			return fmt.Errorf("read of %d elements wrote %v behind them", n, v[n])
		}
		return nil
	})
	return v[:n:n]
}

// load loads samples in blocks of blockRows rows, the last of which may be shorter.
func (e *env) load(s network.Samples, blockRows int) (x network.Input) {
	e.do(func() (err error) {
		if x, err = e.b.Load(s, evenly(s.Rows, blockRows)); err == nil {
			e.made = append(e.made, x)
		}
		return err
	})
	return x
}

// evenly returns the blocks of rows rows, each of blockRows but the last.
func evenly(rows, blockRows int) (blocks []int) {
	for ; rows > 0; rows -= blockRows {
		blocks = append(blocks, min(rows, blockRows))
	}
	return blocks
}

func (e *env) recorder(records int) (r network.Recorder) {
	e.do(func() (err error) {
		if r, err = e.b.NewRecorder(records); err == nil {
			e.made = append(e.made, r)
		}
		return err
	})
	return r
}

// records returns n records of r from first on, and the first iteration that
// was not finite.
func (e *env) records(r network.Recorder, first, n int) (records []network.Record, nonFinite int) {
	guard := network.Record{Loss: canary(n), Correct: n}
	records = append(make([]network.Record, n), guard)
	e.do(func() (err error) {
		nonFinite, err = e.b.ReadRecords(r, first, records[:n])
		return err
	})
	e.do(func() error {
		if records[n] != guard {
			return fmt.Errorf("read of %d records wrote %+v behind them", n, records[n])
		}
		return nil
	})
	return records[:n:n], nonFinite
}
