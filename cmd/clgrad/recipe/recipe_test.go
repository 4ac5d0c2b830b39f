package recipe

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/network"
	"clgrad/network/must"
)

// Every built-in recipe reads, says what it is, and comes back from its own
// encoding.
func TestBuiltin(t *testing.T) {
	files, err := builtin.ReadDir("builtin")
	if err != nil || len(files) != len(Names()) {
		t.Errorf("%d files for the names %v, %v", len(files), Names(), err)
	}
	for _, name := range Names() {
		f, err := Load(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if string(f.Name) != name || f.Description == "" || f.Source == "" || strings.Contains(f.Description, "\n") {
			t.Errorf("%s: name %q, description %q, source %q", name, f.Name, f.Description, f.Source)
		}
		text, err := f.Encode()
		must.OK(t, err)
		if layers := fmt.Sprintf("\"layers\": %s,\n", strings.ReplaceAll(fmt.Sprint(f.Layers), " ", ", ")); !strings.Contains(string(text), layers) {
			t.Errorf("%s: no line %s in\n%s", name, layers, text)
		}
		again, err := Parse(name, text)
		must.OK(t, err)
		if d := cmp.Diff(f.Recipe, again.Recipe); d != "" {
			t.Errorf("%s changes when it is written and read:\n%s", name, d)
		}
	}
}

// A file's values are had in the words of the flags, and only those that stand
// there.
func TestValue(t *testing.T) {
	f, err := Parse("r.json", []byte(`{"version": 1, "layers": [], "log_every": 5, "lr": 1e-2, "preprocess": "none", "divide": [3, 2], "seed": 18446744073709551615, "name": "a"}`))
	must.OK(t, err)
	for flag, want := range map[string]string{
		"layers": "none", "log-every": "5", "lr": "1e-2", "preprocess": "none", "divide": "3,2", "seed": "18446744073709551615",
		"iterations": "-", "data": "-", "name": "-", "version": "-", "out": "-",
	} {
		got, ok := f.Value(flag)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("--%s is %s, want %s", flag, got, want)
		}
	}
	if f.LR != 0.01 || f.LogEvery != 5 || f.Layers != nil || f.Seed != math.MaxUint64 {
		t.Errorf("%+v", f.Recipe)
	}
	if f.Iterations != 100 || f.Data != "mnist" || f.Init != "he" || f.Backend != "auto" {
		t.Errorf("not the defaults: %+v", f.Recipe)
	}
	for flag, want := range map[string]bool{"divide": true, "predict": true, "data": false, "lr": false, "fly": false} {
		if slices.Contains(Of(flag), "data") != want {
			t.Errorf("--%s belongs to the data: %v", flag, !want)
		}
	}
}

// What a file leaves out depends on what it has; a file of an older program, without the
// keys of optimizers and batches, means what it did.
func TestComplete(t *testing.T) {
	for text, want := range map[string]string{
		`"lr": 0.2, "iterations": 7, "log_every": 3`: "0.2 7 0 3 gd {constant 0 0 0 0}",
		`"seed": 1`:                            "0.5 100 0 10 gd {constant 0 0 0 0}",
		`"optimizer": "nesterov", "epochs": 2`: "0.1 0 2 10 nesterov, momentum 0.9 {constant 0 0 0 0}",
		`"optimizer": "momentum", "momentum": 0, "weight_decay": 1e-4`:              "0.1 100 0 10 momentum, momentum 0, weight decay 0.0001 {constant 0 0 0 0}",
		`"optimizer": "adamw", "batch_size": 50, "schedule": "cosine", "warmup": 3`: "0.001 100 0 0 adamw, beta1 0.9, beta2 0.999, epsilon 1e-08, weight decay 0.01 {cosine 0 0 0 3}",
		`"schedule": "step", "step_size": 5`:                                        "0.5 100 0 10 gd {step 0 5 0.1 0}",
		`"optimizer": "lbfgs", "iterations": 50`:                                    "1 50 0 10 lbfgs, history of 10 {constant 0 0 0 0}",
		`"optimizer": "lbfgs", "history_size": 30, "weight_decay": 0.1, "lr": 2`:    "2 100 0 10 lbfgs, history of 30, weight decay 0.1 {constant 0 0 0 0}",
	} {
		f, err := Parse("r.json", []byte(`{"version": 1, `+text+`}`))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := fmt.Sprint(f.LR, f.Iterations, f.Epochs, f.LogEvery, f.Rule(), f.Rates()); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	f, err := Parse("r.json", []byte(`{"version": 1, "batch_size": 50, "epochs": 3, "schedule": "cosine"}`))
	must.OK(t, err)
	iterations, every, err := f.Settle(7)
	if err != nil || iterations != 21 || every != 7 || f.ScheduleSteps != 21 {
		t.Errorf("%d iterations, a line every %d, %d steps of the schedule, %v", iterations, every, f.ScheduleSteps, err)
	}
	// Whatever can be chosen has a rate.
	for _, o := range network.Optimizers() {
		if r := (Recipe{Training: Training{Optimizer: Optimizer(o)}}); r.Complete() != nil || r.LR == 0 || r.Rule().Optimizer != o {
			t.Errorf("%s: %+v", o, r)
		}
	}
}

var bad = []struct{ text, want string }{
	{``, `r.json:1:1: unexpected end of JSON input`},
	{"{\n  \"version\": 1,\n}", `r.json:3:1: invalid character '}' looking for beginning of object key string`},
	{"{\"version\": 1", `r.json:1:14: unexpected end of JSON input`},
	{"{\"version\": 1} x", `r.json:1:16: invalid character 'x' after top-level value`},
	{"{\"name\": \"\xff\"}", `r.json:1:11: a byte that is not UTF-8`},
	{"\n [1]", `r.json:2:2: a list where an object {…} is expected`},
	{`null`, `r.json:1:1: null where an object {…} is expected`},
	{`{}`, `r.json:1:1: key "version": is missing: 1 is expected`},
	{`{"version": 2}`, `r.json:1:13: key "version": 2 is unknown: 1 is expected`},
	{`{"version": 0}`, `r.json:1:13: key "version": 0 is unknown: 1 is expected`},
	{`{"version": 1, "Layers": [5]}`, `r.json:1:16: key "Layers": is unknown: one of version, name, `},
	{"{\"version\": 1,\n\"lr\": 1,\n \"lr\": 2}", `r.json:3:2: key "lr": stands there twice`},
	{`{"version": 1, "\"": 2}`, `r.json:1:16: key "\"": is unknown`},
	{`{"version": 1, "lr": "0.1"}`, `r.json:1:22: key "lr": a string where a number is expected`},
	{`{"version": 1, "lr": 0}`, `r.json:1:22: key "lr": "0": a learning rate above 0 is expected`},
	{`{"version": 1, "lr": 1e999}`, `r.json:1:22: key "lr": "1e999": a learning rate above 0 is expected`},
	{`{"version": 1, "iterations": 1.5}`, `r.json:1:30: key "iterations": "1.5": a whole number of at least 1`},
	{`{"version": 1, "iterations": null}`, `r.json:1:30: key "iterations": null where a number is expected`},
	{`{"version": 1, "seed": -1}`, `r.json:1:24: key "seed": -1 where a whole number of at least 0 is expected`},
	{`{"version": 1, "layers": 5}`, `r.json:1:26: key "layers": a number where a list […] is expected`},
	{`{"version": 1, "layers": [5, "é", 3]}`, `r.json:1:30: key "layers": a string where a number is expected`},
	{`{"version": 1, "layers": [5, 0]}`, `r.json:1:26: key "layers": "5,0": sizes of hidden layers`},
	{`{"version": 1, "layers": [5, [1]]}`, `r.json:1:30: key "layers": a list where a number is expected`},
	{`{"version": 1, "divide": [5]}`, `r.json:1:26: key "divide": "5": rows for training and for testing`},
	{`{"version": 1, "name": "é", "preprocess": "min"}`, `r.json:1:24: key "name": "é": a name of at most 40`},
	{`{"version": 1, "description": "é", "preprocess": "min"}`, `r.json:1:50: key "preprocess": "min" where one of max, standard, feature, column, none is expected`},
	{`{"version": 1, "iterations": 1000000001}`, `r.json:1:30: key "iterations": "1000000001": a whole number of at least 1 and at most 1000000000 is expected`},
	{`{"version": 1, "keep_checkpoints": 99999999999999999999}`, `r.json:1:36: key "keep_checkpoints": "99999999999999999999": a whole number of at least 1 and at most 1000000000`},
	{`{"version": 1, "checkpoint_every": 1e9}`, `r.json:1:36: key "checkpoint_every": "1e9": a whole number of at least 0 and at most 1000000000`},
	{`{"version": 1, "layers": [1000000001]}`, `r.json:1:26: key "layers": "1000000001": sizes of hidden layers`},
	{`{"version": 1, "divide": [1, 1000000001]}`, `r.json:1:26: key "divide": "1,1000000001": rows for training`},
	{`{"version": 1, "predictions": ""}`, `r.json:1:31: key "predictions": "": one of table, kaggle, none`},
	{`{"version": 1, "init": 3}`, `r.json:1:24: key "init": a number where a string is expected`},
	{`{"version": 1, "backend": "cuda"}`, `r.json:1:27: key "backend": "cuda": auto, cpu`},
	{`{"version": 1, "data": ""}`, `r.json:1:24: key "data": "": a name is expected`},
	{`{"version": 1, "passes": 1.01}`, `r.json:1:26: key "passes": "1.01": a share above 0 and at most 1`},
	{`{"version": 1, "validation": 1}`, `r.json:1:30: key "validation": "1": a fraction of 0 or more and less than 1`},
	{`{"version": 1, "checkpoint_every": -1}`, `r.json:1:36: key "checkpoint_every": "-1": a whole number of at least 0`},
	{`{"version": 1, "keep_checkpoints": 0}`, `r.json:1:36: key "keep_checkpoints": "0": a whole number of at least 1`},
	{`{"version": 1, "predictions": "xml"}`, `r.json:1:31: key "predictions": "xml": one of table, kaggle, none`},
	{`{"version": 1, "unscaled_test": 1}`, `r.json:1:33: key "unscaled_test": a number where true or false is expected`},
	{`{"version": 1, "notes": "x"}`, `r.json:1:25: key "notes": a string where a list […] is expected`},
	{`{"version": 1, "reference": []}`, `r.json:1:29: key "reference": a list where an object {…} is expected`},
	{`{"version": 1, "reference": {"first": 0}}`, `r.json:1:39: key "reference.first": "0": a whole number of at least 1`},
	{`{"version": 1, "reference": {"x": 0}}`, `r.json:1:30: key "reference.x": is unknown: one of name, first, every, losses`},
	{`{"version": 1, "reference": {"name": "n", "losses": [1]}}`, `r.json:1:29: key "reference": name, first, every and losses are expected`},
	{`{"version": 1, "history_size": 5}`, `r.json:1:1: key "history_size": the optimizer gd has none: it belongs to lbfgs`},
	{`{"version": 1, "optimizer": "lbfgs", "momentum": 0.9}`, `r.json:1:1: key "momentum": the optimizer lbfgs has none`},
	{`{"version": 1, "optimizer": "lbfgs", "batch_size": 5}`, `r.json:1:1: key "batch_size": the optimizer lbfgs takes all rows`},
	{`{"version": 1, "optimizer": "lbfgs", "schedule": "cosine"}`, `r.json:1:1: key "schedule": the optimizer lbfgs finds its steps by line searches`},
	{`{"version": 1, "optimizer": "lbfgs", "warmup": 5}`, `r.json:1:1: key "warmup": the optimizer lbfgs finds its steps`},
	{`{"version": 1, "reference": {"losses": [1e999]}}`, `r.json:1:41: key "reference.losses": 1e999 is out of range`},
}

// What is wrong in a file is one line that says where and what was expected.
func TestErrors(t *testing.T) {
	for _, c := range bad {
		_, err := Parse("r.json", []byte(c.text))
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want %s", c.text, err, c.want)
		}
	}
	big := filepath.Join(t.TempDir(), "big")
	must.Write(t, make([]byte, maxBytes+1), big)
	for name, want := range map[string]string{"nowhere": "best or a file is expected", big: "more than 1048576 bytes", t.TempDir(): "config.json"} {
		if _, err := Load(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a file holds, reading it ends in a recipe or in one line; and a
// recipe is the same after it has been written and read.
func FuzzRecipe(f *testing.F) {
	for _, c := range bad {
		f.Add([]byte(c.text))
	}
	for _, name := range Names() {
		text, err := Text(name)
		must.OK(f, err)
		f.Add(text)
	}
	f.Add([]byte(`{"version": 1, "checkpoint_every": 50, "keep_checkpoints": 2}`))
	f.Add([]byte(`{"version": 1, "optimizer": "adam", "beta1": 0.8, "epsilon": 1e-7, "batch_size": 5, "epochs": 2, "schedule": "step", "gamma": 0.5}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse("r.json", text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		encoded, err := r.Encode()
		must.OK(t, err)
		again, err := Parse("r.json", encoded)
		if err != nil {
			t.Fatalf("%v in\n%s", err, encoded)
		}
		once, err := again.Encode()
		if err != nil || string(once) != string(encoded) {
			t.Errorf("%v: written\n%sread and written\n%s", err, encoded, once)
		}
	})
}

// Whatever a flag counts or times has bounds, and an empty text is no value.
func TestBounds(t *testing.T) {
	for _, c := range []struct {
		value interface{ UnmarshalText([]byte) error }
		good  []string
		bad   []string
	}{
		{new(Count), []string{"1", "1000000000"}, []string{"", "0", "-1", "1000000001", "10000000000000000000000", "1e3", "1.0"}},
		{new(CountOrNone), []string{"0", "27", "1000000000"}, []string{"", "-1", "1.5", "1000000001"}},
		{new(Seconds), []string{"1", "86400"}, []string{"", "0", "86401", "10000000000"}},
		{new(Layers), []string{"none", "1", "1000000000, 2"}, []string{"", " ", ",", "5,", "0", "1000000001", "none,5"}},
		{new(Division), []string{"none", "1,1000000000"}, []string{"", "5", "0,5", "5,1000000001", "1,2,3"}},
		{new(Form), []string{"none", "table"}, []string{"", "xml"}},
		{new(Path), []string{"a"}, []string{"", "-a"}},
		{new(Rate), []string{"1e-40", "3e38"}, []string{"", "0", "nan", "inf", "1e39", "-1"}},
		{new(Decimal), []string{"0", "1e-8", "3"}, []string{"", "-1", "nan", "inf", "1e999"}},
		{new(Optimizer), []string{"gd", "adamw"}, []string{"", "sgd", "Adam"}},
		{new(Share), []string{"1", "1e-9"}, []string{"", "0", "nan", "1.1"}},
		{new(Fraction), []string{"0", "0.99"}, []string{"", "1", "nan", "-0.1"}},
	} {
		for _, text := range c.good {
			if err := c.value.UnmarshalText([]byte(text)); err != nil {
				t.Errorf("%T: %v", c.value, err)
			}
		}
		for _, text := range c.bad {
			if err := c.value.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "expected") {
				t.Errorf("%T of %q: %v", c.value, text, err)
			}
		}
	}
}
