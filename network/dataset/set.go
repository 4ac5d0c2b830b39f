package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
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
	Validation network.Samples // that of the file, or see Split
	Test       network.Samples
	Classes    int      // at least 2; 0 where no labels are known
	ClassNames []string // in the order of the classes; nil where they are 0, 1, 2, … and none is left out
	Columns    *Columns // of a CSV file; nil for others
	Shape      []int    // of a sample's features: [28 28] for images of 28 rows and 28 columns
	Digest     string   // see Digest; Split and Shift leave it as it is
	Pictures   bool     // the samples were pictures, of which nothing was changed but the size
	LeftOut    int      // rows of its files that have no part in it, for a gap ([Drop])
	Gaps       bool     // values may be missing, and NaN stand in their place: see FillGaps
}

// String describes the set in a line, as in "mnist: 60000 rows of 784 features (bytes) to train on,
// 10000 to test on, 10 classes".
func (s Set) String() string {
	text := fmt.Sprintf("%s: %v to train on", s.Name, s.Train)
	for _, part := range []struct {
		rows int
		use  string
	}{{s.Validation.Rows, "validate with"}, {s.Test.Rows, "test on"}} {
		if part.rows > 0 {
			text += fmt.Sprintf(", %d to %s", part.rows, part.use)
		}
	}
	if s.Classes > 0 {
		text += fmt.Sprintf(", %d classes", s.Classes)
	}
	return text
}

// Options says how sets are found and, for CSV files, what their columns mean.
// The zero value is usable.
type Options struct {
	// CacheDir is where named sets are kept, each in a folder of its name; ""
	// is clgrad in the user's cache directory (see os.UserCacheDir).
	CacheDir string

	// Offline keeps from asking sources that need a network.
	Offline bool

	// Log, where not nil, is told in one line without an end what went wrong on the
	// way, such as a damaged file or an unwritable cache, and which reading of a file was
	// taken where another one was possible.
	Log func(line string)

	// Info is told in the same way what takes time: which sources are asked, and what is
	// downloaded. nil is Log.
	Info func(line string)

	// MaxBytes bounds what the arrays of a set, or the features of a CSV file, may hold in memory,
	// such as the machine's memory; 0 is no bound. A file of 1 MB can hold 1 GB. Mapped files
	// do not count.
	MaxBytes int64

	// Progress, where not nil, is told how many bytes of a file were read, and how many
	// it has, -1 where that is not known.
	Progress func(done, total int64)

	// Download, where not nil, is told in the same way of a file of a named set that is downloaded.
	// Where it ends, whole or not, done is total.
	Download func(file string, done, total int64)

	// Input is what the name [StandardInput] stands for; nil is os.Stdin.
	Input io.Reader

	Reading

	// Trained is how the training set of a model was read, for the rows that the
	// model is to have: it stands in for what Reading leaves out, as far as the kind
	// of file has a use for it. What Reading says and has no use is an error.
	Trained Reading

	// Columns are those that a CSV file has to have, as those of the set that a
	// network was trained on: features are put into their order by their names
	// where both have names, and are counted otherwise. nil is what the file has.
	Columns *Columns

	// Test is the CSV file of the test set, "" for none. Its columns have to be
	// those of the training set, as in Columns. Only a CSV file has a use for it.
	Test string

	// Classes are the names that labels may have, in the order of the classes; nil
	// is those that the training set has, sorted. Of IDX and NPZ files, whose labels
	// are whole numbers, they are the labels' names, or their classes where no name is
	// a whole number.
	Classes []string

	// Pictures says how pictures become rows: nil is by resizing them to Shape, or if that
	// is nil too, by their own size.
	Pictures *Conversion

	// Unlabelled lets a file do without labels, a CSV file where Label is "": those of
	// its samples are nil. So are those of an IDX or NPZ file that Classes have not.
	Unlabelled bool
}

// ErrUnknown reports a name that is neither that of a named set nor of anything that is there.
var ErrUnknown = errors.New("is neither a known name nor a file")

// Load returns a named set, that of a directory of IDX files or of a folder of pictures, or
// that of a CSV or NPZ file. An error is one line that begins with the name or file it is
// about.
//
// Raw IDX files of 32 MiB and more are mapped into memory (package mapped), unless they are to be
// transposed: they may be larger than it, and are to stay as they are for as long as the set is used.
func Load(ctx context.Context, name string, o Options) (set Set, err error) {
	err = mapped.Guard(func() error {
		set, err = library{sets, o}.load(ctx, name)
		return err
	})
	return set, err
}

func (l library) load(ctx context.Context, name string) (Set, error) {
	if named, ok := l.find(name); ok {
		if _, err := l.readingOf(name, "a named set"); err != nil {
			return Set{}, err
		}
		return l.loadNamed(ctx, named)
	}
	if name == StandardInput {
		return l.loadFile(ctx, name)
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// The beginning of the names of IDX files chooses among several sets.
		if dir, prefix := filepath.Dir(name), filepath.Base(name); hasPrefix(dir, prefix) {
			return l.loadDir(ctx, dir, prefix)
		}
		return Set{}, fmt.Errorf("data set %q %w: %s, a directory of IDX files, a folder of pictures, a CSV or an NPZ file is expected",
			name, ErrUnknown, strings.Join(l.names(), ", "))
	case err != nil:
		return Set{}, err
	case !info.IsDir():
		return l.loadFile(ctx, name)
	}
	if HoldsPictures(name) {
		return l.loadPictures(ctx, name)
	}
	return l.loadDir(ctx, name, "")
}

// Digest returns the hexadecimal SHA-256 of a set's samples, by which a resumed
// run recognises its data: the training set, the test set, and the validation set
// where the file has one. Names and scaling have no part in it, nor have the rows
// that [Set.Split] holds back or shifted copies: what it and [Set.Shift] make of a set
// follows from the set and their arguments. The shape is that of the file. What is
// hashed, every integer little-endian:
//
//	"clgrad data 1\n"
//	uint64 rank of shape, then each dimension as uint64
//	for each of the sets:
//	    uint64 rows, uint64 features
//	    "B" and the features as bytes, or "F" and their float32 bits, row-major
//	    "L" and the labels as int32, or "-" where there are none
func Digest(shape []int, sets ...network.Samples) string {
	h := sha256.New()
	h.Write([]byte("clgrad data 1\n"))
	integers := []uint64{uint64(len(shape))}
	for _, d := range shape {
		integers = append(integers, uint64(d))
	}
	hashEach(h, integers, binary.LittleEndian.AppendUint64)
	for _, s := range sets {
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
