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
)

// A Set is a training and a test set of one kind of samples.
type Set struct {
	Name    string          // of the named set, or the directory's own name without its path
	Named   bool            // a named set, no directory
	Train   network.Samples // raw: the scaling is empty until Preprocess
	Test    network.Samples
	Classes int    // 1 + the largest label of both sets, at least 2
	Shape   []int  // of a sample's features: [28 28] for images of 28 rows and 28 columns
	Digest  string // see Digest
}

// Options says how sets are found. The zero value is usable.
type Options struct {
	// CacheDir is where named sets are kept, each in a folder of its name; ""
	// is clgrad in the user's cache directory (see os.UserCacheDir).
	CacheDir string

	// Offline keeps from asking sources that need a network.
	Offline bool

	// Log, where not nil, is told in one line without an end what takes time
	// or went wrong on the way: downloads, damaged files, an unwritable cache.
	Log func(line string)
}

// Load returns a named set or that of a directory of IDX files. An error is one
// line that begins with the name or file it is about.
func Load(ctx context.Context, name string, o Options) (Set, error) {
	return library{sets, o}.load(ctx, name)
}

func (l library) load(ctx context.Context, name string) (Set, error) {
	if named, ok := l.find(name); ok {
		set, err := l.loadNamed(ctx, named)
		set.Named = err == nil
		return set, err
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Set{}, fmt.Errorf("data set %q is unknown and no directory: %s or a directory of IDX files is expected",
			name, strings.Join(l.names(), ", "))
	case err != nil:
		return Set{}, err
	case !info.IsDir():
		return Set{}, fmt.Errorf("%s: is a file where %s or a directory of IDX files is expected",
			name, strings.Join(l.names(), ", "))
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

// A part is one of the four files, read.
type part struct {
	file string // for messages
	Array
}

// assemble makes a set of its four files, or reports how they contradict each
// other.
func assemble(name string, parts [4]part) (Set, error) {
	for i, p := range parts {
		rank := len(p.Shape)
		if labels := i == trainLabels || i == testLabels; labels && rank != 1 {
			return Set{}, fmt.Errorf("%s: has dimensions %s where one dimension of labels is expected", p.file, times(p.Shape))
		} else if !labels && rank == 1 {
			return Set{}, fmt.Errorf("%s: has one dimension of %d where rows of features, 2 to %d dimensions, are expected",
				p.file, p.Shape[0], maxRank)
		}
	}
	for _, pair := range [][2]int{{trainImages, trainLabels}, {testImages, testLabels}} {
		images, labels := parts[pair[0]], parts[pair[1]]
		if images.Shape[0] != labels.Shape[0] {
			return Set{}, fmt.Errorf("%s: has %d labels where %d are expected, one a row of %s",
				labels.file, labels.Shape[0], images.Shape[0], filepath.Base(images.file))
		}
	}
	shape := parts[trainImages].Shape[1:]
	if test := parts[testImages]; !slices.Equal(test.Shape[1:], shape) {
		return Set{}, fmt.Errorf("%s: has samples of shape %s where %s is expected, as in %s",
			test.file, times(test.Shape[1:]), times(shape), filepath.Base(parts[trainImages].file))
	}
	// Labels are bytes, so there are 256 classes at most.
	classes := 1 + int(max(slices.Max(parts[trainLabels].Data), slices.Max(parts[testLabels].Data)))
	if classes < 2 {
		return Set{}, fmt.Errorf("%s: has no label but 0, nor has the test set: at least two classes are expected",
			parts[trainLabels].file)
	}
	set := Set{
		Name:    name,
		Train:   samples(parts[trainImages], parts[trainLabels]),
		Test:    samples(parts[testImages], parts[testLabels]),
		Classes: classes,
		Shape:   shape,
	}
	set.Digest = Digest(shape, set.Train, set.Test)
	return set, nil
}

func samples(images, labels part) network.Samples {
	s := network.Samples{
		Rows:     images.Shape[0],
		Features: len(images.Data) / images.Shape[0],
		Bytes:    images.Data,
		Labels:   make([]int32, len(labels.Data)),
	}
	for i, y := range labels.Data {
		s.Labels[i] = int32(y)
	}
	return s
}

// Digest returns the hexadecimal SHA-256 of a set's samples, by which a resumed
// run recognises its data. Names and scaling have no part in it. What is hashed,
// every integer little-endian:
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
			h.Write(s.Bytes)
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
