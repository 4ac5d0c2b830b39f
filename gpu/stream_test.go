package gpu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/backendtest"
	"clgrad/network/backendtest/gotest"
)

// memoryFiles are network.Files in memory, with faults.
type memoryFiles struct {
	mu    sync.Mutex
	files map[string][]byte
	made  int
	room  int          // bytes that can be written, 0 for any number
	read  func() error // before each read, where not nil
	check error        // of Check
}

var errFull = errors.New("no space left on device")

type memoryFile struct {
	*bytes.Reader
	of  *memoryFiles
	key string
}

type newMemoryFile struct {
	bytes.Buffer
	of  *memoryFiles
	key string
}

func (m *memoryFiles) Open(key string) (network.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	content, ok := m.files[key]
	if !ok {
		return nil, nil
	}
	return &memoryFile{bytes.NewReader(content), m, key}, nil
}

func (m *memoryFiles) Create(key string) (network.NewFile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made++
	return &newMemoryFile{of: m, key: key}, nil
}

func (f *memoryFile) ReadAt(p []byte, at int64) (int, error) {
	if f.of.read != nil {
		if err := f.of.read(); err != nil {
			return 0, err
		}
	}
	return f.Reader.ReadAt(p, at)
}
func (f *memoryFile) Close() error { return nil }
func (f *memoryFile) Name() string { return "memory" }
func (f *memoryFile) Size() int64  { return f.Reader.Size() }
func (f *memoryFile) Check() error {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	return f.of.check
}
func (f *memoryFile) Remove() error {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	delete(f.of.files, f.key)
	return nil
}

func (f *newMemoryFile) Write(p []byte) (int, error) {
	if f.of.room > 0 && f.Len()+len(p) > f.of.room {
		return 0, errFull
	}
	return f.Buffer.Write(p)
}
func (f *newMemoryFile) Commit() (network.File, error) {
	f.of.mu.Lock()
	if f.of.files == nil {
		f.of.files = map[string][]byte{}
	}
	f.of.files[f.key] = f.Bytes()
	f.of.mu.Unlock()
	return f.of.Open(f.key)
}
func (f *newMemoryFile) Close() error { return nil }

// streamAll streams the smallest inputs too.
func streamAll(p network.ShardPlan, _ network.Samples) bool {
	return p.Input == network.StreamedInput
}

// openStreaming opens a device so that it streams everything through the files.
func openStreaming(d Device, c kernels.Config, files network.Files) (*Backend, error) {
	b, err := Open(d, Options{Untested: true, Files: files, Input: network.StreamedInput})
	if err != nil {
		return nil, err
	}
	b.config = fitConfig(c, d.limits())
	b.stream.streams = streamAll
	return b, nil
}

// The families of the conformance suite that read an input pass with all inputs streamed,
// packed, with whole iterations, as bytes and as floats.
func TestStreamConformance(t *testing.T) {
	t.Parallel()
	families := backendtest.Only("load", "forward-input", "softmax-cross-entropy", "weight-gradient-input", "closed", "misuse", "training")
	for _, d := range usableDevices(t) {
		for _, class := range []kernels.Class{kernels.CPU, kernels.GPU} {
			c := kernels.Default(class, max(2, d.ComputeUnits), 16)
			t.Run(d.ID()+"/"+string(class), func(t *testing.T) {
				gotest.Run(t, func() (network.Backend, error) { return openStreaming(d, c, &memoryFiles{}) }, backendtest.Quick(), families)
			})
		}
	}
}

// digits are rows of bytes, three in four of which are 0.
func digits(rows, features int) network.Samples {
	r := rand.New(rand.NewPCG(3, 4))
	s := network.Samples{Rows: rows, Features: features, Bytes: make([]byte, rows*features), Labels: make([]int32, rows),
		Scaling: network.Scaling{Shift: []float64{0}, Factor: []float64{1. / 255}}}
	for i := range s.Bytes {
		if r.IntN(4) == 0 {
			s.Bytes[i] = byte(r.IntN(256))
		}
	}
	for i := range s.Labels {
		s.Labels[i] = int32(r.IntN(10))
	}
	return s
}

// descend trains and returns the losses and the parameters.
func descend(t *testing.T, b *Backend, s network.Samples, batchRows, iterations int) (losses []float64, theta []float64) {
	t.Helper()
	l, err := network.NewLayout([]int{s.Features, 40, 10})
	if err != nil {
		t.Fatal(err)
	}
	order := network.Similar
	if batchRows < s.Rows {
		order = network.Random
	}
	plan, err := network.NewOrderedPlan(l.Sizes, s, batchRows, order, 1, b)
	if err != nil {
		t.Fatal(err)
	}
	plan.Shuffle = true
	trainer, err := network.NewTrainer(l, s, plan, []network.Backend{b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	theta, err = l.Initial(network.He, 1)
	if err == nil {
		err = trainer.SetParameters(theta, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	half := func(last int) {
		t.Helper()
		err := trainer.Descend(context.Background(), network.Descent{Iterations: last, LearningRate: 0.1}, func(i network.Iteration) error {
			losses = append(losses, i.Loss)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	half(iterations / 2)
	// Scoring in between uses the blocks in another order.
	loss, accuracy, err := trainer.ScoreTraining()
	if err != nil {
		t.Fatal(err)
	}
	half(iterations)
	if theta, err = trainer.Parameters(); err != nil {
		t.Fatal(err)
	}
	return append(losses, loss, accuracy), theta
}

// A streamed input gives the bits of one that is held: full batches and smaller ones, with
// whole iterations and without, packed, as bytes and as floats. The file is made once.
func TestStreamSameBits(t *testing.T) {
	const rows, features = 6000, 100
	floats := digits(rows, features)
	floats.Floats = make([]float32, rows*features)
	for i, v := range floats.Bytes {
		floats.Floats[i] = float32(v)
	}
	floats.Bytes = nil
	shifted := digits(rows, features)
	shifted.Scaling.Shift = []float64{30}
	for _, d := range usableDevices(t) {
		cpu := kernels.Default(kernels.CPU, max(2, d.ComputeUnits), 16)
		gpu := kernels.Default(kernels.GPU, max(2, d.ComputeUnits), 16)
		plain := cpu
		plain.Step = nil
		for _, c := range []struct {
			name    string
			config  kernels.Config
			samples network.Samples
		}{
			{"whole iterations", cpu, digits(rows, features)},
			{"packed", plain, digits(rows, features)},
			{"packed, shifted", cpu, shifted},
			{"bytes", gpu, digits(rows, features)},
			{"floats", gpu, floats},
		} {
			for _, batch := range []int{rows, 130} {
				t.Run(fmt.Sprintf("%s/%s/%d", d.ID(), c.name, batch), func(t *testing.T) {
					c.config.BlockRows = 500
					b, err := Open(d, Options{Untested: true})
					if err != nil {
						t.Fatal(err)
					}
					b.config = fitConfig(c.config, d.limits())
					losses, theta := descend(t, b, c.samples, batch, 60)
					if err := b.Close(); err != nil {
						t.Fatal(err)
					}
					files := &memoryFiles{}
					for run := range 2 {
						b, err := openStreaming(d, c.config, files)
						if err != nil {
							t.Fatal(err)
						}
						gotLosses, gotTheta := descend(t, b, c.samples, batch, 60)
						if !slices.Equal(losses, gotLosses) || !slices.Equal(theta, gotTheta) {
							t.Errorf("run %d: streamed input gives other bits: losses %v, held %v", run, gotLosses[:3], losses[:3])
						}
						if n := len(b.s.streams); n != 0 {
							t.Errorf("%d streams are left", n)
						}
						if err := b.Close(); err != nil {
							t.Fatal(err)
						}
					}
					if files.made != 1 {
						t.Errorf("the file was made %d times", files.made)
					}
				})
			}
		}
	}
}

// Uploads run while the device computes: their times overlap with those of launches.
func TestStreamOverlaps(t *testing.T) {
	const rows, features = 60000, 784
	s := digits(rows, features)
	for _, d := range usableDevices(t) {
		b, err := openStreaming(d, kernels.Default(kernels.CPU, max(2, d.ComputeUnits), 16), &memoryFiles{})
		if err != nil {
			t.Fatal(err)
		}
		type span struct {
			operation  string
			start, end time.Duration
		}
		var spans []span
		b.s.spans = func(operation string, start, end time.Duration) {
			spans = append(spans, span{operation, start, end})
		}
		if err := b.StartProfile(); err != nil {
			t.Fatal(err)
		}
		descend(t, b, s, rows, 4)
		if _, err := b.Profile(); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		var uploads, overlapping int
		var total, both time.Duration
		var lines []string
		for _, u := range spans {
			if u.operation != opUpload {
				continue
			}
			uploads++
			total += u.end - u.start
			covered := time.Duration(0)
			for _, l := range spans {
				if l.operation != opUpload {
					covered += max(0, min(u.end, l.end)-max(u.start, l.start))
				}
			}
			if covered > 0 {
				overlapping++
			}
			both += covered
			if len(lines) < 6 {
				lines = append(lines, fmt.Sprintf("upload from %.2f to %.2f ms, %.2f ms of which the device computes",
					ms(u.start-spans[0].start), ms(u.end-spans[0].start), ms(covered)))
			}
		}
		t.Logf("%s: %d uploads, %d of them while the device computes, %.1f of %.1f ms\n%s", d.ID(), uploads, overlapping, ms(both), ms(total), strings.Join(lines, "\n"))
		if uploads < 20 {
			t.Errorf("%d uploads", uploads)
		}
		if d.PlatformName == "Portable Computing Language" && !strings.HasPrefix(d.Name, "basic") && overlapping < uploads/2 {
			t.Errorf("%d of %d uploads overlap with launches", overlapping, uploads)
		}
	}
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

// What goes wrong with the file is said with its name: no room, an error of reading, a file that was
// changed or is damaged. A damaged one is made again.
func TestStreamFileFaults(t *testing.T) {
	run := func(files *memoryFiles) error {
		return lifeWith(newFake(), fakeDevice, tinyPacked(), false, Options{Untested: true, Files: files})
	}
	for _, c := range []struct {
		name  string
		files *memoryFiles
		want  string
	}{
		{"no room", &memoryFiles{room: 100}, "load streamed input: no space left on device (about 0.0 GB are written; Options.Input resident does without)"},
		{"unreadable", &memoryFiles{read: func() error { return io.ErrUnexpectedEOF }}, "memory: read: unexpected EOF"},
		{"changed", &memoryFiles{check: errors.New("memory: was changed")}, "streamed input: memory: was changed"},
	} {
		if err := run(c.files); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "opencl:0.0: ") && !strings.Contains(err.Error(), ": opencl:0.0: ") {
			t.Errorf("%s: %v; want %s", c.name, err, c.want)
		}
	}
	files := &memoryFiles{}
	if err := run(files); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{-1, 0} { // in the table, and in a chunk
		made := files.made
		for key, content := range files.files {
			content = bytes.Clone(content)
			if at < 0 {
				content[len(content)-10] ^= 1
			} else {
				content[at] ^= 1
			}
			files.files[key] = content
		}
		err := run(files)
		if at < 0 {
			if err != nil || files.made == made {
				t.Errorf("damaged table: %v, %d files made", err, files.made-made)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "memory: is damaged") {
			t.Errorf("damaged chunk: %v", err)
		}
		run(files) // finds the damage of another set's file
		if err := run(files); err != nil || files.made == made {
			t.Errorf("after a damaged chunk: %v, %d files made", err, files.made-made)
		}
	}
	if err := lifeWith(newFake(), fakeDevice, tinyPacked(), false, Options{Untested: true}); err != nil {
		t.Error(err)
	}
	b, err := open(newFake(), fakeDevice, Options{Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	e := b.executor(b.config, nil, network.ShardPlan{Input: network.StreamedInput})
	e.stream.streams = streamAll
	if _, err := e.Load(tinyPacked(), []int{23}); err == nil || !strings.Contains(err.Error(), "needs a cache directory") {
		t.Errorf("without files: %v", err)
	}
}
