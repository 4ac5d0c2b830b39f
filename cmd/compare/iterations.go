package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	"clgrad/cmd/clgrad/measure"
	"clgrad/network"
)

// iterations is what both clgrad train --json and peer.py end with.
type iterations struct {
	Median  float64 `json:"median_iteration_seconds"`
	PeakRSS int64   `json:"peak_rss_bytes"`
	Device  string  `json:"device"`
	Version string  `json:"version"`
}

// An engine is one way to do the work.
type engine struct {
	name    string
	version string // once it has run
	out     bool   // it could not be run
	measure func(layers []int) (iterations, error)
}

// iterationsTable writes the table of full-batch iterations. NumPy runs twice: as its BLAS
// chooses its kernels, and with OPENBLAS_CORETYPE=SkylakeX where the processor has AVX-512,
// because an OpenBLAS that does not know a processor falls back to slow ones.
//
// On a CPU every measurement is a process of its own, so that its peak memory is that of
// one network. On a GPU, where starting and compiling take most of the time, the peers have
// a process each, and the rate is in the table in place of the host's memory.
func (s *session) iterationsTable() error {
	peer := func(name, engineName string, environment ...string) engine {
		if s.gpu {
			s.peers.get(s.peer, engineName, environment) // an error comes back when it is asked
		}
		return engine{name: name, measure: s.peerIterations(engineName, environment)}
	}
	ours := func(name, precision string) engine {
		return engine{name: name, measure: func(layers []int) (iterations, error) {
			out, _, err := output(exec.Command(s.clgrad, "train", "--layers", hidden(layers), "--iterations", fmt.Sprint(2*s.iterations),
				"--backend", s.backend, "--precision", precision, "--json"))
			lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
			var r iterations
			if err == nil {
				err = json.Unmarshal(lines[len(lines)-1], &r)
			}
			return r, err
		}}
	}
	engines := []engine{ours("clgrad", "float32")}
	networks, last := [][]int{{784, 128, 10}, {784, 500, 150, 10}, {784, 10, 10}}, "peak memory"
	if s.gpu {
		networks[2], last = []int{784, 2048, 2048, 10}, "TFLOP/s"
		engines = append(engines, ours("clgrad, bf16x3", "bf16x3"), ours("clgrad, TF32", "tf32"), ours("clgrad, bfloat16", "bf16"),
			peer("eager PyTorch", "torch-cuda"), peer("compiled PyTorch", "torch-cuda-compile"),
			peer("compiled TF32 PyTorch", "torch-cuda-tf32-compile"), peer("float32 CuPy", "cupy"), peer("float64 CuPy", "cupy-float64"))
	} else {
		engines = append(engines, peer("NumPy", "numpy"))
		if wide() {
			engines = append(engines, peer("OPENBLAS_CORETYPE=SkylakeX, NumPy", "numpy", skylake))
		}
		engines = append(engines, peer("PyTorch", "torch"))
	}

	fmt.Printf("| network | engine | seconds an iteration | clgrad is | %s |\n", last)
	fmt.Println("|---|---|---|---|---|")
	for _, layers := range networks {
		operations, err := flops(layers)
		if err != nil {
			return err
		}
		times, memory := make([][]float64, len(engines)), make([]int64, len(engines))
		for range s.rounds {
			for i := range engines {
				e := &engines[i]
				if e.out {
					continue
				}
				r, err := e.measure(layers)
				if err == nil && r.Median <= 0 {
					err = fmt.Errorf("%g seconds an iteration", r.Median)
				}
				if err != nil {
					err = fmt.Errorf("%s: %w", e.name, err)
					if i == 0 {
						return err
					}
					note("left out: %v", err)
					e.out = true
					continue
				}
				times[i], memory[i], e.version = append(times[i], r.Median), max(memory[i], r.PeakRSS), r.Version
			}
		}
		for i, e := range engines {
			if e.out {
				continue
			}
			median, ratio := measure.Median(times[i]), "" // of medians, both sides measured in the same turns
			if i > 0 {
				ratio = fmt.Sprintf("%.1f× as fast", median/measure.Median(times[0]))
			}
			last := fmt.Sprintf("%.0f MB", float64(memory[i])/1e6)
			if s.gpu {
				last = fmt.Sprintf("%.3g", operations/median/1e12)
			}
			fmt.Printf("| %s | %s | %.3g | %s | %s |\n", join(layers, "-"), strings.TrimSpace(e.name+" "+e.version), median, ratio, last)
		}
	}
	return nil
}

// peerIterations returns what asks an engine of peer.py.
func (s *session) peerIterations(name string, environment []string) func([]int) (iterations, error) {
	return func(layers []int) (r iterations, err error) {
		request := map[string]any{"layers": layers, "iterations": s.iterations, "window": 1}
		if s.gpu {
			request["window"] = max(1, s.iterations/5) // clgrad does not wait behind each iteration either
			err = s.peers.ask(s.peer, name, environment, request, &r)
		} else {
			_, err = s.peers.askOnce(s.peer, name, environment, request, &r)
		}
		return r, err
	}
}

// flops returns the operations of the matrix products of an iteration over MNIST, two for
// each multiply-add.
func flops(layers []int) (sum float64, err error) {
	layout, err := network.NewLayout(layers)
	if err != nil {
		return 0, err
	}
	for _, w := range layout.Work(60000, 4) {
		sum += w.Flops
	}
	return sum, nil
}
