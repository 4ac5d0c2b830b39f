package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// loadDir loads the set of a directory of IDX files.
func loadDir(ctx context.Context, dir string) (Set, error) {
	var paths [4]string
	var missing []string
	for i, name := range partNames {
		path, err := findPart(dir, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, name)
		case err != nil:
			return Set{}, err
		}
		paths[i] = path
	}
	if len(missing) > 0 {
		return Set{}, fmt.Errorf("%s: %s not found, with or without .gz: all of %s are expected",
			dir, strings.Join(missing, ", "), strings.Join(partNames[:], ", "))
	}

	var parts [4]part
	for i, path := range paths {
		if err := ctx.Err(); err != nil {
			return Set{}, fmt.Errorf("%s: loading was stopped: %w", dir, err)
		}
		array, err := readFile(path)
		if err != nil {
			return Set{}, err
		}
		parts[i] = makePart(i, path, array)
	}
	return assemble(baseName(dir), parts)
}

// findPart returns the path of the first of a file's spellings that is there:
// raw before gzip, "images-idx3" before "images.idx3".
func findPart(dir, name string) (string, error) {
	dotted := strings.Replace(name, "-idx", ".idx", 1)
	for _, spelling := range []string{name, name + ".gz", dotted, dotted + ".gz"} {
		path := filepath.Join(dir, spelling)
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fs.ErrNotExist
}

// readFile reads the IDX file at path, or maps it.
func readFile(path string) (Array, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return Array{}, err
	}
	defer f.Close()
	if a, ok, err := mapIDX(f, path, size); ok || err != nil {
		return a, err
	}
	return ReadIDX(f, path, size)
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
