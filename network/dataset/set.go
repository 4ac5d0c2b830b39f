package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"clgrad/network"
	"clgrad/network/mapped"
)

// A Set is a training set of one kind of samples, with a test set and a
// validation set where there are such: their Rows are 0 otherwise.
type Set struct {
	Name       string          // of the named set, or the file's or directory's own name without its path
	Named      bool            // a named set, no file or directory
	Train      network.Samples // raw: the scaling is empty until Preprocess
	Validation network.Samples // see Split
	Test       network.Samples
	Classes    int      // at least 2; 0 where no labels are known
	ClassNames []string // in the order of the classes; nil where they are 0, 1, 2, …
	Columns    *Columns // of a CSV file; nil for others
	Shape      []int    // of a sample's features: [28 28] for images of 28 rows and 28 columns
	Digest     string   // see Digest; Split and Shift leave it as it is
}

// Options says how sets are found and, for CSV files, what their columns mean.
// The zero value is usable.
type Options struct {
	// CacheDir is where named sets are kept, each in a folder of its name; ""
	// is clgrad in the user's cache directory (see os.UserCacheDir).
	CacheDir string

	// Offline keeps from asking sources that need a network.
	Offline bool

	// Log, where not nil, is told in one line without an end what takes time
	// or went wrong on the way: downloads, damaged files, an unwritable cache.
	Log func(line string)

	// Label is the column of a CSV file that holds the labels: its name in the
	// header or its number, counted from 1; "" is that of Columns, or the column
	// named label.
	Label string

	// Columns are those that a CSV file has to have, as those of the set that a
	// network was trained on: features are put into their order by their names
	// where both have names, and are counted otherwise. nil is what the file has.
	Columns *Columns

	// Test is the CSV file of the test set, "" for none. Its columns have to be
	// those of the training set, as in Columns.
	Test string

	// Classes are the names that a CSV file's labels may have, in the order of
	// the classes; nil is those that it has, sorted.
	Classes []string

	// Unlabelled lets a CSV file do without labels where Label is "": those of its
	// samples are nil.
	Unlabelled bool
}

// Load returns a named set, that of a directory of IDX files, or that of a CSV
// or NPZ file. An error is one line that begins with the name or file it is
// about.
//
// Raw IDX files of 32 MiB and more are mapped into memory (package mapped): they may be larger
// than it, and are to stay as they are for as long as the set is used.
func Load(ctx context.Context, name string, o Options) (set Set, err error) {
	err = mapped.Guard(func() error {
		set, err = library{sets, o}.load(ctx, name)
		return err
	})
	return set, err
}

func (l library) load(ctx context.Context, name string) (Set, error) {
	if named, ok := l.find(name); ok {
		if err := l.noTable(name); err != nil {
			return Set{}, err
		}
		return l.loadNamed(ctx, named)
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Set{}, fmt.Errorf("data set %q is unknown and no file: %s, a directory of IDX files, a CSV or an NPZ file is expected",
			name, strings.Join(l.names(), ", "))
	case err != nil:
		return Set{}, err
	case !info.IsDir():
		return l.loadFile(ctx, name)
	}
	if err := l.noTable(name); err != nil {
		return Set{}, err
	}
	return loadDir(ctx, name)
}

// The four files of a set of the MNIST family.
const (
	trainImages = iota
	trainLabels
	testImages
	testLabels
)

var partNames = [4]string{
	"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
	"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
}

// A part is one of the four files or arrays, read: features as bytes or floats,
// or labels.
type part struct {
	file   string // for messages; "" where there is none
	shape  []int
	bytes  []uint8
	floats []float32
	labels []int32
}

// makePart makes part i of an IDX file.
func makePart(i int, file string, a Array) part {
	p := part{file: file, shape: a.Shape}
	if i == trainImages || i == testImages {
		p.bytes = a.Data
		return p
	}
	p.labels = make([]int32, len(a.Data))
	for i, y := range a.Data {
		p.labels[i] = int32(y)
	}
	return p
}

// assemble makes a set of its four parts, or of the first two where there is no
// test set, or reports how they contradict each other. There is a class for
// every number up to the largest label of both sets.
func assemble(name string, parts [4]part) (Set, error) {
	pairs := [][2]int{{trainImages, trainLabels}, {testImages, testLabels}}
	if parts[testImages].file == "" {
		pairs = pairs[:1]
	}
	for _, pair := range pairs {
		images, labels := parts[pair[0]], parts[pair[1]]
		switch {
		case len(labels.shape) != 1:
			return Set{}, fmt.Errorf("%s: has dimensions %s where one dimension of labels is expected", labels.file, times(labels.shape))
		case len(images.shape) == 1:
			return Set{}, fmt.Errorf("%s: has one dimension of %d where rows of features, 2 dimensions or more, are expected",
				images.file, images.shape[0])
		case images.shape[0] != labels.shape[0]:
			return Set{}, fmt.Errorf("%s: has %d labels where %d are expected, one a row of %s",
				labels.file, labels.shape[0], images.shape[0], filepath.Base(images.file))
		}
	}
	shape := parts[trainImages].shape[1:]
	if test := parts[testImages]; test.file != "" && !slices.Equal(test.shape[1:], shape) {
		return Set{}, fmt.Errorf("%s: has samples of shape %s where %s is expected, as in %s",
			test.file, times(test.shape[1:]), times(shape), filepath.Base(parts[trainImages].file))
	}
	classes := 0
	for _, pair := range pairs {
		classes = max(classes, 1+int(slices.Max(parts[pair[1]].labels)))
	}
	if classes < 2 {
		return Set{}, fmt.Errorf("%s: has no label but 0, nor has the test set: at least two classes are expected",
			parts[trainLabels].file)
	}
	set := Set{Name: name, Train: samples(parts[trainImages], parts[trainLabels]), Classes: classes, Shape: shape}
	if len(pairs) > 1 {
		set.Test = samples(parts[testImages], parts[testLabels])
	}
	set.Digest = Digest(shape, set.Train, set.Test)
	return set, nil
}

func samples(images, labels part) network.Samples {
	rows := images.shape[0]
	return network.Samples{
		Rows:     rows,
		Features: (len(images.bytes) + len(images.floats)) / rows,
		Bytes:    images.bytes,
		Floats:   images.floats,
		Labels:   labels.labels,
	}
}

// Digest returns the hexadecimal SHA-256 of a set's samples, by which a resumed
// run recognises its data. Names and scaling have no part in it, nor has a
// validation set or shifted copies: what [Set.Split] and [Set.Shift] make of a set
// follows from the set and their arguments. What is hashed, every integer little-endian:
//
//	"clgrad data 1\n"
//	uint64 rank of shape, then each dimension as uint64
//	for the training and then the test set:
//	    uint64 rows, uint64 features
//	    "B" and the features as bytes, or "F" and their float32 bits, row-major
//	    "L" and the labels as int32, or "-" where there are none
func Digest(shape []int, train, test network.Samples) string {
	h := sha256.New()
	h.Write([]byte("clgrad data 1\n"))
	integers := []uint64{uint64(len(shape))}
	for _, d := range shape {
		integers = append(integers, uint64(d))
	}
	hashEach(h, integers, binary.LittleEndian.AppendUint64)
	for _, s := range []network.Samples{train, test} {
		hashEach(h, []uint64{uint64(s.Rows), uint64(s.Features)}, binary.LittleEndian.AppendUint64)
		if s.Floats == nil {
			h.Write([]byte("B"))
			for part := range slices.Chunk(s.Bytes, 1<<20) {
				h.Write(part)
				mapped.Release()
			}
		} else {
			h.Write([]byte("F"))
			hashEach(h, s.Floats, func(b []byte, v float32) []byte {
				return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
			})
		}
		if s.Labels == nil {
			h.Write([]byte("-"))
		} else {
			h.Write([]byte("L"))
			hashEach(h, s.Labels, func(b []byte, v int32) []byte {
				return binary.LittleEndian.AppendUint32(b, uint32(v))
			})
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hashEach hashes values in the form that put gives them, some thousand at a
// time so that no copy of all of them is made.
func hashEach[T any](h hash.Hash, values []T, put func([]byte, T) []byte) {
	const most = 4096
	buffer := make([]byte, 0, 8*min(most, len(values)))
	for chunk := range slices.Chunk(values, most) {
		buffer = buffer[:0]
		for _, v := range chunk {
			buffer = put(buffer, v)
		}
		h.Write(buffer)
	}
}
