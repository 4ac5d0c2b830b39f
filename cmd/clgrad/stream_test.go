//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// largeSet writes raw IDX files of images that are enough to be streamed, in batches of 8000 rows in
// more parts than the device holds, and returns their directory.
func largeSet(t *testing.T) string {
	t.Helper()
	const rows, features = 450, 28 * 28
	s := network.Samples{Rows: rows, Features: features, Bytes: make([]byte, rows*features), Labels: make([]int32, rows)}
	for i := range rows {
		s.Labels[i] = int32(i % 3)
		for j := range 200 { // each class has pixels of its own
			s.Bytes[i*features+(i%3)*200+j] = byte(40 + (i*j)%200)
		}
	}
	dir := filepath.Join(t.TempDir(), "large")
	set := dataset.Set{Name: "large", Train: s, Test: s.Slice(0, 30), Classes: 3, Shape: []int{28, 28}}
	must.OK(t, set.Enlarge(t.Context(), dir, 100, 1))
	return dir
}

// finalModel returns the model of a finished run.
func finalModel(t *testing.T, run string) checkpoint.Model {
	t.Helper()
	m, err := checkpoint.Load(filepath.Join(run, checkpoint.FileName))
	must.OK(t, err)
	return m
}

// blocks returns the files of streamed input in a cache directory.
func blocks(t *testing.T, cache string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(cache, "clgrad", "blocks", "*"))
	must.OK(t, err)
	return files
}

// A run whose training set is streamed ends with the numbers of one whose is held; so does one
// that was stopped and gone on with, and what was made of the set once is used again. A set that is cut
// short while it is in use, what was made of it too, and a full disk end a run in one line that names the
// file.
func TestStreamedRun(t *testing.T) {
	for _, backend := range backends(t) {
		if backend == "cpu64" {
			continue
		}
		t.Run(backend, func(t *testing.T) {
			data, cache, root := largeSet(t), t.TempDir(), t.TempDir()
			t.Setenv("XDG_CACHE_HOME", cache)
			args := func(name string, more ...string) []string {
				return append([]string{"train", "--data", data, "--backend", backend, "--layers", "10", "--lr", "0.01", "--batch-size", "8000", "--checkpoint-every", "1",
					"--out", filepath.Join(root, name)}, more...)
			}
			good(t, args("held", "--input", "resident", "--iterations", "12")...)
			good(t, args("streamed", "--input", "stream", "--iterations", "12")...)
			held, streamed := finalModel(t, filepath.Join(root, "held")), finalModel(t, filepath.Join(root, "streamed"))
			if !slices.Equal(held.Parameters, streamed.Parameters) {
				t.Error("streamed, the run ends with other parameters")
			}
			if held.Run.Plan.Shards[0].Input != "" || streamed.Run.Plan.Shards[0].Input != network.StreamedInput {
				t.Errorf("the plans have the inputs %q and %q", held.Run.Plan.Shards[0].Input, streamed.Run.Plan.Shards[0].Input)
			}
			made := blocks(t, cache)
			if backend != "cpu" && len(made) != 1 {
				t.Fatalf("the cache has %v, one file is expected", made)
			}
			if status, notes := interrupted(t, 20, args("stopped", "--input", "stream", "--iterations", "12")...); status != signalled+2 {
				t.Fatalf("status %d, %s", status, notes)
			}
			good(t, "train", "--resume", filepath.Join(root, "stopped"))
			if m := finalModel(t, filepath.Join(root, "stopped")); !slices.Equal(m.Parameters, streamed.Parameters) {
				t.Error("gone on with, the run ends with other parameters")
			}
			if now := blocks(t, cache); !slices.Equal(now, made) {
				t.Errorf("the cache has %v, %v before", now, made)
			}

			victim := filepath.Join(data, "train-images-idx3-ubyte")
			if backend != "cpu" {
				victim = made[0]
			}
			p := start(t, args("cut", "--input", "stream", "--iterations", "100000")...)
			p.until(there(root, "cut", checkpoint.Folder, "*2.safetensors"))
			content, err := os.ReadFile(victim)
			must.OK(t, err)
			must.OK(t, os.Truncate(victim, 4096))
			status, notes := p.end(t), p.err.String()
			if status != failure || !strings.Contains(notes, victim+": ") || !strings.Contains(notes, "--resume") {
				t.Errorf("status %d, %s", status, notes)
			}
			must.Write(t, content, victim)
			if backend == "cpu" {
				return
			}
			// What was cut short is made again.
			must.OK(t, os.Truncate(victim, 4096))
			good(t, args("again", "--input", "stream", "--iterations", "12")...)
			if m := finalModel(t, filepath.Join(root, "again")); !slices.Equal(m.Parameters, streamed.Parameters) {
				t.Error("with the file made again, the run ends with other parameters")
			}
			must.OK(t, os.Remove(victim))
			full := startWith(t, []string{"sh", "-c", `ulimit -f 4000; exec "$@"`, "sh"}, args("full", "--input", "stream", "--iterations", "12")...)
			status, notes = full.end(t), full.err.String()
			if status != failure || !strings.Contains(notes, filepath.Join(cache, "clgrad", "blocks")) || !strings.Contains(notes, "file too large") || !strings.Contains(notes, "--input resident does without") {
				t.Errorf("status %d, %s", status, notes)
			}
			if left := blocks(t, cache); len(left) > 0 {
				t.Errorf("a full disk leaves %v", left)
			}
		})
	}
}
