package backendtest

import (
	"math"

	"clgrad/network"
)

// A softmaxCase is one block of logits z (B×p) with its labels.
//
// # The bound
//
// With t_j = z_j − max z, e_j = exp t_j and s = Σ e_j, every error relative to
// the value that it is an error of, in units of u, and an ulp being at most 2u:
//
//	t_j   1                 the subtraction
//	e_j   |t_j| + 6         the error of t_j, and exp within 3 ulp
//	s     T + 6 + p         the mean T of |t_j| weighted by e_j, and p additions
//	P_j   c_j = 2|t_j| + 7 log s + T + p + 18
//
// c_j covers e_j/s with division within 2.5 ulp, e_j·(1/s), and exp(t_j − log s)
// with log within 3 ulp. Then with y = onehot and m exact
//
//	|dz_j error| ≤ u·(c_j·P_j + 7·|P_j − y_j|)/m
//
// where 7 stands for the subtraction of y, and a division by m or a product with
// a rounded 1/m. The loss of a row is L = log s − t_y:
//
//	|L error| ≤ u·(T + 6 + p + 6 log s + |t_y| + L)
//
// and adding B of them, none negative, in any order costs another B·u·Σ L. The
// limits for exp, log and division are those that OpenCL sets; second-order
// terms are covered by one part in a thousand, underflow by the least normal
// number.
//
// The loss must be computed from t: in the form (max z + log s) − z_y it would
// lose all digits beside a large maximum, which the bound does not allow.
type softmaxCase struct {
	name      string
	rows, p   int
	m         int
	block     int
	blockRows int
	exact     bool // every loss is an integer, every probability 0 or 1
	z         dense
	labels    []int32
}

func softmax(s *session) {
	for _, c := range softmaxCases(s) {
		s.try(c.name, func() { c.check(s) })
	}
	s.try("NaN and infinite logits", func() { notFiniteLoss(s) })
}

// compute runs the case twice and returns dz and the record of the first run.
func (c softmaxCase) compute(s *session) (dz []float64, record network.Record) {
	r := source(c.name + " labels")
	samples := network.Samples{Rows: c.block*c.blockRows + c.rows, Features: 1}
	samples.Bytes = make([]uint8, samples.Rows)
	samples.Labels = make([]int32, samples.Rows)
	for i := range samples.Labels {
		samples.Labels[i] = int32(r.IntN(c.p))
	}
	copy(samples.Labels[c.block*c.blockRows:], c.labels)
	x := s.load(samples, c.blockRows)
	z := s.guarded(c.block == 1, c.z)
	rec := s.recorder(5)
	const slot = 3
	run := func() ([]float64, []network.Record) {
		s.do(func() error {
			return s.b.SoftmaxCrossEntropy(z.views[0], network.Block{Input: x, Index: c.block}, c.m, rec, slot)
		})
		dz, problem := z.values(s.env, 1)
		if problem != "" {
			s.fail(c.name, gateAround, "%s", problem)
		}
		records, nonFinite := s.records(rec, 0, 5)
		for i, r := range records {
			if i != slot && r != (network.Record{}) {
				s.fail(c.name, gateAround, "record %d is %+v where only record %d was set", i, r, slot)
			}
		}
		if nonFinite != 0 {
			s.fail(c.name, gateAround, "iteration %d is not finite, without an update", nonFinite)
		}
		return dz, records
	}
	dz, first := run()
	z.reset(s.env)
	again, second := run()
	s.repeated(c.name, cell(c.p), dz, again)
	if s.err == nil && first[slot] != second[slot] && first[slot].Loss == first[slot].Loss {
		s.fail(c.name, gateRepeat, "the record is %+v, and %+v in a second run of the same call", first[slot], second[slot])
	}
	return dz, first[slot]
}

func (c softmaxCase) check(s *session) {
	dz, record := c.compute(s)
	if s.err != nil {
		return
	}
	correct := 0
	want := values{hi: make([]float64, len(dz))}
	if !s.single {
		want.lo = make([]float64, len(dz))
	}
	bound := make([]float64, len(dz))
	var loss, lossBound float64
	for i := range c.rows {
		at := i * c.p
		row := c.truth(s, i)
		if row.correct {
			correct++
		}
		copy(want.hi[at:], row.dz.hi)
		if want.lo != nil {
			copy(want.lo[at:], row.dz.lo)
		}
		copy(bound[at:], row.bound)
		loss += row.loss
		lossBound += row.lossBound
	}
	if record.Correct != correct {
		s.fail(c.name, gateExact, "%d rows are correct where %d are expected", record.Correct, correct)
	}
	at := func(int) string { return "the loss" }
	if c.exact {
		s.equal(c.name, cell(c.p), dz, want.hi)
		s.equal(c.name, at, []float64{record.Loss}, []float64{loss})
		return
	}
	s.bounded(c.name, cell(c.p), dz, want, bound)
	lossBound += float64(c.rows) * (1.001*s.u*loss + s.tiny())
	s.bounded(c.name, at, []float64{record.Loss}, values{hi: []float64{loss}}, []float64{lossBound})
}

// A softmaxRow is what is true of one row.
type softmaxRow struct {
	dz              values
	bound           []float64
	loss, lossBound float64
	correct         bool
}

// truth computes row i, in float64 for a float32 backend and to 200 bits for a
// float64 one (whose loss is rounded to float64, as one of the roundings that
// the bound counts twice).
func (c softmaxCase) truth(s *session, i int) softmaxRow {
	z, label := c.z.row(i), int(c.labels[i])
	top := 0
	for j, v := range z {
		if v > z[top] {
			top = j
		}
	}
	row := softmaxRow{correct: top == label, bound: make([]float64, c.p)}
	t, e := make([]float64, c.p), make([]float64, c.p)
	sum, weighted := 0.0, 0.0
	for j, v := range z {
		t[j] = v - z[top]
		e[j] = math.Exp(t[j])
		sum += e[j]
		weighted += e[j] * -t[j]
	}
	logSum, mean := math.Log(sum), weighted/sum
	row.loss = logSum - t[label]
	if s.single {
		row.dz = values{hi: make([]float64, c.p)}
		for j := range z {
			row.dz.hi[j] = (e[j]/sum - indicator(j == label)) / float64(c.m)
		}
	} else {
		row.dz, row.loss = bigSoftmax(z, top, label, c.m)
	}
	p := float64(c.p)
	for j := range z {
		probability := e[j] / sum
		relative := 2*math.Abs(t[j]) + 7*logSum + mean + p + 18
		dz := relative*probability + 7*math.Abs(probability-indicator(j == label))
		row.bound[j] = 1.001*s.u*dz/float64(c.m) + 2*s.tiny()
	}
	row.lossBound = 1.001 * s.u * (mean + 6 + p + 6*logSum + math.Abs(t[label]) + row.loss)
	return row
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// notFiniteLoss checks that a logit that is not finite shows in the loss, which
// is where training looks for it.
func notFiniteLoss(s *session) {
	const name = "NaN and infinite logits"
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		for _, at := range []int{0, 9, 10, 25, 49} {
			c := softmaxCase{name: name, rows: 5, p: 10, m: 5, blockRows: 5, z: newDense(5, 10), labels: make([]int32, 5)}
			c.z.v[at] = bad
			_, record := c.computeOnce(s)
			if s.err == nil && !math.IsNaN(record.Loss) && !math.IsInf(record.Loss, 0) {
				s.fail(name, gateExact, "the loss is %v where logit (%d, %d) is %v", record.Loss, at/10, at%10, bad)
				return
			}
		}
	}
}

// computeOnce runs the case once.
func (c softmaxCase) computeOnce(s *session) (dz []float64, record network.Record) {
	x := s.load(network.Samples{Rows: c.rows, Features: 1, Bytes: make([]uint8, c.rows), Labels: c.labels}, c.blockRows)
	z, rec := s.guarded(false, c.z), s.recorder(1)
	s.do(func() error { return s.b.SoftmaxCrossEntropy(z.views[0], network.Block{Input: x}, c.m, rec, 0) })
	dz, _ = z.values(s.env, 1)
	records, _ := s.records(rec, 0, 1)
	return dz, records[0]
}
