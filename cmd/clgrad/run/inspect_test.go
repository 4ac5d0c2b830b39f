package run

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// directoryOf makes the directory of a run with a configuration and lines.
func directoryOf(t *testing.T, config, lines string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{recipe.FileName: config, LinesFile: lines, IterationsFile: iterationsHeader + "\n"} {
		must.Write(t, text, dir, name)
	}
	return dir
}

// modelOf returns a network that was trained for some iterations on 10 rows in batches.
func modelOf(t *testing.T, iterations, batch int) checkpoint.Model {
	t.Helper()
	l, err := network.NewLayout([]int{2, 3, 2})
	must.OK(t, err)
	return checkpoint.Model{Sizes: l.Sizes, Parameters: make([]float64, l.Len), Precision: checkpoint.F32, Run: &checkpoint.Run{
		Iterations: iterations, Data: "flowers", Digest: "d1", Plan: &network.Plan{Sizes: l.Sizes, Rows: 10, BatchRows: batch,
			Shards: []network.ShardPlan{{Backend: "cpu", Device: "a device", Rows: batch}}},
	}}
}

const summaryLine = `{"summary":true,"iterations":4,"loss":0.5,"train_accuracy":0.75,"validation_loss":null,"validation_accuracy":null,"test_loss":0.25,"test_accuracy":0.875,"seconds":2}` + "\n"

// A listing tells runs by their files alone: finished, interrupted at its last checkpoint, given more iterations, locked.
func TestInspectState(t *testing.T) {
	lines := `{"iteration":2,"loss":1.5,"train_accuracy":0.5,"test_loss":1,"test_accuracy":0.25,"seconds":1}` + "\n" +
		`{"iteration":4,"loss":0.5,"train_accuracy":0.75,"seconds":2}` + "\n"
	for _, c := range []struct {
		name   string
		config string
		change func(dir string) error
		state  State
		done   int
		damage string
	}{
		{"begun", `{"version":1,"iterations":4}`, func(dir string) error { return os.Remove(filepath.Join(dir, LinesFile)) }, Interrupted, 0, ""},
		{"killed before a checkpoint", `{"version":1,"iterations":9}`, func(string) error { return nil }, Interrupted, 4, ""},
		{"a checkpoint", `{"version":1,"iterations":9}`, func(dir string) error {
			_, err := checkpoint.SaveNumbered(dir, modelOf(t, 6, 10), 3)
			return err
		}, Interrupted, 6, ""},
		{"finished", `{"version":1,"iterations":4}`, func(dir string) error {
			return checkpoint.Save(filepath.Join(dir, checkpoint.FileName), modelOf(t, 4, 10))
		}, Finished, 4, ""},
		{"finished epochs", `{"version":1,"epochs":2,"batch_size":5}`, func(dir string) error {
			return checkpoint.Save(filepath.Join(dir, checkpoint.FileName), modelOf(t, 4, 5))
		}, Finished, 4, ""},
		{"given more", `{"version":1,"iterations":9}`, func(dir string) error {
			return checkpoint.Save(filepath.Join(dir, checkpoint.FileName), modelOf(t, 4, 10))
		}, Interrupted, 4, ""},
		{"a plan that no run has", `{"version":1,"epochs":9,"batch_size":5}`, func(dir string) error {
			m := modelOf(t, 4, 5)
			m.Run.Plan.Rows, m.Run.Plan.BatchRows = math.MaxInt, math.MaxInt
			return checkpoint.Save(filepath.Join(dir, checkpoint.FileName), m)
		}, Interrupted, 4, ""},
		{"model cut short", `{"version":1,"iterations":4}`, func(dir string) error {
			file := filepath.Join(dir, checkpoint.FileName)
			if err := checkpoint.Save(file, modelOf(t, 4, 10)); err != nil {
				return err
			}
			return os.Truncate(file, 200)
		}, Damaged, 4, checkpoint.FileName + ": announces a header"},
		{"configuration", `{"version":1,"iterations":"x"}`, func(string) error { return nil }, Damaged, 4, recipe.FileName + ":1:27: "},
		{"no configuration", "", func(dir string) error { return os.Remove(filepath.Join(dir, recipe.FileName)) }, Damaged, 4, recipe.FileName + ": not found"},
		{"a line", `{"version":1,"iterations":9}`, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, LinesFile), []byte(lines+"{\"iteration\":\n"), 0o666)
		}, Damaged, 0, LinesFile + ": line 3: "},
	} {
		dir := directoryOf(t, c.config, lines)
		must.OK(t, c.change(dir))
		i, ok := Inspect(dir)
		if !ok || i.State != c.state || i.Done() != c.done {
			t.Errorf("%s: %v, %s after %d iterations, want %s after %d (%v)", c.name, ok, i.State, i.Done(), c.state, c.done, i.Damage)
		}
		if (i.Damage != nil) != (c.damage != "") || i.Damage != nil && !strings.Contains(i.Damage.Error(), c.damage) {
			t.Errorf("%s: damage %v, want %q", c.name, i.Damage, c.damage)
		}
	}
}

// A held lock means a run that is under way, even where files are half written. Looking at it
// leaves no file, and the lock to who has it.
func TestInspectRunning(t *testing.T) {
	dir := directoryOf(t, `{"version":1,"iterations":9}`, `{"iteration":2,"loss":1,"train_accuracy":0.5,"seconds":1}`+"\n"+`{"iteration":4,"lo`)
	files := func() []string {
		entries, err := os.ReadDir(dir)
		must.OK(t, err)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	before := files()
	if i, ok := Inspect(dir); !ok || i.State != Interrupted {
		t.Errorf("without a lock: %v, %s, %v", ok, i.State, i.Damage)
	}
	if after := files(); !slices.Equal(before, after) {
		t.Errorf("there were %q, there are %q", before, after)
	}
	lock, err := lockDir(dir, 0)
	must.OK(t, err)
	if i, ok := Inspect(dir); !ok || i.State != Running || i.Done() != 2 || i.Damage != nil {
		t.Errorf("with a lock: %v, %s after %d, %v", ok, i.State, i.Done(), i.Damage)
	}
	if _, err := lockDir(dir, 0); err == nil {
		t.Error("the lock is free")
	}
	if err := lock.Close(); err != nil { // as a killed process leaves its file
		t.Fatal(err)
	}
	if i, _ := Inspect(dir); i.State != Interrupted {
		t.Errorf("with a lock that nobody holds: %s", i.State)
	}
	if lock, err := lockDir(dir, 0); err != nil {
		t.Errorf("after looking: %v", err)
	} else {
		lock.Close()
	}
}

// A configuration of another program is no run.
func TestInspectOther(t *testing.T) {
	dir := t.TempDir()
	must.Write(t, `{"architectures":["LlamaForCausalLM"]}`, dir, recipe.FileName)
	if _, ok := Inspect(dir); ok {
		t.Error("a configuration of another program is taken for a run")
	}
	if _, ok := Inspect(filepath.Join(dir, "nowhere")); ok {
		t.Error("what is not there is taken for a run")
	}
}

// Of lines, the last one counts, with what was last known of other sets, and the best accuracy
// of the validation set, wherever it is.
func TestReadMetrics(t *testing.T) {
	lines := `{"iteration":1,"loss":2,"train_accuracy":0.1,"validation_loss":1,"validation_accuracy":0.5,"test_loss":3,"test_accuracy":0.4,"seconds":1}` + "\n" +
		`{"iteration":2,"loss":1,"train_accuracy":0.2,"validation_loss":2,"validation_accuracy":0.75,"seconds":2}` + "\n" +
		`{"iteration":3,"loss":null,"train_accuracy":0.3,"validation_loss":4,"validation_accuracy":0.25,"seconds":3}` + "\n" +
		`{"iteration":4,"loss":0.5,"train_accuracy":0.4,"seconds":4}` + "\n"
	m, err := ReadMetrics(directoryOf(t, "", lines+`{"iteration":5,`))
	if err != nil || m.Summary != nil || m.Last == nil {
		t.Fatal(m, err)
	}
	if l := m.Last; l.Iteration != 4 || l.Loss != 0.5 || *l.ValidationAccuracy != 0.25 || *l.TestLoss != 3 || m.BestValidation != 0.75 {
		t.Errorf("last line %+v, best %v", l, m.BestValidation)
	}
	m, err = ReadMetrics(directoryOf(t, "", lines+summaryLine))
	if err != nil || m.Summary == nil {
		t.Fatal(m, err)
	}
	if s := m.Summary; s.Iterations != 4 || s.TestAccuracy != 0.875 || !math.IsNaN(float64(s.ValidationAccuracy)) || !math.IsNaN(float64(m.BestValidation)) {
		t.Errorf("summary %+v, best %v", s, m.BestValidation)
	}
	// Longer than what is read of an end.
	long := strings.Repeat(lines, 200)
	if len(long) < tailBytes {
		t.Fatalf("only %d bytes", len(long))
	}
	m, err = ReadMetrics(directoryOf(t, "", strings.Replace(long, "0.75", "0.875", 1)+strings.Replace(summaryLine, `"validation_accuracy":null`, `"validation_accuracy":0.5`, 1)))
	if err != nil || m.Summary == nil || m.BestValidation != 0.875 {
		t.Errorf("best %v, error %v", m.BestValidation, err)
	}
}

// The history of small batches has means over the last epoch, as the lines do, and a run that
// was killed in the middle of a line the iterations before.
func TestReadHistory(t *testing.T) {
	dir := directoryOf(t, "", `{"iteration":2,"loss":3,"train_accuracy":0.5,"seconds":0.5}`+"\n"+summaryLine)
	rows := iterationsHeader + "\n1,4,0,0.25\n2,2,1,0.25\n3,1,1,0.5\n4,7,"
	must.Write(t, rows, dir, IterationsFile)
	h, err := ReadHistory(dir, network.Plan{Rows: 10, BatchRows: 5})
	if err != nil || len(h.Lines) != 1 || !slices.Equal(h.Loss, []float64{4, 3, 1.5}) || !slices.Equal(h.Accuracy, []float64{0, 0.5, 1}) || !slices.Equal(h.Seconds, []float64{0.25, 0.5, 1}) {
		t.Errorf("%+v, error %v", h, err)
	}
	must.Write(t, strings.Replace(rows, "2,2,", "2,x,", 1), dir, IterationsFile)
	h, err = ReadHistory(dir, network.Plan{})
	if err == nil || !strings.Contains(err.Error(), IterationsFile+": line 3: column 2") || len(h.Loss) != 1 || len(h.Lines) != 1 {
		t.Errorf("%+v, error %v", h, err)
	}
}
