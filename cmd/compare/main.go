// Compare times clgrad against NumPy, PyTorch and scikit-learn on this machine, in turns, and
// writes tables in Markdown to standard output.
//
//	go run ./cmd/compare [-tables iterations,epochs,accuracy,start] [-clgrad bin/clgrad] [-python python3]
//	    [-data DIR] [-rounds 3] [-iterations 6] [-seeds 3] [-limit 60] [-gpu]
//
// The tables, each with its own meaning of a figure:
//
//	iterations  seconds a full-batch iteration: the median over the rounds of each round's
//	            median, the first iteration left out
//	epochs      seconds an epoch of mini-batches: the median over the rounds
//	accuracy    seconds of training to a test accuracy: the median over seeds; loading and
//	            taking the accuracy after each epoch are left out
//	start       the same from the start of the command to its end, all included
//
// With -gpu it is against PyTorch and CuPy on an NVIDIA GPU, in the first three tables. What
// cannot be run is left out and said so. README.md says how settings of the peers are chosen.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// options are the flags.
type options struct {
	clgrad, backend, python, peer, learner, data string
	tables                                       []string
	gpu                                          bool
	rounds, iterations, seeds                    int
	limit                                        float64
}

// tables are what -tables may name, in their order.
var tables = []string{"iterations", "epochs", "accuracy", "start"}

func main() {
	var o options
	flag.StringVar(&o.clgrad, "clgrad", "bin/clgrad", "the clgrad binary")
	flag.StringVar(&o.backend, "backend", "opencl", "its backend")
	flag.StringVar(&o.python, "python", "/usr/bin/python3", "a Python with NumPy, PyTorch and scikit-learn")
	flag.StringVar(&o.peer, "peer", filepath.Join("cmd", "compare", "peer.py"), "the peers' program for full batches")
	flag.StringVar(&o.learner, "learner", filepath.Join("cmd", "compare", "learner.py"), "the peers' program for mini-batches")
	flag.BoolVar(&o.gpu, "gpu", false, "against PyTorch and CuPy on a GPU")
	flag.StringVar(&o.data, "data", "", "directory with MNIST's gzip-compressed files (default: clgrad's cache)")
	names := flag.String("tables", "", "tables to make: "+strings.Join(tables, ",")+" (default: all, with -gpu all but start)")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of turns, of iterations and epochs")
	flag.IntVar(&o.iterations, "iterations", 6, "iterations a turn")
	flag.IntVar(&o.seeds, "seeds", 3, "runs to an accuracy, each with its own seed")
	flag.Float64Var(&o.limit, "limit", 60, "seconds of training after which a run to an accuracy ends")
	flag.Parse()
	o.tables = tables
	if o.gpu {
		o.tables = tables[:3]
	}
	if *names != "" {
		o.tables = strings.Split(*names, ",")
	}
	if err := o.run(); err != nil {
		fmt.Fprintf(os.Stderr, "compare: %v\n", err)
		os.Exit(1)
	}
}

// check reports flags out of their range.
func (o options) check() error {
	if o.rounds < 1 || o.rounds > 1000 || o.iterations < 2 || o.iterations > 1_000_000 {
		return fmt.Errorf("%d rounds of %d iterations: 1 to 1000 rounds of 2 to 1000000 are possible", o.rounds, o.iterations)
	}
	if o.seeds < 1 || o.seeds > 1000 || !(o.limit >= 1 && o.limit <= 3600) {
		return fmt.Errorf("%d seeds of %g seconds: 1 to 1000 seeds of 1 to 3600 seconds are possible", o.seeds, o.limit)
	}
	for _, name := range o.tables {
		if !slices.Contains(tables, name) {
			return fmt.Errorf("table %q is unknown: one of %s is expected", name, strings.Join(tables, ", "))
		}
		if o.gpu && name == "start" {
			return fmt.Errorf("table %q: on a GPU there are %s", name, strings.Join(tables[:3], ", "))
		}
	}
	return nil
}

func (o options) run() error {
	if err := o.check(); err != nil {
		return err
	}
	if o.data == "" {
		var err error
		if o.data, err = cached(o.clgrad); err != nil {
			return err
		}
	}
	s := newSession(o)
	defer s.peers.close()
	for _, table := range []struct {
		name string
		make func() error
	}{{"iterations", s.iterationsTable}, {"epochs", s.epochsTable}, {"accuracy", s.accuracyTable}, {"start", s.startTable}} {
		if slices.Contains(o.tables, table.name) {
			if err := table.make(); err != nil {
				return err
			}
			fmt.Println()
		}
	}
	return nil
}

// note writes a line on what is going on.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, "compare: "+format+"\n", args...) }

// cached returns the directory in which clgrad keeps MNIST, after fetching it.
func cached(clgrad string) (string, error) {
	c := exec.Command(clgrad, "data", "fetch", "mnist", "--json")
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", c, err)
	}
	var s struct {
		Dir string `json:"dir"`
	}
	return s.Dir, json.Unmarshal(out, &s)
}

// wide reports whether the processor has AVX-512.
func wide() bool {
	text, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && strings.Contains(string(text), "avx512f")
}
