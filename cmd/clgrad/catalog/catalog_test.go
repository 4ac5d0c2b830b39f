package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/run"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// A made is a run that makeRun makes: of iterations and sizes, finished.
type made struct {
	config     string // beside iterations
	iterations int
	sizes      []int
	test       float64
	validation float64 // 0 for none
	began      time.Time
}

// makeRun makes the directory of a finished run.
func makeRun(t testing.TB, dir string, m made) {
	t.Helper()
	l, err := network.NewLayout(m.sizes)
	must.OK(t, err)
	must.OK(t, os.MkdirAll(dir, 0o777))
	validation, inLine := "null", ""
	if m.validation > 0 {
		validation, inLine = fmt.Sprint(m.validation), fmt.Sprintf(`,"validation_loss":1,"validation_accuracy":%g`, m.validation+0.01)
	}
	write := func(name, content string) {
		file := filepath.Join(dir, name)
		must.Write(t, content, file)
		if !m.began.IsZero() {
			must.OK(t, os.Chtimes(file, m.began, m.began))
		}
	}
	write(recipe.FileName, fmt.Sprintf(`{"version":1,"iterations":%d,"layers":[%s]%s}`, m.iterations,
		strings.Trim(strings.ReplaceAll(fmt.Sprint(m.sizes[1:len(m.sizes)-1]), " ", ","), "[]"), m.config))
	lines, rows := "", "iteration,loss,train_accuracy,seconds\n"
	for i := range m.iterations {
		rows += fmt.Sprintf("%d,%g,%g,0.5\n", i+1, 2/float64(i+1), 1-1/float64(i+2))
		lines += fmt.Sprintf(`{"iteration":%d,"loss":%g,"train_accuracy":0.5,"test_loss":%g,"test_accuracy":%g%s,"seconds":%g}`+"\n",
			i+1, 2/float64(i+1), 2/float64(i+1), m.test, inLine, float64(i+1)/2)
	}
	write(run.LinesFile, lines+fmt.Sprintf(`{"summary":true,"iterations":%d,"loss":0.125,"train_accuracy":0.9,"validation_loss":%[2]s,"validation_accuracy":%[2]s,"test_loss":0.25,"test_accuracy":%g,"seconds":%g,"median_iteration_seconds":0.5,"peak_rss_bytes":2000000}`+"\n",
		m.iterations, validation, m.test, float64(m.iterations)/2))
	write(run.IterationsFile, rows)
	if err := checkpoint.Save(filepath.Join(dir, checkpoint.FileName), checkpoint.Model{
		Sizes: l.Sizes, Parameters: make([]float64, l.Len), Precision: checkpoint.F32, Run: &checkpoint.Run{
			Iterations: m.iterations, Data: "mnist", Digest: "d1", Plan: &network.Plan{Sizes: l.Sizes, Rows: 10, BatchRows: 10,
				Shards: []network.ShardPlan{{Backend: "cpu", Device: "a device", Rows: 10, Settings: json.RawMessage(`{"tile":8}`)}}},
		}}); err != nil {
		t.Fatal(err)
	}
}

func paths(runs []Run) (all []string) {
	for _, r := range runs {
		all = append(all, filepath.ToSlash(r.Path))
	}
	return all
}

// Runs are found at any depth, once each, but in hidden folders and in those of a run; links
// that lead back end nowhere.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	m := made{iterations: 2, sizes: []int{2, 3, 2}, test: 0.5}
	for _, path := range []string{"b", "a/b/c/d", "a/inside", ".hidden/run", "b/more", "b/checkpoints/run"} {
		makeRun(t, path, m)
	}
	must.OK(t, os.MkdirAll("other", 0o777))
	must.Write(t, `{"hidden_size":1}`, "other/config.json")
	want := []string{"a/b/c/d", "a/inside", "b", "b/more"}
	if runtime.GOOS != "windows" { // where links need a right
		outside := t.TempDir()
		makeRun(t, filepath.Join(outside, "far"), m)
		for to, link := range map[string]string{".": "a/loop", outside: "c", "a/b": "d", "nowhere": "e"} {
			if to == "." || to == "a/b" {
				to = filepath.Join(dir, to)
			}
			must.OK(t, os.Symlink(to, link))
		}
		want = append(want, "c/far")
	}
	s, err := Find(context.Background(), ".")
	if found := paths(s.Runs); err != nil || !slices.Equal(found, want) || s.Cut != 0 || s.Unreadable != nil {
		t.Errorf("%q, want %q; %d, %v, %v", found, want, s.Cut, s.Unreadable, err)
	}
	s, err = Find(context.Background(), "b")
	if found := paths(s.Runs); err != nil || !slices.Equal(found, []string{"b", "b/more"}) {
		t.Errorf("below b: %q, %v", found, err)
	}
	defer func(n int) { mostFolders = n }(mostFolders)
	mostFolders = 3
	if s, err := Find(context.Background(), "."); err != nil || s.Cut != 3 {
		t.Errorf("with 3 folders at most: %d, %v", s.Cut, err)
	}
	for path, want := range map[string]string{"nowhere": "nowhere: not found: ", "other/config.json": "other/config.json: is a file"} {
		if _, err := Find(context.Background(), path); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v", path, err)
		}
	}
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(stopped)
	if _, err := Find(ctx, "."); !errors.Is(err, stopped) {
		t.Errorf("stopped: error %v", err)
	}
}

// A folder that cannot be read is said, and hides no other.
func TestFindUnreadable(t *testing.T) {
	dir := t.TempDir()
	m := made{iterations: 2, sizes: []int{2, 3, 2}, test: 0.5}
	makeRun(t, filepath.Join(dir, "a"), m)
	makeRun(t, filepath.Join(dir, "closed", "b"), m)
	must.OK(t, os.Chmod(filepath.Join(dir, "closed"), 0))
	defer os.Chmod(filepath.Join(dir, "closed"), 0o777)
	if _, err := os.ReadDir(filepath.Join(dir, "closed")); err == nil {
		t.Skip("this user can read any folder")
	}
	s, err := Find(context.Background(), dir)
	if err != nil || len(s.Runs) != 1 || len(s.Unreadable) != 1 {
		t.Errorf("%q, %v, %v", paths(s.Runs), s.Unreadable, err)
	}
}

// some returns runs to be sorted and chosen.
func some(t *testing.T) []Run {
	t.Helper()
	t.Chdir(t.TempDir())
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	makeRun(t, "a", made{iterations: 20, sizes: []int{4, 30, 3}, test: 0.9, began: begin, config: `,"optimizer":"adam"`})
	makeRun(t, "b", made{iterations: 100, sizes: []int{4, 3}, test: 0.97, validation: 0.5, began: begin.Add(time.Hour), config: `,"batch_size":10`})
	makeRun(t, "c", made{iterations: 3, sizes: []int{4, 8, 8, 3}, test: 0.8, validation: 0.75, began: begin.Add(-time.Hour), config: `,"lr":0.25,"data":"/tmp/flowers.csv"`})
	s, err := Find(context.Background(), ".")
	if err != nil || len(s.Runs) != 3 {
		t.Fatal(s, err)
	}
	return s.Runs
}

// What a run has that lists show.
func TestRead(t *testing.T) {
	r := some(t)[1]
	text, err := json.Marshal(r)
	must.OK(t, err)
	want := `{"run":"b","began":"` + r.Began.UTC().Format(time.RFC3339Nano) + `","state":"finished","problem":"","recipe":"","data":"mnist","data_path":"","digest":"d1",` +
		`"network":[4,3],"optimizer":"gd","lr":0.5,"batch_size":10,"iterations":100,"iterations_asked":100,"epochs":100,"loss":0.125,"train_accuracy":0.9,` +
		`"validation_loss":0.5,"validation_accuracy":0.5,"best_validation_accuracy":0.51,"test_loss":0.25,"test_accuracy":0.97,"seconds":50,"median_iteration_seconds":0.5,` +
		`"peak_rss_bytes":2000000,"backend":"cpu","device":"a device","ranks":null}`
	if string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

// A run of an early version is listed: its configuration has few keys, its plan no batches, its
// lines end with a summary of few keys.
func TestReadEarlyVersion(t *testing.T) {
	dir := t.TempDir()
	model, err := os.ReadFile(filepath.Join("..", "..", "..", "network", "checkpoint", "testdata", "version1.safetensors"))
	must.OK(t, err)
	for name, content := range map[string]string{
		recipe.FileName: `{"version":1,"data":"mnist","layers":[3],"preprocess":"max","init":"he","seed":1,"lr":0.1,"iterations":100,"backend":"cpu","log_every":10}`,
		run.LinesFile: `{"iteration":100,"loss":2.5,"train_accuracy":0.5,"seconds":1}` + "\n" +
			`{"summary":true,"backend":"cpu","device":"a","layers":[2,3,2],"iterations":100,"loss":2.25,"train_accuracy":0.5,"test_loss":2.25,"test_accuracy":0.5,"seconds":1}` + "\n",
		checkpoint.FileName: string(model),
	} {
		must.Write(t, content, dir, name)
	}
	r, ok := Read(dir)
	if !ok || r.State != run.Finished || r.networkText() != "2-3-2" || r.Optimizer != "gd" || r.LR != 0.1 || r.Iterations != 100 || r.Epochs != 100 || r.TestAccuracy != 0.5 ||
		!math.IsNaN(float64(r.ValidationAccuracy)) || r.Backend != "cpu" || r.Device != "a" || r.Digest != "beef" {
		t.Errorf("%v, %+v", ok, r)
	}
}

// Of several devices, and of several processes, all are named.
func TestBackends(t *testing.T) {
	shard := func(backend, device string, rank int) network.ShardPlan {
		return network.ShardPlan{Backend: backend, Device: device, Rank: rank, Rows: 5}
	}
	for _, c := range []struct {
		shards          []network.ShardPlan
		backend, device string
	}{
		{[]network.ShardPlan{shard("opencl:0.0", "GPU", 0), shard("opencl:0.1", "GPU", 0)}, "opencl:0.0,opencl:0.1", "GPU"},
		{[]network.ShardPlan{shard("cpu", "EPYC", 0), shard("opencl:0.0", "GPU", 0)}, "cpu,opencl:0.0", "EPYC, GPU"},
		{[]network.ShardPlan{shard("cpu", "EPYC", 0), shard("cpu", "EPYC", 1), shard("cpu", "Xeon", 2)}, "cpu, 3 ranks", "EPYC, Xeon"},
	} {
		r := Run{inspection: run.Inspection{Model: &checkpoint.Model{Sizes: []int{2, 2}, Run: &checkpoint.Run{Plan: &network.Plan{Rows: 10, BatchRows: 10, Shards: c.shards}}}}}
		r.planned()
		if r.backendText() != c.backend || r.Device != c.device {
			t.Errorf("%q on %q, want %q on %q", r.backendText(), r.Device, c.backend, c.device)
		}
		settings, err := r.settings()
		if err != nil || settings["plan: shards.1.device"] == nil || settings["plan: device"] != nil {
			t.Errorf("%v, error %v", settings, err)
		}
	}
}

func TestSort(t *testing.T) {
	runs := some(t)
	for _, c := range []struct {
		by      string
		reverse bool
		want    string
	}{
		{"began", false, "b a c"}, {"began", true, "c a b"}, {"test", false, "b a c"}, {"TEST", true, "c a b"}, {"run", false, "a b c"}, {"run", true, "c b a"},
		{"iterations", false, "b a c"}, {"lr", false, "a c b"}, {"optimizer", false, "a b c"},
		{"validation", false, "c b a"}, {"validation", true, "b c a"}, // a has none: it comes last either way
	} {
		column, err := FindColumn(c.by)
		must.OK(t, err)
		sorted := slices.Clone(runs)
		Sort(sorted, column, c.reverse)
		if got := strings.Join(paths(sorted), " "); got != c.want {
			t.Errorf("%s, reverse %v: %s, want %s", c.by, c.reverse, got, c.want)
		}
	}
	if _, err := FindColumn("accuracy"); err == nil || !strings.Contains(err.Error(), "one of run, began, ") {
		t.Errorf("error %v", err)
	}
}

func TestCondition(t *testing.T) {
	runs := some(t)
	for text, want := range map[string]string{
		"test>0.9": "b", "test >= 90%": "a b", "test=0.97": "b", "test != 0.97": "a c", "test<=0.8": "c", "test<97%": "a c",
		"validation>0": "b c", "validation<0.6": "b", // a has none
		"data=mnist": "a b", "data!=mnist": "c", "data~FLOW": "c", "optimizer=Adam": "a", "network=4-8-8-3": "c", "network~-3": "a b c",
		"state=finished": "a b c", "began>2026-03-01 12:30": "b", "began<2026-03-02": "a b c", "began>2026-03-02": "", "batch=10": "b", "lr=0.25": "c",
	} {
		c, err := ParseCondition(text)
		if err != nil {
			t.Error(err)
			continue
		}
		fit := slices.DeleteFunc(slices.Clone(runs), func(r Run) bool { return !FitsAll(r, []Condition{c}) })
		if got := strings.Join(paths(fit), " "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"test": "are expected in quotes", "": "are expected", "tests>1": `column "tests" is unknown`, "test>good": `"good" where a number is expected`, "test~9": "test is a number",
		"data>m": "data is text", "began>yesterday": "where a time is expected", "test>": "where a number", "test>NaN": "where a number",
	} {
		if _, err := ParseCondition(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

// A table is as wide as its screen at most, and drops the columns that matter least. Without a
// screen it is whole.
func TestShow(t *testing.T) {
	runs := some(t)
	long := strings.Repeat("folder/", 20) + "name"
	runs[0].Path = long
	runs[1].Path = "bad\x1b[2Jname\n"
	before := -1
	for _, width := range []int{30, 40, 60, 80, 120, 200, 400} {
		var b strings.Builder
		left, err := Show(&b, runs, width)
		must.OK(t, err)
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 4 {
			t.Errorf("%d columns: %d lines", width, len(lines))
		}
		for _, line := range lines {
			if n := len([]rune(line)); n > width {
				t.Errorf("%d columns: %d characters: %s", width, n, line)
			}
		}
		if !strings.Contains(b.String(), "name") || strings.Contains(lines[0], "RECIPE") {
			t.Errorf("%d columns: no end of the long name, or a column without values:\n%s", width, b.String())
		}
		if before >= 0 && left > before {
			t.Errorf("%d columns: %d do not fit, of a narrower screen %d", width, left, before)
		}
		before = left
		if width == 80 && (!strings.Contains(lines[0], "STATE") || !strings.Contains(lines[0], "TEST")) || width == 30 && left == 0 {
			t.Errorf("%d columns: %d are left out of\n%s", width, left, b.String())
		}
	}
	var b strings.Builder
	if left, err := Show(&b, runs, 0); err != nil || left != 0 || !strings.Contains(b.String(), long+"  ") || !strings.Contains(b.String(), "RECIPE") || strings.ContainsAny(b.String(), "\x1b…") {
		t.Errorf("no screen: %d, %v\n%s", left, err, b.String())
	}
}

// The list of 1,000 runs reads the files that it needs: a figure for the README.
func BenchmarkFind1000(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		makeRun(b, filepath.Join(dir, fmt.Sprint(i)), made{iterations: 100, sizes: []int{784, 128, 10}, test: 0.5, validation: 0.5})
	}
	for b.Loop() {
		s, err := Find(context.Background(), dir)
		if err != nil || len(s.Runs) != 1000 {
			b.Fatal(len(s.Runs), err)
		}
		if _, err := Show(io.Discard, s.Runs, 0); err != nil {
			b.Fatal(err)
		}
	}
}
