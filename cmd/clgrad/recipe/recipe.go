// Package recipe is the one form for everything that a run is: what a recipe
// file says, what a run directory keeps as its configuration, and what the
// flags of clgrad train set. A recipe is a JSON object whose keys are those
// flags, with _ for -, and some words about where it comes from:
//
//	{
//	  "version": 1,
//	  "name": "digits",
//	  "layers": [500, 150],
//	  "iterations": 1000
//	}
//
// What a file leaves out has the flag's default. Reading is strict: a key that
// is unknown or stands there twice, a value of another type or out of its range
// are one line with the file, line and column (see [Error]).
package recipe

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"clgrad/cmd/clgrad/text"
	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/dataset"
)

// FileName is the name of a run's recipe in its directory.
const FileName = "config.json"

// version is that of the form that this package reads and writes.
const version = 1

// A Recipe is all that decides what a run does, but for the device it finds.
// The tags are those of the flags (kong's) and of the file.
type Recipe struct {
	Origin
	Setup
	Training
	Iterations      Count             `json:"iterations,omitempty" placeholder:"N" of:"epochs" help:"Number of iterations, that is, updates of the parameters. Default: 100."`
	Epochs          Count             `json:"epochs,omitempty" placeholder:"N" of:"iterations" help:"Number of epochs, instead of --iterations. An epoch is one pass over the training set."`
	Backend         Backend           `json:"backend" default:"auto" help:"Device to train on: auto (the best OpenCL device, otherwise the CPU), cpu (float32), cpu64 (float64), opencl (the best OpenCL device), opencl:P.D (device D of platform P, see clgrad devices) or opencl:NAME (part of the device's name). Several backends separated by commas, as in opencl:0.0,opencl:0.1, or opencl:all (every OpenCL device), share the rows of each batch and compute at the same time."`
	Shares          Shares            `json:"shares,omitempty" placeholder:"N,N" of:"backend" help:"How several backends share the rows of each batch: a number for each, as in 9,7. Default: sixteenths in proportion to their speeds, which are measured once and remembered."`
	Input           network.InputMode `json:"input,omitempty" default:"auto" enum:"auto, resident, stream" help:"Where the training set is kept: ${enum}. resident: in the device's memory. stream: blocks are copied to the device when they are used, from a file in the cache directory, so the set may be larger than the memory of the device and of the machine. auto decides by size. The results are bit for bit the same."`
	LogEvery        Count             `json:"log_every,omitempty" placeholder:"N" of:"batch-size" help:"Report every N-th iteration, and the last. Default: 10, or with --batch-size one epoch."`
	CheckpointEvery CountOrNone       `json:"checkpoint_every,omitempty" default:"0" placeholder:"N" help:"Save a checkpoint every N iterations, from which --resume can continue. With 0, only the last one is saved, also when a signal stops the run."`
	KeepCheckpoints Count             `json:"keep_checkpoints" default:"3" help:"Number of checkpoints to keep; older ones are deleted."`
	Passes          Share             `json:"passes,omitempty" placeholder:"SHARE" help:"Report the iteration at which the training accuracy first reaches this value, as in 0.85."`
	Predict         Form              `json:"predictions,omitempty" name:"predictions" placeholder:"FORM" help:"Predict the test set at the end: table (row, predicted and actual label in predictions.csv) or kaggle (ImageId,Label in submission.csv)."`
	Rows            Path              `json:"predict,omitempty" name:"predict" placeholder:"DATA" of:"data" help:"Predict the rows of this data set, or the pictures of this folder, instead of the rows of the test set. Labels are not needed."`
}

// A Setup says what is trained on what. Keys of what belongs to one data set
// (tag of:"data") are not taken from a recipe where --data is given.
type Setup struct {
	Data Path `json:"data,omitempty" default:"mnist" help:"Data set: a name (clgrad data list), a directory of IDX files, a folder of pictures (a folder for each class), a CSV file, an NPZ file, or - for standard input."`
	Reading
	Test       Path               `json:"test,omitempty" placeholder:"FILE" of:"data" help:"CSV file with the test set. Without it, a CSV data set has no test set."`
	Divide     Division           `json:"divide,omitempty" placeholder:"TRAIN,TEST" of:"data" help:"Shuffle all rows of the data set by --seed, and use these numbers of rows for training and testing, as in 42000,28000."`
	Samples    Count              `json:"samples,omitempty" placeholder:"N" help:"Use only the first N rows of the training set and of the test set."`
	Validation Fraction           `json:"validation,omitempty" placeholder:"FRACTION" help:"Fraction of the training set to hold out for validation, as in 0.1. The same fraction of each class is drawn, by --seed."`
	Shifts     CountOrNone        `json:"shifts,omitempty" default:"0" placeholder:"N" help:"Also train on copies of each training image, shifted by 1 to N pixels up, down, left and right, with 0 in empty pixels. The training set then has 1 + 4·N times as many rows, and takes as much more memory. Validation rows are not shifted."`
	Layers     Layers             `json:"layers" default:"128" help:"Sizes of the hidden layers, as in 500,150, or none."`
	Preprocess dataset.Preprocess `json:"preprocess" default:"max" enum:"max, standard, feature, column, none" help:"Scaling of the features, fitted on the training set: ${enum}. max divides by the largest value. standard subtracts the mean and divides by the standard deviation of all values, feature by those of each feature, column by those of each column of an image. none leaves the values as they are."`
	Scaling
	Init network.Init `json:"init" default:"he" enum:"normal, he" help:"Initial weights: ${enum}. Both are normally distributed: normal with standard deviation 0.01, he with √(2/inputs)."`
	Seed uint64       `json:"seed" default:"1" help:"Random seed of the initial weights, the order of the batches, and every random split of the data."`
	LR   Rate         `json:"lr" name:"lr" placeholder:"RATE" of:"optimizer" help:"Learning rate. Default: ${rates}."`

	Precision kernels.Precision `json:"precision" default:"float32" enum:"float32, tf32, bf16, bf16x3" help:"Precision of the operands of matrix products on an OpenCL device: ${enum}. Sums are float32. All but float32 need tensor cores (NVIDIA, sm_80 or later). bf16x3 is as precise as float32."`
}

// A File is a recipe that was read: what the file leaves out has its default.
type File struct {
	Recipe
	given map[string]string // key → value as a flag would have it
}

// Value returns the value that the file has for a flag, in the flag's own words,
// and whether it has one.
func (f File) Value(flag string) (string, bool) {
	text, ok := f.given[strings.ReplaceAll(flag, "-", "_")]
	return text, ok
}

// Of returns the flags that a flag's value belongs to, as the rate to the optimizer that
// the file names: where one of them is given, the value is not taken from the file.
func Of(flag string) []string { return of[strings.ReplaceAll(flag, "-", "_")] }

var of = func() map[string][]string {
	flags := map[string][]string{}
	for _, f := range fields(recipeType) {
		if names, ok := f.Tag.Lookup("of"); ok {
			flags[f.key] = strings.Split(names, ",")
		}
	}
	return flags
}()

//go:embed builtin/*.json
var builtin embed.FS

// Names returns the names of the built-in recipes: those of documents in their order, then
// the program's own.
func Names() []string { return slices.Clone(names) }

var names = []string{"assignment", "nn-class", "iiakshat", "chang", "biswas", "fast", "best"}

// ErrUnknown reports a name that is neither a built-in recipe nor a file.
var ErrUnknown = errors.New("unknown recipe")

// maxBytes bounds a file, far beyond what a recipe needs.
const maxBytes = 1 << 20

// Load returns the built-in recipe of that name, or what the file holds; a
// directory stands for its [FileName].
func Load(name string) (File, error) {
	if slices.Contains(names, name) {
		content, err := Text(name)
		if err != nil {
			return File{}, err
		}
		return Parse(name, content)
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(name, FileName)
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, fmt.Errorf("%w %q: %s or a file is expected%s", ErrUnknown, name, strings.Join(names, ", "), text.Suggest(name, names...))
	}
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return File{}, err
	}
	return Parse(name, content)
}

// Text returns the file of a built-in recipe.
func Text(name string) ([]byte, error) {
	return builtin.ReadFile(path.Join("builtin", name+".json"))
}

// Parse reads a recipe. name is that of the file, for messages.
func Parse(name string, text []byte) (File, error) {
	if len(text) > maxBytes {
		return File{}, fmt.Errorf("%s: has more than %d bytes: is this a recipe?", name, maxBytes)
	}
	f := File{given: map[string]string{}}
	if err := setDefaults(&f.Recipe); err != nil {
		return File{}, err
	}
	if err := decode(name, text, &f.Recipe, f.given); err != nil {
		return File{}, err
	}
	return f, nil
}

// Encode returns the recipe as a file.
func (r Recipe) Encode() ([]byte, error) {
	r.Version = version
	if r.Layers == nil {
		r.Layers = Layers{} // null is no list
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, err
	}
	return numbers.ReplaceAllFunc(b.Bytes(), func(list []byte) []byte {
		return bytes.ReplaceAll(bytes.Join(bytes.Fields(list), nil), []byte(","), []byte(", "))
	}), nil
}

// numbers are lists of numbers as the encoder indents them, one to a line. A
// string has no line's end in it.
var numbers = regexp.MustCompile(`\[\n[-+0-9.eE,\s]*\]`)
