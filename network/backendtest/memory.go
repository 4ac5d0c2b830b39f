package backendtest

import (
	"fmt"
	"math"

	"clgrad/network"
)

// buffers checks that memory holds what is written to it, where it is written,
// at the backend's precision, and is zero before.
func buffers(s *session) {
	for _, n := range []int{1, 2, 15, 16, 17, 100, 1000, 4099, 1 << 18} {
		if s.quick && n > 5000 || s.smallest && n > 1000 {
			continue
		}
		name := fmt.Sprintf("%d elements", n)
		s.try(name, func() { roundTrip(s, name, n) })
	}
	const name = "special values"
	s.try(name, func() {
		v := []float64{0, math.Copysign(0, -1), 1. / 3, math.Pi, -1e30, 1e-30, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, 0x1p-126, 1<<24 + 1, 0.1}
		want := make([]float64, len(v))
		for i, x := range v {
			want[i] = s.round(x)
		}
		s.equal(name, element, s.read(s.filled(v)), want)
	})
}

func roundTrip(s *session, name string, n int) {
	r := source(name)
	a, b := s.buffer(n), s.buffer(n)
	if s.err != nil {
		return
	}
	if a.Len() != n {
		s.fail(name, gateExact, "Len is %d", a.Len())
		return
	}
	zero, want := make([]float64, n), make([]float64, n)
	s.equal(name+", new", element, s.read(a), zero)
	other := make([]float64, n)
	for i := range want {
		v := r.NormFloat64()
		other[i] = v
		want[i] = s.round(v)
	}
	s.write(a, other)
	s.write(b, other)
	s.equal(name+", written", element, s.read(a), want)
	// A part in the middle, of odd length at an odd place where there is one.
	first, length := n/3|1, max(1, n/2)
	if first+length > n {
		first, length = 0, n
	}
	part := make([]float64, length)
	for i := range part {
		part[i] = float64(i + 1)
		want[first+i] = part[i]
	}
	s.do(func() error { return s.b.Write(a, first, part) })
	s.equal(name+", a part written", element, s.read(a), want)
	got := make([]float64, length)
	s.do(func() error { return s.b.Read(a, first, got) })
	s.equal(name+", a part read", element, got, part)
	s.do(func() error { return s.b.Clear(a) })
	s.equal(name+", cleared", element, s.read(a), zero)
	for i, v := range other {
		other[i] = s.round(v)
	}
	s.equal(name+", beside the cleared one", element, s.read(b), other)
}

// recorders checks that records are set one by one, not added to, and read in
// ranges.
func recorders(s *session) {
	for _, n := range []int{1, 2, 7, 33} {
		name := fmt.Sprintf("%d records", n)
		s.try(name, func() {
			x := s.load(network.Samples{Rows: 100, Features: 1, Bytes: make([]uint8, 100), Labels: make([]int32, 100)}, 10)
			rec, other := s.recorder(n), s.recorder(n)
			want := make([]network.Record, n)
			expectRecords(s, name+", new", rec, want)
			// Every second record, from the last down, and each of them twice.
			for k := n - 1; k >= 0; k -= 2 {
				for range 2 {
					// Row i ≤ k%10 is right, the others lose 1000 each.
					z := newDense(10, 3)
					for i := range z.rows {
						z.row(i)[1], z.row(i)[2] = -1000, -1000
						if i > k%10 {
							z.row(i)[2] = 1000
						}
					}
					want[k] = network.Record{Loss: float64(1000 * (9 - k%10)), Correct: k%10 + 1}
					at := s.guarded(false, z)
					s.do(func() error {
						return s.b.SoftmaxCrossEntropy(at.views[0], network.Block{Input: x, Index: k % 10}, 100, rec, k)
					})
				}
				expectRecords(s, fmt.Sprintf("%s, record %d set", name, k), rec, want)
			}
			expectRecords(s, name+", another recorder", other, make([]network.Record, n))
		})
	}
}

// expectRecords reads a recorder whole, in two parts, and record by record.
func expectRecords(s *session, name string, rec network.Recorder, want []network.Record) {
	n := len(want)
	ranges := [][2]int{{0, n}, {0, n / 2}, {n / 2, n}}
	for i := range n {
		ranges = append(ranges, [2]int{i, i + 1})
	}
	for _, r := range ranges {
		if r[0] == r[1] {
			continue
		}
		got, nonFinite := s.records(rec, r[0], r[1]-r[0])
		if s.err != nil {
			return
		}
		for i, record := range got {
			s.exact++
			if record != want[r[0]+i] {
				s.fail(name, gateExact, "record %d, read from %d on, is %+v where %+v is expected", r[0]+i, r[0], record, want[r[0]+i])
				return
			}
		}
		if nonFinite != 0 {
			s.fail(name, gateExact, "iteration %d is not finite, without an update", nonFinite)
			return
		}
	}
}
