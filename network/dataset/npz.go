package dataset

import (
	"archive/zip"
	"fmt"
	"io"
	"math/bits"
	"path"
	"strconv"
	"strings"
)

// roles are what the arrays of an NPZ file hold, in the order of parts.
var roles = [6]string{"x", "y", "x_test", "y_test", "x_val", "y_val"}

// conventions are the names that arrays have, in the order of parts. A name stands at the
// end of a path in the archive, in small or capital letters.
var conventions = [...][6]string{
	{"x_train", "y_train", "x_test", "y_test", "x_val", "y_val"},                               // Keras
	{"train_images", "train_labels", "test_images", "test_labels", "val_images", "val_labels"}, // MedMNIST
	roles,
}

// numbered are the names that numpy.savez gives to arrays without one.
var numbered = [6]string{"arr_0", "arr_1"}

// loadArrays loads the set of an NPZ file, or the rows of an NPY file.
func (l library) loadArrays(r io.ReaderAt, path string, size int64, kind format) (Set, error) {
	if l.Arrays != nil {
		l.Trained.Arrays = nil
	}
	var set Set
	var err error
	if kind == npyFormat {
		if l, err = l.readingOf(path, "an NPY file", "Shape", "Transpose"); err == nil {
			set, err = l.readNPY(r, path, size)
		}
	} else if l, err = l.readingOf(path, "an NPZ file", "Shape", "Transpose", "Arrays"); err == nil {
		set, err = l.readNPZ(r, path, size)
	}
	return set, err
}

// readNPY reads the rows of an array alone, which have no labels.
func (l library) readNPY(r io.ReaderAt, name string, size int64) (Set, error) {
	if !l.Unlabelled {
		return Set{}, fmt.Errorf("%s: is one array without labels: an NPZ file with both is expected, as numpy.savez(FILE, x_train=…, y_train=…) writes it", name)
	}
	left := l.memory()
	p, err := readArray(io.NewSectionReader(r, 0, size), name, false, uint64(size), size, &left)
	if err != nil {
		return Set{}, err
	}
	return l.assemble("", parts{trainImages: p})
}

// readNPZ reads the set of an NPZ file, whose arrays have the names of one of the
// conventions, or those of Options.Arrays:
//
//	features  row-major or in Fortran order, a row a sample, of 2 dimensions or more:
//	          uint8 and bool, held as bytes; other integers and floats, as float32
//	labels    whole numbers of any type, one or n×1 dimensions; or n×K numbers with one 1 a
//	          row and 0 elsewhere, which are K classes
//
// Those of the test set and of the validation set may be missing; other arrays are passed
// over. Where classes are given, rows of a test set alone are those of the training set.
// name stands in messages; size is the number of bytes that r holds.
//
// Each array has to fill its place in the archive to the byte, and all of them
// may be unpacked to 1032 times the file's size, the limit of deflate, and to what the
// memory has room for (see Options.MaxBytes). Memory grows with the data that arrives, so a
// damaged or hostile file costs no more than its content: 1 or 4 bytes an element, and about
// twice that while an array is read. Every error is one line that begins with name and names
// the array.
func (l library) readNPZ(r io.ReaderAt, name string, size int64) (Set, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return Set{}, fmt.Errorf("%s: is no readable NPZ file: %w", name, err)
	}
	l, names, entries, err := l.findArrays(name, archive.File)
	if err != nil {
		return Set{}, err
	}
	total := uint64(0)
	for i, f := range entries {
		if f == nil {
			continue
		}
		sum, carry := bits.Add64(total, f.UncompressedSize64, 0)
		if total = sum; carry > 0 || total > uint64(mostInflated(size)) {
			return Set{}, fmt.Errorf("%s: %s has %d bytes, with which the file holds too much for its %d: at most %d times that, the limit of deflate, is possible",
				name, names[i], f.UncompressedSize64, size, maxDeflate)
		}
	}
	if i := l.lacks(entries); i >= 0 {
		return Set{}, l.missing(name, i, names, entries, archive.File)
	}
	var all parts
	left := l.memory()
	for i, f := range entries {
		if f == nil {
			continue
		}
		if all[i], err = readEntry(f, name+": "+names[i], i%2 == 1, size, &left); err != nil {
			return Set{}, err
		}
	}
	if all[trainImages].file == "" {
		all[trainImages], all[trainLabels] = all[testImages], all[testLabels]
		all[testImages], all[testLabels] = part{}, part{}
	}
	return l.assemble("", all)
}

// findArrays returns the arrays that are there and their names, in the order of parts.
// In the library Arrays has names that have to be there, and is nil without such.
func (l library) findArrays(name string, files []*zip.File) (_ library, names [6]string, found [6]*zip.File, err error) {
	for i, role := range roles {
		names[i] = l.Arrays[role]
	}
	if found, err = lookUp(name, files, names); err != nil {
		return l, names, found, err
	}
	inherited := l.Trained.Arrays != nil
	if l.Arrays == nil || inherited && count(found) == 0 {
		l.Arrays = nil
		names, found, err = l.guessArrays(name, files)
		return l, names, found, err
	}
	if inherited { // other data may have less
		l.Arrays = map[string]string{}
		for i, f := range found {
			if f != nil {
				l.Arrays[roles[i]] = names[i]
			}
		}
	}
	return l, names, found, nil
}

// lacks returns the first array that has to be there and is not, −1 where all are.
func (l library) lacks(found [6]*zip.File) int {
	model := l.Classes != nil || l.Unlabelled // whose rows these are
	for i, f := range found {
		pair := i &^ 1
		switch {
		case f != nil:
		case l.Arrays[roles[i]] != "":
			return i
		case i <= trainLabels && model && found[trainImages] == nil && found[testImages] != nil:
		case i%2 == 1 && found[pair] != nil && l.Unlabelled:
		case i > trainLabels && found[pair] == found[pair+1]: // neither is there
		default:
			return i
		}
	}
	return -1
}

// guessArrays finds the arrays of a set by the convention that most of them follow.
func (l library) guessArrays(name string, files []*zip.File) (names [6]string, found [6]*zip.File, err error) {
	names = conventions[0]
	most := 0
	for _, convention := range conventions {
		have, err := lookUp(name, files, convention)
		if err != nil {
			return names, found, err
		}
		if n := count(have); n > most {
			names, found, most = convention, have, n
		}
	}
	if most > 0 || arrays(files) > 2 {
		return names, found, nil
	}
	switch have, _ := lookUp(name, files, numbered); {
	case have[trainLabels] != nil && have[trainImages] != nil:
		l.logf("%s: arr_0 is taken for the features and arr_1 for the labels: Reading.Arrays x=arr_1,y=arr_0 exchanges them", name)
		return numbered, have, nil
	case have[trainImages] != nil && l.Unlabelled:
		return numbered, have, nil
	}
	return names, found, nil
}

// count returns how many arrays are there.
func count(found [6]*zip.File) (n int) {
	for _, f := range found {
		if f != nil {
			n++
		}
	}
	return n
}

// arrayName returns the name of an entry that may be an array, "" of a folder.
func arrayName(f *zip.File) string {
	if strings.HasSuffix(f.Name, "/") {
		return ""
	}
	return strings.TrimSuffix(f.Name, ".npy")
}

// arrays returns how many arrays an archive may have.
func arrays(files []*zip.File) (n int) {
	for _, f := range files {
		if arrayName(f) != "" {
			n++
		}
	}
	return n
}

// lookUp finds arrays by their names: whole ones are better than the ends of paths, and
// these better than such in other letters.
func lookUp(name string, files []*zip.File, names [6]string) (found [6]*zip.File, err error) {
	for i, wanted := range names {
		if wanted == "" {
			continue
		}
		for _, same := range []func(array string) bool{
			func(array string) bool { return array == wanted },
			func(array string) bool { return path.Base(array) == wanted },
			func(array string) bool { return strings.EqualFold(path.Base(array), wanted) },
		} {
			for _, f := range files {
				if array := arrayName(f); array == "" || !same(array) {
					continue
				}
				if found[i] != nil {
					return found, fmt.Errorf("%s: holds %s twice", name, wanted)
				}
				found[i] = f
			}
			if found[i] != nil {
				break
			}
		}
	}
	return found, nil
}

// missing reports that array i is not there, and which arrays are.
func (l library) missing(name string, i int, names [6]string, found [6]*zip.File, files []*zip.File) error {
	type array struct {
		npyArray
		name string
	}
	var have []array
	var words []string
	const most = 8
	for _, f := range files {
		a := array{name: arrayName(f)}
		if a.name == "" {
			continue
		}
		if len(words) < most { // reading more would help nobody
			problem := a.peek(f)
			what := "no array that can be read"
			if problem == nil {
				have = append(have, a)
				what = fmt.Sprintf("%s, %s", times(a.shape), a.describeType())
			}
			words = append(words, fmt.Sprintf("%.80q (%s)", a.name, what))
		} else if len(words) == most {
			words = append(words, fmt.Sprintf("and %d more", arrays(files)-most))
		}
	}
	there := strings.Join(words, ", ")
	switch {
	case there == "":
		return fmt.Errorf("%s: has no array: %s and %s are expected", name, names[trainImages], names[trainLabels])
	case l.Arrays[roles[i]] != "":
		return fmt.Errorf("%s: has no array %.80q for %s: there are %s", name, names[i], roles[i], there)
	case l.Arrays != nil:
		return fmt.Errorf("%s: no array is named for %s: there are %s", name, roles[i], there)
	}
	err := fmt.Errorf("%s: has no array %s: there are %s", name, names[i], there)
	if i > trainLabels && found[trainImages] != nil {
		return fmt.Errorf("%w: Reading.Arrays x=%s,y=%s does without", err, names[trainImages], names[trainLabels])
	}
	if found[trainImages] != nil {
		return fmt.Errorf("%w: Reading.Arrays says which are which, as in Reading.Arrays x=%s,y=NAME", err, names[trainImages])
	}
	// A likely pair: rows of features, and as many labels.
	for i, x := range have {
		for k, y := range have {
			if i != k && len(x.shape) > 1 && x.shape[0] == y.shape[0] && y.elements < x.elements && isPlain(x.name) && isPlain(y.name) {
				return fmt.Errorf("%w: Reading.Arrays says which are which, as in Reading.Arrays x=%s,y=%s", err, x.name, y.name)
			}
		}
	}
	return fmt.Errorf("%w: Reading.Arrays says which are which, as in Reading.Arrays x=NAME,y=NAME", err)
}

// isPlain reports a name that can be typed as it is.
func isPlain(name string) bool {
	return strconv.Quote(name) == `"`+name+`"` && !strings.ContainsAny(name, " ,='$")
}

// peek reads the header of an array.
func (a *npyArray) peek(f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	a.r = r
	return a.header(f.UncompressedSize64)
}

// readEntry reads an array of an archive, of labels or of features.
func readEntry(f *zip.File, name string, labels bool, size int64, left *int64) (part, error) {
	r, err := f.Open()
	if err != nil {
		return part{}, fmt.Errorf("%s: cannot be unpacked: %w", name, err)
	}
	defer r.Close()
	return readArray(r, name, labels, f.UncompressedSize64, size, left)
}
