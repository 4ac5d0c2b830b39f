package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"clgrad/cmd/clgrad/measure"
)

// networks are what is compared, as their hidden layers.
var networks = []string{"128", "500,150", "10"}

// result is what both clgrad train --json and peer.py end with.
type result struct {
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
	command func(hidden string) *exec.Cmd
}

// iterationsTable writes the table of full-batch iterations. NumPy runs twice: as its BLAS
// chooses its kernels, and with OPENBLAS_CORETYPE=SkylakeX where the processor has AVX-512,
// because an OpenBLAS that does not know a processor falls back to slow ones.
func (o options) iterationsTable() error {
	peer := func(name string, environment ...string) func(string) *exec.Cmd {
		return func(hidden string) *exec.Cmd {
			c := exec.Command(o.python, o.peer, name, o.data, "784,"+hidden+",10", fmt.Sprint(o.iterations))
			c.Env = append(os.Environ(), environment...)
			return c
		}
	}
	ours := func(precision string) func(string) *exec.Cmd {
		return func(hidden string) *exec.Cmd {
			return exec.Command(o.clgrad, "train", "--layers", hidden, "--iterations", fmt.Sprint(2*o.iterations),
				"--backend", o.backend, "--precision", precision, "--json")
		}
	}
	engines := []engine{{name: "clgrad", command: ours("float32")}}
	if o.gpu {
		engines = append(engines,
			engine{name: "clgrad, bf16x3", command: ours("bf16x3")},
			engine{name: "clgrad, TF32", command: ours("tf32")},
			engine{name: "clgrad, bfloat16", command: ours("bf16")},
			engine{name: "PyTorch, CUDA", command: peer("torch-cuda")},
			engine{name: "PyTorch, CUDA, compiled", command: peer("torch-cuda-compile")},
			engine{name: "PyTorch, CUDA, TF32, compiled", command: peer("torch-cuda-tf32-compile")},
			engine{name: "CuPy, float32", command: peer("cupy")},
			engine{name: "CuPy, float64", command: peer("cupy-float64")})
	} else {
		engines = append(engines, engine{name: "NumPy", command: peer("numpy")})
		if wide() {
			engines = append(engines, engine{name: "OPENBLAS_CORETYPE=SkylakeX, NumPy", command: peer("numpy", "OPENBLAS_CORETYPE=SkylakeX")})
		}
		engines = append(engines, engine{name: "PyTorch", command: peer("torch")})
	}

	fmt.Println("| network | engine | seconds an iteration | clgrad is | peak memory |")
	fmt.Println("|---|---|---|---|---|")
	for _, hidden := range networks {
		times, memory := make([][]float64, len(engines)), make([]int64, len(engines))
		for range o.rounds {
			for i := range engines {
				if engines[i].out {
					continue
				}
				r, err := engines[i].measure(hidden)
				if err != nil && i == 0 {
					return err
				}
				if err != nil {
					note("%s is left out: %v", engines[i].name, err)
					engines[i].out = true
					continue
				}
				times[i] = append(times[i], r.Median)
				memory[i] = max(memory[i], r.PeakRSS)
				engines[i].version = r.Version
			}
		}
		for i, e := range engines {
			if e.out {
				continue
			}
			ratio := "" // of medians, both sides measured in the same turns
			if i > 0 {
				ratio = fmt.Sprintf("%.1f× as fast", measure.Median(times[i])/measure.Median(times[0]))
			}
			fmt.Printf("| 784-%s-10 | %s | %.3g | %s | %.0f MB |\n",
				strings.ReplaceAll(hidden, ",", "-"), strings.TrimSpace(e.name+" "+e.version), measure.Median(times[i]), ratio, float64(memory[i])/1e6)
		}
	}
	return nil
}

// measure runs an engine and returns the last line of its output.
func (e engine) measure(hidden string) (r result, err error) {
	c := e.command(hidden)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return r, fmt.Errorf("%s: %s: %w", e.name, c, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil || r.Median <= 0 {
		return r, fmt.Errorf("%s: no times in %q", e.name, lines[len(lines)-1])
	}
	return r, nil
}
