//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// A process is clgrad as a process of its own.
type process struct {
	*exec.Cmd
	out, err bytes.Buffer
	ended    chan struct{}
}

// startWith starts clgrad behind a prefix of another command line.
func startWith(t *testing.T, prefix []string, args ...string) *process {
	t.Helper()
	program, err := exec.LookPath("clgrad") // which TestMain has made
	must.OK(t, err)
	line := append(append(slices.Clone(prefix), program), args...)
	p := &process{Cmd: exec.Command(line[0], line[1:]...), ended: make(chan struct{})}
	p.Stdout, p.Stderr = &p.out, &p.err
	must.OK(t, p.Start())
	go func() {
		p.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.ended
	})
	return p
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startWith(t, nil, args...)
}

// end waits for the process and returns its status, −1 where a signal ended it.
func (p *process) end(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		t.Fatalf("%v does not end\n%s", p.Args, p.err.String())
	}
	if text := p.err.String(); strings.Contains(text, "panic") || strings.Contains(text, "goroutine") {
		t.Errorf("%v: %s", p.Args, text)
	}
	return p.ProcessState.ExitCode()
}

// until waits until there is something, or the process has ended.
func (p *process) until(is func() bool) {
	for !is() {
		select {
		case <-p.ended:
			return
		case <-time.After(500 * time.Microsecond):
		}
	}
}

// The phases of a run that a kill can hit, as its directory tells them.
var phases = []string{
	"before the configuration", "before the first checkpoint", "writing a checkpoint", "between checkpoints",
	"after the last iteration", "writing the model", "after the end",
}

// phase returns the phase that a directory was left in. A finished run that is given more iterations keeps
// its model while it goes on.
func phase(dir string) string {
	seen, begun := inspect(dir)
	checkpoints := func(name string) bool { return there(dir, checkpoint.Folder, name)() }
	switch {
	case !begun || seen.Recipe == nil:
		return phases[0]
	case seen.State == finished:
		return phases[6]
	case there(dir, "."+checkpoint.FileName+"*")():
		return phases[5]
	case checkpoints(fmt.Sprintf("%010d.safetensors", seen.Recipe.Iterations)):
		return phases[4]
	case checkpoints(".*"):
		return phases[2]
	case checkpoints("*.safetensors"):
		return phases[3]
	}
	return phases[1]
}

// Killed at any instant, and again while it goes on, a run loses no checkpoint
// and ends with the bits of one that was not. KILLS says how many kills, on each
// backend; make kills prints the table.
func TestKills(t *testing.T) {
	kills := 4
	if testing.Short() {
		kills = 2
	}
	if text := os.Getenv("KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatalf("KILLS=%s: a number is expected", text)
		}
	}
	names := backends(t)
	names = append(names[:1:1], names[2:]...) // cpu64 differs in its numbers alone
	for i, backend := range names {
		if i > 0 && os.Getenv("KILLS") == "" {
			kills = 1 // a device takes its time to start
		}
		t.Run(backend, func(t *testing.T) {
			killed(t, backend, kills, 240, "--data", write(t, "flowers.csv", flowers(1, 30)), "--log-every", "4")
		})
		t.Run(backend+"/adam", func(t *testing.T) {
			killed(t, backend, kills, 120, "--data", write(t, "flowers.csv", noisyFlowers(200)), "--batch-size", "100", "--optimizer", "adam", "--lr", "0.02",
				"--schedule", "cosine", "--schedule-steps", "240", "--early-stopping", "--patience", "8")
		})
		t.Run(backend+"/lbfgs", func(t *testing.T) {
			killed(t, backend, kills, 120, "--data", write(t, "flowers.csv", noisyFlowers(200)), "--optimizer", "lbfgs", "--weight-decay", "1e-4")
		})
	}
}

// killed does so with runs that begin as ones of so many iterations, and are given more on
// the way where these are fewer than all.
func killed(t *testing.T, backend string, kills, begin int, more ...string) {
	const iterations = 240
	random := rand.New(rand.NewPCG(1, 2))
	all := []string{"--iterations", strconv.Itoa(iterations)}
	args := slices.Concat([]string{"train", "--label", "species", "--validation", "0.2", "--layers", "16,8", "--checkpoint-every", "3", "--backend", backend}, more)
	whole := filepath.Join(t.TempDir(), "whole")
	began := time.Now()
	if p := start(t, slices.Concat(args, all, []string{"--out", whole})...); p.end(t) != success {
		t.Fatal(p.err.String())
	}
	length := time.Since(began)
	want := untimed(t, whole)

	hits := map[string]int{}
	done, resumes, runs := 0, 0, 0
	for done < kills {
		run := filepath.Join(t.TempDir(), "run")
		last := -1
		for finished := false; !finished; {
			line, asked := slices.Concat(args, []string{"--iterations", strconv.Itoa(begin), "--out", run}), begin
			if there(run, recipe.FileName)() {
				line = []string{"train", "--resume", run}
				resumes++
				if begin < iterations && random.IntN(2) > 0 {
					line, asked = append(line, all...), iterations
				}
			}
			p := start(t, line...)
			if done < kills && random.IntN(4) > 0 {
				// At any time, or soon after something has come to be.
				switch random.IntN(10) {
				case 0:
					p.until(there(run, recipe.FileName))
				case 1:
					p.until(there(run, checkpoint.Folder, ".*"))
				case 2:
					p.until(there(run, checkpoint.Folder, fmt.Sprintf("%010d.safetensors", 3*(1+random.IntN(iterations/3)))))
				case 3:
					p.until(there(run, report.PicturesDir))
				case 4:
					p.until(there(run, "."+checkpoint.FileName+"*"))
				default:
					time.Sleep(time.Duration(random.Int64N(int64(length))))
				}
				if random.IntN(2) > 0 {
					time.Sleep(time.Duration(random.Int64N(int64(3 * time.Millisecond))))
				}
				p.Process.Kill()
			}
			switch status := p.end(t); {
			case status == success:
				finished = asked == iterations || strings.Contains(fileText(run, recipe.FileName), fmt.Sprintf(`"iterations": %d,`, iterations))
				continue
			case status != -1:
				t.Fatalf("%v: status %d, %s", p.Args, status, p.err.String())
			}
			done++
			hits[phase(run)]++
			files, err := filepath.Glob(filepath.Join(run, checkpoint.Folder, "*.safetensors"))
			must.OK(t, err)
			for _, file := range append(files, filepath.Join(run, checkpoint.FileName)) {
				if _, err := checkpoint.Load(file); err != nil && there(file)() {
					t.Errorf("after a kill: %v", err)
				}
			}
			m, _, damaged, err := checkpoint.Newest(run)
			if err != nil && !errors.Is(err, checkpoint.ErrNone) || damaged != nil {
				t.Errorf("after a kill: %v, %v", damaged, err)
			}
			if err == nil {
				if m.Run.Iterations < last {
					t.Errorf("a checkpoint of iteration %d was there, now it is %d", last, m.Run.Iterations)
				}
				last = m.Run.Iterations
			} else if last >= 0 {
				t.Errorf("a checkpoint of iteration %d was there, now there is none", last)
			}
		}
		runs++
		sameRun(t, fmt.Sprintf("%s, run %d", backend, runs), want, run)
		if !there(run, report.FileName)() || there(run, ".*")() || there(run, "*", ".*")() {
			t.Errorf("run %d has no report, or something half written", runs)
		}
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s\tkills\t\n", backend)
	for _, name := range phases {
		fmt.Fprintf(w, "%s\t%d\t\n", name, hits[name])
	}
	fmt.Fprintf(w, "together\t%d\t\n", done)
	w.Flush()
	equal := "all equal to the run that was not killed"
	if t.Failed() {
		equal = "NOT all equal to the run that was not killed"
	}
	t.Logf("\n%s%d runs, gone on with %d times, %s", table.String(), runs, resumes, equal)
}

// The first signal ends a run at the end of an iteration with its checkpoint and
// says how to go on; meanwhile nobody else can. The run gone on with is the whole
// one.
func TestSignalledProcess(t *testing.T) {
	defer func(old time.Duration) { lockPatience = old }(lockPatience)
	lockPatience = 0
	// A signal that this process catches has its default in a process that it starts, even
	// where the test runs under nohup.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP, syscall.SIGINT)
	defer signal.Stop(caught)
	data := write(t, "flowers.csv", flowers(1, 300))
	args := []string{"train", "--data", data, "--label", "species", "--layers", "50", "--iterations", "400", "--log-every", "10", "--backend", "cpu", "--out"}
	whole := filepath.Join(t.TempDir(), "whole")
	good(t, append(args, whole)...)
	run := filepath.Join(t.TempDir(), "run")
	line := append(args, run)
	for _, s := range []struct {
		signal os.Signal
		status int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}, {syscall.SIGHUP, 129}, {syscall.SIGQUIT, 131}} {
		if testing.Short() && s.status > 130 {
			continue
		}
		before := strings.Count(fileText(run, metricsTable), "\n")
		p := start(t, line...)
		p.until(func() bool { return strings.Count(fileText(run, metricsTable), "\n") > max(1, before) })
		says(t, failure, run+": another process is at work there", "train", "--resume", run)
		p.Process.Signal(s.signal)
		if status := p.end(t); status != s.status || !strings.Contains(p.err.String(), "clgrad train --resume "+run+" goes on from there") {
			t.Errorf("%v: status %d, %s", s.signal, status, p.err.String())
		}
		line = []string{"train", "--resume", run}
	}
	good(t, line...)
	sameRun(t, "after four signals", untimed(t, whole), run)
}

// A second signal ends a run at once, in the middle of an iteration.
func TestSecondSignal(t *testing.T) {
	var rows strings.Builder
	rows.WriteString("a,b,label\n")
	for i := range 60000 {
		fmt.Fprintf(&rows, "%d,%d,%d\n", i%7, i%11, i%2)
	}
	run := filepath.Join(t.TempDir(), "run")
	p := start(t, "train", "--data", write(t, "table.csv", rows.String()), "--layers", "700,700", "--backend", "cpu", "--iterations", "1000", "--out", run)
	p.until(there(run, checkpoint.Folder, "*.safetensors"))
	time.Sleep(100 * time.Millisecond)
	p.Process.Signal(syscall.SIGINT)
	for again := true; again; { // two that come too close are one
		select {
		case <-p.ended:
			again = false
		case <-time.After(100 * time.Millisecond):
			p.Process.Signal(syscall.SIGINT)
		}
	}
	if p.end(t); p.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("%v, %s", p.ProcessState, p.err.String())
	}
	if m, _, _, err := checkpoint.LoadRun(run); err != nil || m.Run.Iterations != 0 {
		t.Errorf("%+v, %v", m.Run, err)
	}
}

// SIGHUP and SIGINT do not end a run where the parent ignores them, as nohup and shells
// do for work in the background.
func TestIgnoredSignals(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	p := startWith(t, []string{"sh", "-c", `trap "" HUP INT; exec "$@"`, "sh"}, "train", "--data", write(t, "flowers.csv", flowers(1, 300)),
		"--label", "species", "--layers", "50", "--iterations", "1000", "--log-every", "1", "--backend", "cpu", "--out", run)
	p.until(func() bool { return strings.Count(fileText(run, metricsTable), "\n") > 1 })
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if err := p.Process.Signal(s); err != nil {
			t.Errorf("%v met no process: %v", s, err)
		}
	}
	if n := strings.Count(fileText(run, metricsTable), "\n"); n > 1000 {
		t.Errorf("the signals came when %d lines had been written: nothing is tested", n)
	}
	if status := p.end(t); status != success {
		t.Errorf("status %d, %s", status, p.err.String())
	}
}

// A reader that has seen enough ends a command without a word, or is not there at all. A run that
// has a directory saves what it came to first.
func TestReaderGone(t *testing.T) {
	data, run := write(t, "flowers.csv", flowers(1, 10000)), filepath.Join(t.TempDir(), "run")
	train := []string{"train", "--data", data, "--label", "species", "--backend", "cpu", "--layers", "none", "--log-every", "1"}
	good(t, append(train, "--iterations", "1", "--out", run)...)
	other := filepath.Join(t.TempDir(), "other")
	program, err := exec.LookPath("clgrad")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		read int // bytes
		args []string
	}{
		{0, nil},
		{0, []string{"--help"}},
		{0, []string{"tune", "--help"}},
		{0, []string{"help", "data", "fetch"}},
		{0, []string{"--version"}},
		{0, []string{"completion", "zsh"}},
		{0, []string{"data", "list"}},
		{0, []string{"data", "list", "--json"}},
		{0, []string{"recipes"}},
		{0, []string{"runs", filepath.Dir(run)}},
		{0, []string{"runs", filepath.Dir(run), "--json"}},
		{0, []string{"runs", "diff", run, run}},
		{0, []string{"eval", run, "--backend", "cpu"}},
		{0, append(train, "--iterations", "2")},
		{0, append(train, "--iterations", "2", "--json")},
		{10, []string{"predict", run, "--data", data, "--backend", "cpu"}},
		{10, []string{"predict", run, "--data", data, "--backend", "cpu", "--json"}},
		{10, append(train, "--iterations", "2000")},
		{10, append(train, "--iterations", "2000", "--out", other)},
	} {
		var notes bytes.Buffer
		in, out, err := os.Pipe()
		must.OK(t, err)
		p := exec.Command(program, c.args...)
		p.Stdout, p.Stderr = out, &notes
		if c.read == 0 {
			must.OK(t, in.Close())
		}
		must.OK(t, p.Start())
		must.OK(t, out.Close())
		if c.read > 0 {
			in.Read(make([]byte, c.read))
			must.OK(t, in.Close())
		}
		p.Wait()
		if status := p.ProcessState.ExitCode(); status != 141 || notes.Len() > 0 {
			t.Errorf("%v: status %d, %s", c.args, status, notes.String())
		}
	}
	if m, _, _, err := checkpoint.LoadRun(other); err != nil || m.Run.Iterations < 1 {
		t.Errorf("%+v, %v", m.Run, err)
	}
	if page := fileText(other, "report.html"); !strings.Contains(page, "Interrupted at iteration") || strings.Contains(page, "pipe") {
		t.Error("the report does not say that the run was interrupted")
	}
}

// The peak of the memory that a run says is that of the process: its report loads
// nothing a second time.
func TestPeakMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has memory of its own")
	}
	p := start(t, "train", "--data", images(t, 20000, 100), "--layers", "none", "--iterations", "2", "--backend", "cpu64", "--json", "--out", filepath.Join(t.TempDir(), "run"))
	if status := p.end(t); status != success {
		t.Fatalf("status %d, %s", status, p.err.String())
	}
	_, s := lines(t, p.out.String())
	peak := p.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	if runtime.GOOS != "darwin" {
		peak <<= 10
	}
	if said := s.PeakRSS; peak > said+said/20 || said < 8*20000*784 {
		t.Errorf("the run says %d bytes, the process had %d", said, peak)
	}
}
