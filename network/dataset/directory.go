package dataset

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// idxFile is the name of one of a set's IDX files: what stands before it is the set's.
// EMNIST's are emnist-letters-train-images-idx3-ubyte.gz and so on.
var idxFile = regexp.MustCompile(`^(?i:(.*?)[-_]?(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?)$`)

// An idxPart is a file that holds a part of a set.
type idxPart struct {
	path  string
	worse int // a file is taken before others of the same part that are worse
}

// findSets returns the IDX files of a directory: by what their names begin with, and in
// the order of partNames. Raw files stand before compressed ones, "images-idx3" before
// "images.idx3", t10k before test. A directory that has a file's name stands for the file
// in it, as in Kaggle's archives.
func findSets(dir string) (map[string]*[4]idxPart, error) {
	sets := make(map[string]*[4]idxPart)
	return sets, walkIDX(dir, func(path string, name []string) {
		set := sets[name[1]]
		if set == nil {
			set = new([4]idxPart)
			sets[name[1]] = set
		}
		part, kind, worse := trainImages, strings.ToLower(name[2]), 0
		if kind != "train" {
			part = testImages
		}
		if strings.EqualFold(name[3], "labels") {
			part++
		}
		for i, bad := range []bool{strings.Contains(name[0], ".idx"), name[4] != "", kind == "test", filepath.Dir(path) != filepath.Clean(dir)} {
			if bad {
				worse |= 1 << i
			}
		}
		if have := set[part]; have.path == "" || worse < have.worse {
			set[part] = idxPart{path, worse}
		}
	})
}

// walkIDX visits the IDX files of a directory and of those in it that have a file's name.
func walkIDX(dir string, visit func(path string, name []string)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := idxFile.FindStringSubmatch(e.Name())
		if name == nil {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			visit(path, name)
			continue
		}
		inside, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		for _, e := range inside {
			if name := idxFile.FindStringSubmatch(e.Name()); name != nil {
				visit(filepath.Join(path, e.Name()), name)
			}
		}
	}
	return nil
}

// hasPrefix reports whether a directory has IDX files whose names begin so.
func hasPrefix(dir, prefix string) bool {
	sets, err := findSets(dir)
	return err == nil && sets[prefix] != nil
}

// findFiles returns the four files of a directory's set, whose names begin with prefix.
// "" is no prefix, or the only one that there is.
func findFiles(dir, prefix string) (paths [4]string, _ string, err error) {
	sets, err := findSets(dir)
	if err != nil {
		return paths, "", err
	}
	if prefix == "" && sets[""] == nil && len(sets) > 0 {
		names := slices.Sorted(maps.Keys(sets))
		if prefix = names[0]; len(names) > 1 {
			return paths, "", fmt.Errorf("%s: holds the sets %s: one of them is expected, as in %s", dir, list(names), filepath.Join(dir, prefix))
		}
	}
	set := sets[prefix]
	if set == nil {
		set = new([4]idxPart)
	}
	names := partNames
	var missing []string
	for i, part := range set {
		if prefix != "" {
			names[i] = prefix + "-" + strings.Replace(names[i], "t10k", "test", 1)
		}
		if paths[i] = part.path; part.path == "" {
			missing = append(missing, names[i])
		}
	}
	if len(missing) == len(names) {
		return paths, "", fmt.Errorf("%s: has neither pictures in a folder for each class nor %s, with or without .gz: one of both is expected", dir, strings.Join(names[:], ", "))
	}
	if len(missing) > 0 {
		return paths, "", fmt.Errorf("%s: %s not found, with or without .gz: all of %s are expected",
			dir, strings.Join(missing, ", "), strings.Join(names[:], ", "))
	}
	return paths, prefix, nil
}

// loadDir loads the set of a directory of IDX files whose names begin with prefix.
func (l library) loadDir(ctx context.Context, dir, prefix string) (Set, error) {
	name := filepath.Join(dir, prefix)
	l, err := l.readingOf(name, "a directory of IDX files", "Shape", "Transpose")
	if err != nil {
		return Set{}, err
	}
	paths, prefix, err := findFiles(dir, prefix)
	if err != nil {
		return Set{}, err
	}
	var all parts
	left := l.memory()
	for i, path := range paths {
		if err := ctx.Err(); err != nil {
			return Set{}, fmt.Errorf("%s: loading was stopped: %w", dir, err)
		}
		array, err := readFile(path, !l.Transpose, &left)
		if err != nil {
			return Set{}, err
		}
		all[i] = makePart(i, path, array)
	}
	if !l.Transpose && strings.Contains(strings.ToLower(filepath.Base(name)+prefix), "emnist") {
		l.logf("%s: EMNIST's files have rows and columns of the images exchanged: Reading.Transpose puts them upright", name)
	}
	return l.assemble(baseName(name), all)
}

// memory returns how many bytes arrays may take.
func (l library) memory() int64 {
	if l.MaxBytes > 0 {
		return l.MaxBytes
	}
	return math.MaxInt64
}

// readFile reads the IDX file at path, or maps it, as mapIDX says. It takes what is read from
// the memory that is left. The elements of a file that is not to be mapped can be changed.
func readFile(path string, toMap bool, left *int64) (Array, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return Array{}, err
	}
	defer f.Close()
	if toMap {
		if a, ok, err := mapIDX(f, path, size); ok || err != nil {
			return a, err
		}
	}
	a, err := readIDXWithin(f, path, size, *left)
	*left -= int64(len(a.Data))
	return a, err
}

// openRegular opens a file with content of a fixed size. A pipe in its place
// would block for ever and a device never end, so they are refused unopened.
func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// baseName returns the directory's own name. Configurations and models store
// it, and they hold no paths.
func baseName(dir string) string {
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	return filepath.Base(dir)
}
