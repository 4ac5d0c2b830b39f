//go:build mpi && cgo

package mpi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"clgrad/network/mpi"
	"clgrad/network/must"
)

// roleOf names what a process that mpirun started does in place of the tests.
const roleOf = "CLGRAD_MPI_TEST"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleOf); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// started runs this program as n ranks in a role and returns what they write.
func startedAs(t testing.TB, n int, role string) string {
	t.Helper()
	c := exec.Command("mpirun", "--oversubscribe", "--allow-run-as-root", "--bind-to", "none", "-n", strconv.Itoa(n), os.Args[0])
	c.Env = append(os.Environ(), roleOf+"="+role)
	var notes bytes.Buffer
	c.Stderr = &notes
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, notes.String())
	}
	return string(out)
}

// play is what a rank does.
func play(role string) error {
	w, err := mpi.Init()
	if err != nil {
		return err
	}
	if role == "exchange" {
		if err := measure(w); err != nil {
			return err
		}
		return w.Close()
	}
	// A nil pointer is still Go's.
	fault := func() (r any) {
		defer func() { r = recover() }()
		var none *int
		return *none
	}()
	if fault == nil || !strings.Contains(fmt.Sprint(fault), "nil pointer") {
		return fmt.Errorf("rank %d: a nil pointer: %v", w.Rank(), fault)
	}
	var own []byte
	if w.Rank() == 0 {
		own = bytes.Repeat([]byte("0123456789"), 2000001)
	}
	got, err := mpi.BroadcastBytes(w, own)
	if err != nil || len(got) != 20000010 || !bytes.HasSuffix(got, []byte("890123456789")) {
		return fmt.Errorf("rank %d: %d bytes, %w", w.Rank(), len(got), err)
	}
	next, before := (w.Rank()+1)%w.Size(), (w.Rank()+w.Size()-1)%w.Size()
	if w.Rank() == 0 {
		if err := mpi.SendBytes(w, next, own); err != nil {
			return err
		}
	}
	if got, err = mpi.ReceiveBytes(w, before); err != nil || len(got) != 20000010 {
		return fmt.Errorf("rank %d receives %d bytes, %w", w.Rank(), len(got), err)
	}
	if w.Rank() > 0 {
		if err := mpi.SendBytes(w, next, got); err != nil {
			return err
		}
	}
	const n = 5 * 16
	for _, wide := range []bool{false, true} {
		r := mpi.NewReducer(w, hosts(w.Size()), n, wide)
		part := slices.Repeat([]float64{float64(w.Rank() + 1)}, n)
		theta := make([]float64, n)
		from, end := r.Slice(n)
		if err := r.Sum([][]float64{part}, nil, theta[from:end]); err != nil {
			return err
		}
		if err := r.Gather(theta, nil); err != nil {
			return err
		}
		want := float64(w.Size() * (w.Size() + 1) / 2)
		if slices.ContainsFunc(theta, func(v float64) bool { return v != want }) {
			return fmt.Errorf("rank %d has %v, want %v", w.Rank(), theta, want)
		}
		var failed error
		if w.Rank() == 1 {
			failed = fmt.Errorf("no more")
		}
		err := r.Sum([][]float64{part}, failed, theta[from:end])
		if w.Rank() != 1 && (err == nil || err.Error() != "rank 1 (host1): no more") {
			return fmt.Errorf("rank %d: %v", w.Rank(), err)
		}
	}
	return w.Close()
}

// What goes over MPI is what comes over goroutines, and MPI leaves Go its signals.
func TestMPI(t *testing.T) {
	for _, n := range []int{2, 4} {
		startedAs(t, n, "check")
	}
}

// An exchanged is how long a step's exchange took.
type exchanged struct {
	Elements int
	Seconds  float64
}

// measure writes the median time of a step's exchange for some numbers of parameters.
func measure(w mpi.World) error {
	for _, n := range []int{16 * 64, 16 * 6361, 16 * 65536} {
		r := mpi.NewReducer(w, hosts(w.Size()), n, false)
		part, theta := make([]float64, n), make([]float64, n)
		from, end := r.Slice(n)
		var times []float64
		for range 60 {
			begin := time.Now()
			if err := r.Sum([][]float64{part}, nil, theta[from:end]); err != nil {
				return err
			}
			if err := r.Gather(theta, nil); err != nil {
				return err
			}
			times = append(times, time.Since(begin).Seconds())
		}
		slices.Sort(times)
		if w.Rank() == 0 {
			if err := json.NewEncoder(os.Stdout).Encode(exchanged{n, times[len(times)/2]}); err != nil {
				return err
			}
		}
	}
	return nil
}

// The exchange of a step over MPI on this machine, with the α and β of the model that it comes
// to, and beside them what the model then has for the third number of parameters.
func BenchmarkExchange(b *testing.B) {
	for _, ranks := range []int{2, 4} {
		b.Run(fmt.Sprint(ranks, " ranks"), func(b *testing.B) {
			for range b.N {
				var all []exchanged
				for line := range strings.Lines(startedAs(b, ranks, "exchange")) {
					var x exchanged
					must.OK(b, json.Unmarshal([]byte(line), &x))
					b.Logf("%d ranks, %d elements: %.1f µs", ranks, x.Elements, 1e6*x.Seconds)
					all = append(all, x)
				}
				m := fit(ranks, all[0], all[1])
				m.Parameters = all[2].Elements
				b.ReportMetric(1e6*m.Latency, "µs/message")
				b.ReportMetric(m.Bandwidth/1e9, "GB/s")
				b.ReportMetric(m.Exchange(ranks)/all[2].Seconds, "predicted/measured")
			}
		})
	}
}

// fit returns the model that two measurements come to. What the host does with an element counts
// to the bandwidth.
func fit(ranks int, small, large exchanged) model {
	m := model{Parameters: large.Elements - small.Elements, Bytes: 4}
	m.Bandwidth = m.Traffic(ranks) / math.Max(large.Seconds-small.Seconds, 1e-9)
	m.Parameters = small.Elements
	m.Latency = math.Max(0, small.Seconds-m.Traffic(ranks)/m.Bandwidth) / float64(2*(ranks-1))
	return m
}
