//go:build mpi && linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// ranksOn is a command line that starts n processes on this machine. Its backends keep all of
// the machine's processors.
func ranksOn(n int) []string {
	return []string{"mpirun", "--oversubscribe", "--allow-run-as-root", "--bind-to", "none", "-n", strconv.Itoa(n)}
}

// together runs clgrad as n ranks.
func together(t *testing.T, n int, args ...string) (status int, out, notes string) {
	t.Helper()
	p := startWith(t, ranksOn(n), args...)
	status = p.end(t)
	return status, p.out.String(), p.err.String()
}

func goodTogether(t *testing.T, n int, args ...string) string {
	t.Helper()
	status, out, notes := together(t, n, args...)
	if status != success {
		t.Fatalf("%d ranks, %v: status %d, %s", n, args, status, notes)
	}
	return out
}

// ours returns the lines that clgrad wrote among those of mpirun.
func ours(notes string) (lines []string) {
	for line := range strings.Lines(notes) {
		if strings.HasPrefix(line, "clgrad: ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// pidOf returns the process of a rank that mpirun started.
func pidOf(t *testing.T, p *process, rank int) int {
	t.Helper()
	for range 400 {
		files, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, file := range files {
			env, _ := os.ReadFile(file)
			stat, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "stat"))
			_, rest, _ := strings.Cut(string(stat), ") ")
			if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(p.Process.Pid) &&
				bytes.Contains(env, fmt.Appendf(nil, "OMPI_COMM_WORLD_RANK=%d\x00", rank)) {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
				return pid
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no process of rank %d", rank)
	return 0
}

// Ranks are one process up to rounding, after 20 iterations over all rows and after 200 of
// Adam over batches. Twice are the same bits, and one rank has those of a process without MPI.
func TestRanks(t *testing.T) {
	data := images(t, 300, 60)
	names := backends(t)
	for _, backend := range append([]string{names[0]}, names[2:]...) {
		for _, c := range []struct {
			name string
			args []string
		}{
			{"full batch", []string{"--iterations", "20", "--log-every", "1"}},
			{"adam", []string{"--iterations", "200", "--log-every", "20", "--batch-size", "70", "--optimizer", "adam"}},
		} {
			t.Run(backend+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				args := append([]string{"train", "--data", data, "--layers", "12", "--backend", backend, "--json", "--out"}, c.args...)
				in := func(dir string) []string { return slices.Insert(slices.Clone(args), 9, dir) }
				one := filepath.Join(t.TempDir(), "run")
				want, sum := lines(t, good(t, in(one)...))
				for _, n := range []int{2, 4} {
					if testing.Short() && n > 2 {
						continue
					}
					dir := filepath.Join(t.TempDir(), "run")
					got, s := lines(t, goodTogether(t, n, in(dir)...))
					for i, w := range want {
						if a, b := float64(w.Loss), float64(got[i].Loss); math.Abs(a-b) > 1e-5*a {
							t.Errorf("%d ranks, iteration %d: loss %.9g where one process has %.9g", n, w.Iteration, b, a)
						}
					}
					if a, b := float64(sum.Loss), float64(s.Loss); math.Abs(a-b) > 1e-5*a || s.Ranks != n || s.TestAccuracy != sum.TestAccuracy {
						t.Errorf("%d ranks end with %+v, one process with %+v", n, s, sum)
					}
					if backend != "cpu" && n > 2 {
						continue
					}
					again := filepath.Join(t.TempDir(), "run")
					goodTogether(t, n, in(again)...)
					sameRun(t, fmt.Sprintf("%d ranks again", n), untimed(t, dir), again)
				}
				alone := filepath.Join(t.TempDir(), "run")
				goodTogether(t, 1, in(alone)...)
				sameRun(t, "one rank", untimed(t, one), alone)
			})
		}
	}
}

// longTogether is a run of ranks that takes some seconds, without its directory.
func longTogether(t *testing.T) []string {
	return []string{"train", "--data", write(t, "flowers.csv", flowers(1, 100)), "--label", "species", "--layers", "64,32", "--iterations", "4000", "--log-every", "50",
		"--batch-size", "50", "--optimizer", "adam", "--checkpoint-every", "100", "--backend", "cpu", "--out"}
}

// Ranks that train together are watched at rank 0, and their run has the bits of one that nobody
// watches.
func TestRankWatch(t *testing.T) {
	t.Parallel()
	args := longTogether(t)
	alone, watched := filepath.Join(t.TempDir(), "alone"), filepath.Join(t.TempDir(), "watched")
	goodTogether(t, 2, append(args, alone)...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.OK(t, err)
	address := l.Addr().String() // is free again in a moment
	l.Close()
	p := startWith(t, ranksOn(2), append(args, watched, "--watch="+address)...)
	events := ""
	p.until(func() bool {
		response, err := http.Get("http://" + address + "/v1/run/events")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body) // what is missing is found
		events = string(text)
		return true
	})
	if status := p.end(t); status != success {
		t.Fatalf("status %d: %s", status, p.err.String())
	}
	for _, part := range []string{`"phase":"finished"`, `"predictions":{"iteration":`, `"iteration":4000`} {
		if !strings.Contains(events, part) {
			t.Errorf("the events have no %s: %.2000s", part, events)
		}
	}
	if n := strings.Count(p.err.String(), "the run is shown at"); n != 1 {
		t.Errorf("%d ranks have an address: %s", n, p.err.String())
	}
	sameRun(t, "watched", untimed(t, alone), watched)
}

// A rank that is killed ends the run within seconds, and the message names the newest checkpoint
// and how to go on. Gone on with it has the bits of a run that was not killed; with another
// number of ranks it is refused.
func TestRankKilled(t *testing.T) {
	t.Parallel()
	args := longTogether(t)
	whole := filepath.Join(t.TempDir(), "whole")
	goodTogether(t, 2, append(args, whole)...)
	want := untimed(t, whole)
	for _, rank := range []int{1, 0} {
		run := filepath.Join(t.TempDir(), "run")
		p := startWith(t, ranksOn(2), append(args, run)...)
		pid := pidOf(t, p, rank)
		p.until(there(run, checkpoint.Folder, "0000000300.safetensors"))
		killed := time.Now()
		must.OK(t, syscall.Kill(pid, syscall.SIGKILL))
		status := p.end(t)
		notes := p.err.String()
		if took := time.Since(killed); status == success || took > 15*time.Second {
			t.Errorf("rank %d killed: status %d after %v, %s", rank, status, took, notes)
		}
		if !strings.Contains(notes, fmt.Sprintf("rank %d with PID", rank)) || !strings.Contains(notes, "signal 9") {
			t.Errorf("rank %d killed: mpirun says %s", rank, notes)
		}
		if hint := fmt.Sprintf("mpirun -n 2 clgrad train --resume %s goes on from there", run); rank > 0 &&
			(!strings.Contains(notes, hint) || !strings.Contains(notes, "no answer from the other ranks: one of them may have died") || !strings.Contains(notes, "is saved in "+run)) {
			t.Errorf("rank %d killed: %s", rank, notes)
		}
		n := kept(t, run)
		if rank > 0 { // another number of ranks has other bits
			const refused = "clgrad: --resume: the run began with 2 ranks where there are %d: start it with mpirun -n 2 (--new-plan goes on with other bits)"
			status, _, notes := together(t, 3, "train", "--resume", run)
			if status == success || !slices.Contains(ours(notes), fmt.Sprintf(refused, 3)) {
				t.Errorf("3 ranks: status %d, %s", status, notes)
			}
			if status, _, notes := clgrad(t, "train", "--resume", run); status != failure || !slices.Contains(ours(notes), fmt.Sprintf(refused, 1)) {
				t.Errorf("no ranks: status %d, %s", status, notes)
			}
		}
		if m := kept(t, run); m != n {
			t.Errorf("the newest checkpoint was of iteration %d, it is of %d", n, m)
		}
		goodTogether(t, 2, "train", "--resume", run)
		sameRun(t, fmt.Sprintf("rank %d killed", rank), want, run)
	}
	// A run of one process goes on in one.
	run := filepath.Join(t.TempDir(), "run")
	good(t, append(args, run)...)
	status, _, notes := together(t, 2, "train", "--resume", run, "--iterations", "4100")
	if refused := "the run began as one process, these are 2 ranks: it goes on in one"; status == success || !strings.Contains(notes, refused) {
		t.Errorf("status %d, %s", status, notes)
	}
	goodTogether(t, 2, "train", "--resume", run, "--iterations", "4100", "--new-plan")
	m, _, _, err := checkpoint.Newest(run)
	if err != nil || m.Run.Iterations != 4100 || m.Run.Plan.Ranks() != 2 || m.Run.Plan.Shards[1].Backend != "cpu" {
		t.Errorf("the new plan ends at %+v, %v", m.Run, err)
	}
}

// A signal to mpirun stops all ranks behind the same iteration, which is saved.
func TestRanksStopped(t *testing.T) {
	t.Parallel()
	args := longTogether(t)
	whole := filepath.Join(t.TempDir(), "whole")
	goodTogether(t, 2, append(args, whole)...)
	want := untimed(t, whole)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		run := filepath.Join(t.TempDir(), "run")
		p := startWith(t, ranksOn(2), append(args, run)...)
		p.until(there(run, checkpoint.Folder, "0000000200.safetensors"))
		p.Process.Signal(s)
		status := p.end(t)
		if hint := "mpirun -n 2 clgrad train --resume " + run + " goes on from there"; status == success || !strings.Contains(p.err.String(), hint) {
			t.Errorf("%v: status %d, %s", s, status, p.err.String())
		}
		if lines := ours(p.err.String()); lines[len(lines)-1] != "clgrad: stopped by SIGTERM" { // mpirun's signal
			t.Errorf("%v: %q", s, lines)
		}
		goodTogether(t, 2, "train", "--resume", run)
		sameRun(t, s.String(), want, run)
	}
}

// A full disk on rank 0 ends all ranks with what it says, and the checkpoints stand.
func TestRanksFullDisk(t *testing.T) {
	t.Parallel()
	dir, err := small(t, "400k")
	if err != nil {
		t.Skipf("a file system cannot be mounted here: %v", err)
	}
	args, run := longTogether(t), filepath.Join(dir, "run")
	args = slices.Insert(args, len(args)-1, "--keep-checkpoints", "1000")
	status, _, notes := together(t, 2, append(args, run)...)
	all := ours(notes)
	if last := all[len(all)-1]; status != failure || !strings.Contains(last, "no space left on device") || !strings.Contains(last, run) {
		t.Errorf("status %d, %s", status, notes)
	}
	if n := kept(t, run); n < 100 || n >= 4000 {
		t.Errorf("the newest checkpoint is of iteration %d", n)
	}
	must.OK(t, syscall.Mount("clgrad", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"))
	goodTogether(t, 2, "train", "--resume", run)
	whole := filepath.Join(t.TempDir(), "whole")
	goodTogether(t, 2, append(args, whole)...)
	sameRun(t, "after a full disk", untimed(t, whole), run)
}

// Ranks that do not fit together are told so at the start, in one line of rank 0.
func TestRanksDiffer(t *testing.T) {
	t.Parallel()
	data := write(t, "flowers.csv", flowers(1, 20))
	other := write(t, "flowers.csv", flowers(2, 20))
	program, err := exec.LookPath("clgrad")
	must.OK(t, err)
	built := filepath.Join(t.TempDir(), "clgrad-other")
	if text, err := exec.Command("go", "build", "-tags", "mpi", "-ldflags", "-X main.variant=other", "-o", built, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	args := []string{"train", "--data", data, "--label", "species", "--layers", "5", "--iterations", "3", "--backend", "cpu"}
	change := func(program, old, new string) []string {
		line := append([]string{program}, args...)
		for i := range line {
			if line[i] == old {
				line[i] = new
			}
		}
		return line
	}
	host, err := os.Hostname()
	must.OK(t, err)
	const same = "all flags but --backend have to be the same on all ranks"
	for _, c := range []struct {
		name   string
		second []string
		want   string
	}{
		{"data", change(program, data, other), fmt.Sprintf(`has --data "%s" where rank 0 has "%s": `+same, other, data)},
		{"flags", append(change(program, "", ""), "--lr", "0.25"), "has --lr 0.25 where rank 0 has 0.5: " + same},
		{"iterations", change(program, "3", "4"), "has --iterations 4 where rank 0 has 3: " + same},
		{"build", change(built, "", ""), "the same program is expected on all machines"},
		{"device", change(program, "cpu", "opencl:no such device"), `no such device`},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := filepath.Join(t.TempDir(), "run")
			first := append(slices.Clone(args), "--out", run)
			second := append(slices.Clone(c.second), "--out", run)
			status, _, notes := together(t, 1, slices.Concat(first, []string{":", "-n", "2"}, second)...)
			lines := ours(notes)
			if status != failure || len(lines) != 1 || !strings.HasPrefix(lines[0], "clgrad: rank 1 ("+host+")") || !strings.Contains(lines[0], c.want) {
				t.Errorf("status %d, %q\n%s", status, lines, notes)
			}
			if there(run)() {
				t.Error("there is a directory")
			}
		})
	}
	// Only rank 0 reads the data: the same name on another machine may be anything.
	t.Run("unread", func(t *testing.T) {
		here, elsewhere := filepath.Dir(data), t.TempDir()
		line := slices.Clone(args)
		line[2] = "flowers.csv"
		status, _, notes := together(t, 1, slices.Concat([]string{}, line, []string{":", "-n", "1", "--wdir", elsewhere, program}, line)...)
		if status == success || !strings.Contains(notes, "flowers.csv") { // nor is it here
			t.Errorf("status %d, %s", status, notes)
		}
		p := startWith(t, append(ranksOn(1), "--wdir", here), slices.Concat(line, []string{":", "-n", "1", "--wdir", elsewhere, program}, line)...)
		if status := p.end(t); status != success {
			t.Errorf("status %d, %s", status, p.err.String())
		}
	})
}

// Where a machine has several devices like the best one, each rank takes another.
func TestRanksDevices(t *testing.T) {
	if !slices.ContainsFunc(machines(t), func(m machine) bool { return m.env != nil }) {
		t.Skip("two PoCL devices are not there: PoCL is not the only OpenCL device")
	}
	t.Setenv("POCL_DEVICES", "basic basic")
	args := []string{"train", "--data", images(t, 60, 20), "--layers", "5", "--iterations", "3"}
	for _, backend := range []string{"opencl", "auto"} {
		p := startWith(t, ranksOn(3), append(args, "--backend", backend)...)
		if status := p.end(t); status != success {
			t.Fatalf("status %d, %s", status, p.err.String())
		}
		host, _ := os.Hostname()
		want := fmt.Sprintf("clgrad: 3 ranks: opencl:0.0 on %s (rank 0, 2); opencl:0.1 on %[1]s (rank 1)", host)
		if !slices.Contains(ours(p.err.String()), want) {
			t.Errorf("%s: %q, want %q", backend, ours(p.err.String()), want)
		}
	}
}

// What goes wrong in the middle ends all ranks, and rank 0 says it once.
func TestRanksFail(t *testing.T) {
	t.Parallel()
	data := write(t, "flowers.csv", flowers(1, 20))
	args := []string{"train", "--data", data, "--label", "species", "--layers", "5", "--iterations", "50", "--backend", "cpu"}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--lr", "1e30", "--init", "he", "--layers", "128"}, "loss, gradient or parameters are not finite"},
		{[]string{"--batch-size", "2"}, "batches of 2 rows: 3 to 60 are possible, a row for each device and as many as the data has"},
		{[]string{"--optimizer", "lbfgs"}, "--optimizer lbfgs: one process is expected, these are 3"},
		{[]string{"--data", "missing.csv"}, `data set "missing.csv" is neither a known name nor a file`},
	} {
		status, _, notes := together(t, 3, append(slices.Clone(args), c.args...)...)
		lines := slices.DeleteFunc(ours(notes), func(line string) bool {
			return strings.Contains(line, " ranks: ") || strings.Contains(line, "nothing is saved without --out")
		})
		if status != failure || len(lines) != 1 || !strings.Contains(lines[0], c.want) {
			t.Errorf("%v: status %d, %q\n%s", c.args, status, lines, notes)
		}
	}
}
