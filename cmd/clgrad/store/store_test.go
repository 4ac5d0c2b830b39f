package store

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/gpu"
	"clgrad/kernels"
	"clgrad/network/must"
)

var device = gpu.Device{Name: "fake", PlatformName: "none", PlatformVersion: "1", Driver: "1", Type: "CPU", ComputeUnits: 2,
	LocalMemory: 1 << 15, MaxWorkGroup: 256}

// tuning returns a good tuning with one shape.
func tuning(shape string) gpu.Tuning {
	return gpu.Tuning{
		Device: gpu.TunedDevice{Identity: device.Identity(), Kernels: kernels.Digest()},
		Blocks: map[int]gpu.Tiles{128: {Shapes: map[string]kernels.Tile{shape: {Variant: kernels.NaiveVariant}}}},
	}
}

func open(t *testing.T, dir string, d gpu.Device) *Store {
	t.Helper()
	s, err := Open(dir, d)
	must.OK(t, err)
	return s
}

// What is added is there later, what others add meanwhile too, and passes and
// tunings do not touch each other.
func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	s, other := open(t, dir, device), open(t, dir, device)
	one, two := Key("one"), Key("two", "three")
	if s.Passed(one) || one == two || Key("on", "e") == one {
		t.Error("a key is not what it stands for")
	}
	must.OK(t, s.Add(one, one))
	must.OK(t, other.Add(two))
	forward, gradient := kernels.Key(kernels.OpForward, 784, 128), kernels.Key(kernels.OpWeightGradient, 784, 128)
	if _, err := s.SetTuning(tuning(forward)); err != nil {
		t.Fatal(err)
	}
	file, err := other.SetTuning(tuning(gradient))
	must.OK(t, err)
	s = open(t, dir, device)
	want := tuning(forward).Merge(tuning(gradient))
	got, err := s.Tuning()
	if d := cmp.Diff(want, got); err != nil || d != "" || !s.Passed(one) || !s.Passed(two) {
		t.Errorf("%v, passed %v\n%s", err, s.passed, d)
	}
	keys := []string{one, two}
	slices.Sort(keys)
	if got := s.Keys(); !slices.Equal(got, keys) {
		t.Errorf("keys %v where %v are expected", got, keys)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), one) != 1 {
		t.Errorf("%v\n%s", err, text)
	}
	if err := s.Add("no digest"); err == nil || !strings.Contains(err.Error(), "a digest is expected") {
		t.Errorf("a key that is no digest: %v", err)
	}
}

// Kernels of another version leave the passes good, and the tuning is not.
func TestOldKernels(t *testing.T) {
	dir, shape := t.TempDir(), kernels.Key(kernels.OpForward, 784, 128)
	old := tuning(shape)
	old.Device.Kernels = "0"
	s := open(t, dir, device)
	file, err := s.SetTuning(old)
	must.OK(t, err)
	must.OK(t, s.Add(Key("one")))
	s = open(t, dir, device)
	if _, err := s.Tuning(); err == nil || err.Error() != file+": tuning: was made for another version of the kernels" || !s.Passed(Key("one")) {
		t.Errorf("%v, passed %v", err, s.passed)
	}
	fresh := tuning(kernels.Key(kernels.OpForward, 128, 10))
	if _, err := s.SetTuning(fresh); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, dir, device).Tuning()
	if d := cmp.Diff(fresh, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
}

// A file that is of no use is ignored in one line that names it, and replaced.
func TestIgnored(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, device)
	must.OK(t, s.Add(Key("old")))
	file, err := s.SetTuning(tuning(kernels.Key(kernels.OpForward, 784, 128)))
	must.OK(t, err)
	text, err := os.ReadFile(file)
	must.OK(t, err)
	good := string(text)
	many, err := json.Marshal(slices.Repeat([]string{"00"}, maxKeys+1))
	must.OK(t, err)
	for want, change := range map[string][2]string{
		"device: unexpected EOF":                       {"\n}\n", ""},
		"device: something follows its end":            {"\n}\n", "\n} {}"},
		`device: json: unknown field "extra"`:          {`"passed"`, `"extra": 1, "passed"`},
		`device: json: unknown field "deep"`:           {`"variant"`, `"deep": 1, "variant"`},
		"device: json: cannot unmarshal":               {`"compute_units": 2`, `"compute_units": "2"`},
		"was made for another number of compute units": {`"compute_units": 2`, `"compute_units": 9`},
		"was made for another driver (2, here 1)":      {`"driver": "1"`, `"driver": "2"`},
		"was made for another device":                  {`"device": "fake"`, `"device": "real"`},
		`pass "xyz": a digest is expected`:             {Key("old"), "xyz"},
		`pass "ABCD": a digest is expected`:            {Key("old"), "ABCD"},
		"has 4097 passes: at most 4096 are expected":   {"[\n    \"" + Key("old") + "\"\n  ]", string(many)},
		"has more than 1048576 bytes":                  {`"fake"`, `"` + strings.Repeat("x", maxFile) + `"`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%q is not in\n%s", change[0], good)
		}
		must.Write(t, bad, file)
		s, err := Open(dir, device)
		if err == nil || !strings.HasPrefix(err.Error(), file+": ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v", want, err)
		}
		if got, err := s.Tuning(); err != nil || len(got.Blocks) > 0 || len(s.passed) > 0 {
			t.Errorf("%q: %v, %v, %v is left", want, got, err, s.passed)
		}
		if err := s.Add(Key("new")); err != nil {
			t.Errorf("%q: %v", want, err)
		}
		if s := open(t, dir, device); !s.Passed(Key("new")) || s.Passed(Key("old")) {
			t.Errorf("%q: %v passed later", want, s.passed)
		}
	}
}

// Where nothing can be kept, a store remembers for its own life.
func TestNowhere(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	must.Write(t, "", blocked)
	s := open(t, filepath.Join(blocked, "dir"), device)
	if err := s.Add(Key("one")); err == nil || strings.Contains(err.Error(), "\n") || !s.Passed(Key("one")) {
		t.Errorf("%v, passed %v", err, s.passed)
	}
	s = open(t, "", device)
	if err := s.Add(Key("one")); err != nil || !s.Passed(Key("one")) {
		t.Errorf("in memory: %v, passed %v", err, s.passed)
	}
	if _, err := s.SetTuning(tuning("forward 1x1")); err == nil {
		t.Error("a tuning is kept nowhere, without an error")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, Name(device)+".json")
	must.OK(t, os.Mkdir(file, 0o777))
	s, err := Open(dir, device)
	if err == nil || err.Error() != file+": a regular file is expected" {
		t.Errorf("a directory: %v", err)
	}
	if err := s.Add(Key("one")); err == nil || !s.Passed(Key("one")) {
		t.Errorf("%v, passed %v", err, s.passed)
	}
}

// Programs that write at the same time lose nothing of each other.
func TestAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	const stores, adds = 6, 10
	var all sync.WaitGroup
	for i := range stores {
		s := open(t, dir, device)
		all.Go(func() {
			for j := range adds {
				if err := s.Add(Key(fmt.Sprint(i, j))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(open(t, dir, device).Keys()); n != stores*adds {
		t.Errorf("%d passes are kept where %d were added", n, stores*adds)
	}
}

// A file that cannot be read at the moment is not written over: what is in it may be good.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, device)
	file := filepath.Join(dir, Name(device)+".json")
	if err := os.Symlink(filepath.Base(file), file); err != nil { // to itself
		t.Skip(err)
	}
	if err := s.Add(Key("one")); err == nil || !strings.HasPrefix(err.Error(), file+": ") || !s.Passed(Key("one")) {
		t.Errorf("%v, passed %v", err, s.passed)
	}
	if info, err := os.Lstat(file); err != nil || info.Mode().IsRegular() {
		t.Errorf("the file was replaced: %v, %v", info, err)
	}
}

// The oldest passes make room.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, device)
	var all []string
	for i := range maxKeys {
		all = append(all, Key(fmt.Sprint(i)))
	}
	must.OK(t, s.Add(all...))
	must.OK(t, s.Add(Key("last")))
	s = open(t, dir, device)
	if len(s.passed) != maxKeys || s.Passed(all[0]) || !s.Passed(all[1]) || !s.Passed(Key("last")) {
		t.Errorf("%d passes", len(s.passed))
	}
}

// Nothing that a file may hold panics, and a tuning that is taken from it can be
// used.
func FuzzStore(f *testing.F) {
	s := &Store{device: device}
	t := tuning("weight_gradient 784x128")
	t.Blocks[60] = gpu.Tiles{Steps: map[string]kernels.StepTile{"step 784x128x10": *kernels.Default(kernels.CPU, 2, 16).Step}}
	good, err := json.Marshal(content{MadeFor: s.device.Identity(), Passed: []string{Key("one")}, Tuning: &t})
	must.OK(f, err)
	f.Add(good)
	f.Add([]byte("{}"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parse(text, s.device.Identity())
		if err != nil {
			return
		}
		for _, key := range c.Passed {
			if err := checkKey(key); err != nil {
				t.Error(err)
			}
		}
		tuning, err := s.usable(c.Tuning)
		if err != nil {
			return
		}
		k, tiles := kernels.Default(kernels.CPU, 1, 16), tuning.For(128)
		k.Shapes = tiles.Shapes
		limits := kernels.Limits{WorkGroup: device.MaxWorkGroup, LocalMemory: device.LocalMemory}
		if err := k.Check(limits); err != nil {
			t.Error(err)
		}
		for _, tile := range tiles.Steps {
			k.Step, k.Packed = &tile, tile.Tile(*k.Packed)
			if err := k.Check(limits); err != nil {
				t.Error(err)
			}
		}
	})
}
