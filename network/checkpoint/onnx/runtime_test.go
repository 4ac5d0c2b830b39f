package onnx_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"clgrad/network/must"
)

// ONNX Runtime, as a WebAssembly module under node, computes the model's logits and
// probabilities of a file, also for another number of rows. ONNXRUNTIME is the folder with
// node_modules/onnxruntime-web in it (make onnx); with REQUIRE_ONNX=1 it has to be there.
func TestRuntime(t *testing.T) {
	skip := t.Skipf
	if os.Getenv("REQUIRE_ONNX") == "1" {
		skip = t.Fatalf
	}
	folder := os.Getenv("ONNXRUNTIME")
	if folder == "" {
		folder = filepath.Join("..", "..", "..", ".build", "onnx")
	}
	folder, err := filepath.Abs(folder)
	must.OK(t, err)
	module := filepath.Join(folder, "node_modules", "onnxruntime-web")
	if _, err := os.Stat(module); err != nil {
		skip("no ONNX Runtime in %s (make onnx)", module)
	}
	if _, err := exec.LookPath("node"); err != nil {
		skip("no node for ONNX Runtime (make onnx)")
	}

	type job struct {
		File    string    `json:"file"`
		Columns int       `json:"columns"`
		Raw     []float32 `json:"raw"`
	}
	all := fixtures(t)
	var jobs []job
	for i, f := range all {
		name := filepath.Join(t.TempDir(), fmt.Sprintf("%d.onnx", i))
		must.Write(t, written(t, f.model), name)
		jobs = append(jobs, job{name, f.model.Sizes[0], f.raw})
	}
	request, err := json.Marshal(jobs)
	must.OK(t, err)
	c := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "run.cjs"), module)
	var notes bytes.Buffer
	c.Stdin, c.Stderr = bytes.NewReader(request), &notes
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, notes.String())
	}
	var results []struct {
		Outputs                    []string
		Logits, Probabilities, One []float64
	}
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(results) != len(all) {
		t.Fatalf("%d results of %d files", len(results), len(all))
	}
	for i, f := range all {
		r := results[i]
		compare(t, f, r.Logits, r.Probabilities)
		if got := fmt.Sprint(r.Outputs); got != "[probabilities logits]" {
			t.Errorf("%s: outputs %s", f.name, got)
		}
		for j, v := range r.One {
			if d := v - r.Logits[j]; d > 1e-4 || d < -1e-4 {
				t.Errorf("%s: of the first row alone logit %d is %v, of all rows %v", f.name, j, v, r.Logits[j])
			}
		}
	}
}
