// Package dataset loads labelled samples for a [network.Trainer]: named sets,
// which it fetches, checks and keeps, and directories of IDX files.
//
// # Sets
//
// [Load] takes the name of a set (see [Names]) or a directory that holds the
// four files of the MNIST family, raw or compressed by gzip:
//
//	train-images-idx3-ubyte  train-labels-idx1-ubyte
//	t10k-images-idx3-ubyte   t10k-labels-idx1-ubyte
//
// A name wins over a directory of that name; "./mnist" is the directory.
//
// # Where a named set comes from
//
// A file of a named set is looked for in the cache directory, then in the
// set's sources in their order: other files of the machine or its package
// managers first, public mirrors last. Its size and SHA-256 are known and are
// checked before use whatever the source, so a damaged or exchanged file is
// never used: one in the cache is reported and replaced.
//
// # Preprocessing
//
// Loaded samples are raw. [Fit] derives the scaling of a [Preprocess] method
// from the training set; [Set.Preprocess] gives it to both sets. It acts on raw
// values, so a model that keeps it can be given raw values later.
package dataset
