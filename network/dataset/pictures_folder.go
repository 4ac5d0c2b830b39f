package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"clgrad/network"
)

// maxDepth bounds folders within folders. Links may lead in circles.
const maxDepth = 16

// A pictureFolder is a folder with pictures in it.
type pictureFolder struct {
	path     string
	pictures []string // in the order of their names
	folders  []pictureFolder
	others   []string // files that are no pictures
}

func (f pictureFolder) name() string { return filepath.Base(f.path) }

// all returns the pictures of the folder and of those in it.
func (f pictureFolder) all() []string {
	paths := slices.Clone(f.pictures)
	for _, g := range f.folders {
		paths = append(paths, g.all()...)
	}
	return paths
}

// passedOver returns the files of the folder and of those in it that are no pictures.
func (f pictureFolder) passedOver() []string {
	paths := slices.Clone(f.others)
	for _, g := range f.folders {
		paths = append(paths, g.passedOver()...)
	}
	return paths
}

// readFolder lists a folder. What is hidden, and what macOS adds to archives, is passed over.
func readFolder(ctx context.Context, path string, depth int) (f pictureFolder, err error) {
	f.path = path
	if err := ctx.Err(); err != nil {
		return f, fmt.Errorf("%s: loading was stopped: %w", path, err)
	}
	if depth > maxDepth {
		return f, fmt.Errorf("%s: is more than %d folders deep: is it a link to one above?", path, maxDepth)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return f, err
	}
	for _, e := range entries {
		at := filepath.Join(path, e.Name())
		hidden := strings.HasPrefix(e.Name(), ".")
		directory := isDirectory(e, at)
		switch {
		case directory && (hidden || e.Name() == "__MACOSX"):
		case directory:
			g, err := readFolder(ctx, at, depth+1)
			if err != nil {
				return f, err
			}
			f.folders = append(f.folders, g)
		case !hidden && (namedPicture(e.Name()) || sniffPicture(beginning(at)) >= 0):
			f.pictures = append(f.pictures, at)
		default:
			f.others = append(f.others, at)
		}
	}
	return f, nil
}

// isDirectory reports a directory, or a link to one, at a path. Where a link leads nowhere,
// reading says so.
func isDirectory(e fs.DirEntry, path string) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// picturesKind is what a folder of pictures is called.
const picturesKind = "a folder of pictures"

// HoldsPictures reports whether a path is that of a PNG or JPEG file, or of a directory
// with pictures in it or in folders of it, and not with IDX files. "-" is none.
func HoldsPictures(path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false
	case !info.IsDir():
		i := sniffPicture(beginning(path))
		return i >= 0 && formats[i].decode != nil
	}
	if sets, err := findSets(path); err != nil || len(sets) > 0 {
		return false
	}
	return hasPicture(path, 0)
}

// hasPicture looks for a file with the name of a picture.
func hasPicture(path string, depth int) bool {
	entries, err := os.ReadDir(path)
	if err != nil || depth > 4 {
		return false
	}
	var folders []string
	for _, e := range entries {
		at := filepath.Join(path, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if isDirectory(e, at) {
			folders = append(folders, at)
		} else if namedPicture(e.Name()) {
			return true
		}
	}
	return slices.ContainsFunc(folders, func(at string) bool { return hasPicture(at, depth+1) })
}

// The parts of a folder that is divided already.
const (
	trainPart = iota
	validationPart
	testPart
	pictureParts
)

var partFolders = [pictureParts][]string{{"train", "training"}, {"val", "valid", "validation"}, {"test", "testing"}}

// partOf returns which part a folder is by its name, -1 if none.
func partOf(f pictureFolder) int {
	return slices.IndexFunc(partFolders[:], func(names []string) bool { return slices.Contains(names, strings.ToLower(f.name())) })
}

// divide returns the folders of the parts: those in train, val and test, where train has
// folders and nothing but them, or else the folder itself as the training set.
func (f pictureFolder) divide() (divided [pictureParts]*pictureFolder, err error) {
	train := slices.IndexFunc(f.folders, func(g pictureFolder) bool { return partOf(g) == trainPart })
	if train < 0 || len(f.folders[train].folders) == 0 || len(f.folders[train].pictures) > 0 {
		divided[trainPart] = &f
		return divided, nil
	}
	for i := range f.folders {
		g := &f.folders[i]
		switch part := partOf(*g); {
		case part < 0 && len(g.all()) > 0:
			return divided, fmt.Errorf("%s: stands beside %s, which has the training set's classes: %s are expected there, or nothing but folders of classes",
				g.path, f.folders[train].path, "train, val and test")
		case part < 0:
		case divided[part] != nil:
			return divided, fmt.Errorf("%s: is the same part of the set as %s: one of them is expected", g.path, divided[part].path)
		default:
			divided[part] = g
		}
	}
	return divided, nil
}

// loadPictures loads the set of a folder of pictures.
func (l library) loadPictures(ctx context.Context, dir string) (Set, error) {
	l, err := l.readingOf(dir, picturesKind, "Shape")
	if err != nil {
		return Set{}, err
	}
	top, err := readFolder(ctx, dir, 0)
	if err != nil {
		return Set{}, err
	}
	divided, err := top.divide()
	if err != nil {
		return Set{}, err
	}
	l.noteOthers(top)
	set := Set{Name: baseName(dir), ClassNames: l.Classes}
	var lists [pictureParts][]Picture
	for i, f := range divided {
		if f == nil {
			continue
		}
		if i != trainPart && len(f.pictures) > 0 && len(f.folders) == 0 {
			l.logf("%s: its %d pictures are in no folder of a class, so that nothing can be compared with them: they are passed over", f.path, len(f.pictures))
			continue
		}
		if err := l.checkClasses(*f); err != nil {
			return Set{}, err
		}
		if set.ClassNames == nil {
			set.ClassNames = f.classes()
			if len(set.ClassNames) < 2 {
				return Set{}, fmt.Errorf("%s: has pictures in %s: a folder for each of at least two classes is expected%s", f.path, oneFolder(set.ClassNames), f.hint())
			}
		}
		if lists[i], err = l.list(*f, set.ClassNames); err != nil {
			return Set{}, err
		}
	}
	set.Classes = len(set.ClassNames)
	all := slices.Concat(lists[:]...)
	if len(all) == 0 {
		return Set{}, fmt.Errorf("%s: has no picture in a folder of a class", dir)
	}
	if lists[trainPart] == nil {
		return Set{}, fmt.Errorf("%s: has no picture in a folder of a class", divided[trainPart].path)
	}
	c := Conversion{}
	if l.Pictures != nil {
		c = *l.Pictures
	}
	if l.Shape != nil {
		c.Shape = l.Shape
	}
	narrow := false // to grey, where there is no colour
	if c.Shape == nil {
		if c.Shape, err = commonShape(ctx, dir, all); err != nil {
			return Set{}, err
		}
		narrow = len(c.Shape) == 3
	}
	if len(c.Shape) == 3 && c.Shape[2] == 1 {
		c.Shape = c.Shape[:2]
	}
	if err := c.check(); err != nil {
		return Set{}, fmt.Errorf("%s: %w", dir, err)
	}
	samples, coloured, err := l.readPictures(ctx, all, c)
	if err != nil {
		return Set{}, err
	}
	if narrow && coloured == 0 {
		c.Shape = c.Shape[:2]
		grey := make([]uint8, 0, len(samples.Bytes)/3)
		for i := 0; i < len(samples.Bytes); i += 3 {
			grey = append(grey, samples.Bytes[i])
		}
		samples.Bytes, samples.Features = grey, samples.Features/3
	} else if narrow {
		l.logf("%s: %d of %d pictures have colours: samples are %s (Reading.Shape %dx%d takes them grey)", dir, coloured, len(all), times(c.Shape), c.Shape[0], c.Shape[1])
	}
	samples = c.inUnits(samples)
	at := 0
	for i, to := range []*network.Samples{trainPart: &set.Train, validationPart: &set.Validation, testPart: &set.Test} {
		if n := len(lists[i]); n > 0 {
			*to = samples.Slice(at, n)
			at += n
		}
	}
	set.Shape, set.Pictures = c.Shape, c.Method == Resize
	set.Digest = Digest(set.Shape, set.Train, set.Test)
	return set, nil
}

func oneFolder(classes []string) string {
	if len(classes) == 0 {
		return "no folder"
	}
	return fmt.Sprintf("one folder, %s", classes[0])
}

// hint says where the folders of classes may be.
func (f pictureFolder) hint() string {
	for _, g := range f.folders {
		if len(g.folders) > 1 {
			return fmt.Sprintf(": is %s the data set?", g.path)
		}
	}
	return ""
}

// noteOthers names the first file that is no picture.
func (l library) noteOthers(f pictureFolder) {
	switch others := f.passedOver(); len(others) {
	case 0:
	case 1:
		l.logf("%s: is no picture and is passed over", others[0])
	default:
		l.logf("%s: %d files are no pictures and are passed over, the first is %s", f.path, len(others), others[0])
	}
}

// checkClasses reports a part of a set whose pictures are not all in folders of classes,
// and names the folders that have none.
func (l library) checkClasses(f pictureFolder) error {
	if len(f.pictures) > 0 {
		return fmt.Errorf("%s: stands in no folder of a class: %s has a folder for each class", f.pictures[0], f.path)
	}
	for _, g := range f.folders {
		if !utf8.ValidString(g.name()) {
			return fmt.Errorf("%q: the name of a class is not UTF-8", g.path)
		}
		if len(g.all()) == 0 {
			l.logf("%s: has no picture, so that no row has this class", g.path)
		}
	}
	return nil
}

// classes returns the names of the folders with pictures: by their numbers if all are
// whole numbers, by the bytes of their names otherwise.
func (f pictureFolder) classes() []string {
	var names []string
	for _, g := range f.folders {
		if len(g.all()) > 0 {
			names = append(names, g.name())
		}
	}
	number := func(name string) int {
		n, err := strconv.ParseUint(name, 10, 31)
		if err != nil {
			return -1
		}
		return int(n)
	}
	numbers := !slices.ContainsFunc(names, func(name string) bool { return number(name) < 0 })
	slices.SortFunc(names, func(a, b string) int {
		if numbers && number(a) != number(b) {
			return number(a) - number(b)
		}
		return strings.Compare(a, b)
	})
	return names
}

// list returns the pictures of a part: the first of each class, then the second of each, and so
// on, so that the first rows of a set have all classes.
func (l library) list(f pictureFolder, classes []string) ([]Picture, error) {
	paths := make([][]string, len(classes))
	n := 0
	for _, g := range f.folders {
		all := g.all()
		if len(all) == 0 {
			continue
		}
		class := slices.Index(classes, g.name())
		if class < 0 {
			return nil, fmt.Errorf("%s: %.80q is no class: %s are", g.path, g.name(), list(classes))
		}
		paths[class] = all
		n = max(n, len(all))
	}
	var pictures []Picture
	for i := range n {
		for class, all := range paths {
			if i < len(all) {
				pictures = append(pictures, Picture{all[i], int32(class)})
			}
		}
	}
	return pictures, nil
}

// maxSide is the longest side that pictures may have where no shape is given: every pixel
// is an input.
const maxSide = 256

// commonShape returns the size that all pictures have, with three channels where any file
// has room for colour.
func commonShape(ctx context.Context, dir string, pictures []Picture) ([]int, error) {
	all, err := headers(ctx, pictures)
	if err != nil {
		return nil, err
	}
	h, w := all[0].upright()
	coloured := false
	for i, header := range all {
		if h2, w2 := header.upright(); h2 != h || w2 != w {
			return nil, fmt.Errorf("%s: pictures have different sizes, as %s with %d rows and %d columns and %s with %d and %d: Reading.Shape brings all to one, as in Reading.Shape 28x28 for grey or 32x32x3 for colour",
				dir, pictures[0].Path, h, w, pictures[i].Path, h2, w2)
		}
		coloured = coloured || header.coloured
	}
	if max(h, w) > maxSide {
		return nil, fmt.Errorf("%s: pictures have %d rows and %d columns, and each pixel would be an input: Reading.Shape makes them smaller, as in Reading.Shape 64x64 for grey or 64x64x3 for colour", dir, h, w)
	}
	if coloured {
		return []int{h, w, 3}, nil
	}
	return []int{h, w}, nil
}

// FindPictures returns the pictures to be predicted at a path, which is that of a file, "-"
// for standard input, or a directory: its test set where it has folders train and test,
// otherwise all in it. They have classes where they stand in folders all of whose names are
// in Options.Classes. Told to Options.Log: files that are no pictures, and folders that are
// none of classes.
func FindPictures(ctx context.Context, path string, o Options) ([]Picture, error) {
	l, err := library{nil, o}.readingOf(path, picturesKind, "Shape")
	if err != nil {
		return nil, err
	}
	switch info, err := os.Stat(path); {
	case path == StandardInput || err == nil && !info.IsDir():
		return []Picture{{path, -1}}, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: not found: a PNG or JPEG picture, or a folder of them, is expected", path)
	case err != nil:
		return nil, err
	}
	top, err := readFolder(ctx, path, 0)
	if err != nil {
		return nil, err
	}
	l.noteOthers(top)
	f := &top
	if divided, err := top.divide(); err == nil && divided[trainPart].path != top.path {
		if f = divided[trainPart]; divided[testPart] != nil {
			f = divided[testPart]
		}
	}
	all := f.all()
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: has no picture", f.path)
	}
	named := len(f.folders) > 0 && len(f.pictures) == 0
	for _, g := range f.folders {
		if named = named && (slices.Contains(o.Classes, g.name()) || len(g.all()) == 0); !named {
			if len(f.pictures) == 0 {
				l.logf("%s: is no class of the model: the folders' names are not taken for classes", g.path)
			}
			break
		}
	}
	pictures := make([]Picture, 0, len(all))
	for _, path := range f.pictures {
		pictures = append(pictures, Picture{path, -1})
	}
	for _, g := range f.folders {
		class := int32(-1)
		if named {
			class = int32(slices.Index(o.Classes, g.name()))
		}
		for _, path := range g.all() {
			pictures = append(pictures, Picture{path, class})
		}
	}
	return pictures, nil
}
