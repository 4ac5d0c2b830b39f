package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"clgrad/network/must"
)

// MESA=1 trains a little on the OpenCL drivers that OCL_ICD_VENDORS names, Mesa's
// Rusticl alone (make mesa-train), which must not end the process, and has to come
// to the loss of float64; eval and check must come to an end there too. Rusticl on
// llvmpipe computes some kernels wrong without a word, so that others have to take
// their place.
func TestMesa(t *testing.T) {
	if os.Getenv("MESA") != "1" {
		t.Skip("runs with MESA=1 (make mesa-train)")
	}
	run, layers := filepath.Join(t.TempDir(), "run"), "128"
	if testing.Short() {
		layers = "none" // this driver compiles slowly
	}
	loss := func(backend string, more ...string) float64 {
		_, s := lines(t, clgradProcess(t, append([]string{"train", "--samples", "256", "--iterations", "5", "--lr", "0.5", "--init", "normal", "--layers", layers, "--backend", backend, "--json"}, more...)...))
		if s.Backend != backend && s.Backend != backend+":0.0" {
			t.Fatalf("%s: computed on %s", backend, s.Backend)
		}
		return float64(s.Loss)
	}
	want, got := loss("cpu64"), loss("opencl", "--out", run)
	if math.Abs(got-want) > 1e-5 {
		t.Errorf("loss %.6f where float64 has %.6f", got, want)
	}
	var e evaluation
	must.OK(t, json.Unmarshal([]byte(clgradProcess(t, "eval", run, "--backend", "opencl", "--json")), &e))
	t.Logf("loss %.6f after training, %.6f in float64; eval has test accuracy %.4f", got, want, float64(e.TestAccuracy))
	clgradProcess(t, "check", "--quick", "--operation", "update", "--backend", "opencl")
}

// clgradProcess runs clgrad, which has to succeed, as a process of its own and
// returns its output.
func clgradProcess(t *testing.T, args ...string) string {
	t.Helper()
	var notes bytes.Buffer
	c := exec.CommandContext(t.Context(), "clgrad", args...)
	c.Stderr = &notes
	out, err := c.Output()
	if err != nil {
		t.Fatalf("clgrad %v: %v\n%s", args, err, notes.String())
	}
	return string(out)
}
