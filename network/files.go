package network

import "io"

// An InputMode says where the samples of a training set are held.
type InputMode string

const (
	// AutoInput leaves the choice to the backend, which goes by their size.
	AutoInput InputMode = "auto"

	// ResidentInput holds all samples in the device's memory.
	ResidentInput InputMode = "resident"

	// StreamedInput brings blocks to the device as they are used, the next ones while it
	// computes with those before. Results have the same bits.
	StreamedInput InputMode = "stream"
)

// StreamBytes is from which size on, in bytes of features, an input is streamed where the plan
// says so. A smaller one is held: it would fit in the memory that blocks pass through.
const StreamBytes = 32 << 20

// Streams reports whether a plan has samples streamed.
func (s ShardPlan) Streams(x Samples) bool {
	return s.Input == StreamedInput && x.featureBytes() >= StreamBytes
}

// featureBytes returns the size of the features.
func (s Samples) featureBytes() int64 {
	n := int64(s.Rows) * int64(s.Features)
	if s.Floats != nil {
		n *= 4
	}
	return n
}

// A StreamedBlocks is an Input that may bring blocks to the device as they are used.
type StreamedBlocks interface {
	Input
	// Expect says which blocks will be used next: ranges from … end−1, one after the
	// other. After them, and where nothing is said, they are expected in their order, the
	// first after the last. A block that was not expected costs only time.
	Expect(ranges [][2]int)
}

// Files keep what backends made of samples, each file under a key, for as long as there is
// room. They are safe for concurrent use.
type Files interface {
	// Open returns the file of a key, or nil where there is none.
	Open(key string) (File, error)
	// Create begins the file of a key, in place of the one that may be there.
	Create(key string) (NewFile, error)
}

// A File is one of [Files], to be read from several goroutines.
type File interface {
	io.ReaderAt
	io.Closer
	// Name says in messages where the file is.
	Name() string
	Size() int64
	// Check reports a file that is not what it was when it was opened.
	Check() error
	// Remove removes a file that was found to be damaged. It is to be closed too.
	Remove() error
}

// A NewFile is one of [Files] that is being written.
type NewFile interface {
	io.Writer
	// Commit ends the file and opens it. It is there whole or not at all.
	Commit() (File, error)
	// Close gives the file up unless it was committed.
	Close() error
}
