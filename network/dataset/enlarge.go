package dataset

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"clgrad/network"
	"clgrad/network/durable"
)

const (
	enlargeMove   = 2  // pixels that a copy is moved by at most, along each axis
	enlargeChange = 16 // that a value is changed by at most
)

// Enlarge writes a set of images of bytes to a directory as raw IDX files, which are mapped
// when they are loaded, with times as many training rows: times copies of the training set, one
// after the other. The first copy is the set itself. In copy k each image i is moved by dy
// rows down and dx columns to the right, and every pixel that is not 0 is changed by d, within 1
// to 255. dy and dx are from −2 to 2, d from −16 to 16, each equally likely, drawn by
// rand.New(rand.NewPCG(seed, k·rows+i)) (math/rand/v2): dy first, then dx, then the d of the pixels
// that are left, row by row. The same arguments always give the same files. The test set is
// written as it is.
//
// None of the four files may be there before. Where ctx is done before the end, or writing fails,
// none is left.
func (s Set) Enlarge(ctx context.Context, dir string, times int, seed uint64) (err error) {
	train := s.Train
	switch {
	case times < 1:
		return fmt.Errorf("%d times as many rows: at least 1 is expected", times)
	case train.Bytes == nil || train.Labels == nil || len(s.Shape) != 2 || s.Classes > byteMax+1:
		return fmt.Errorf("%s: images of rows and columns of bytes with at most 256 classes are expected", s.Name)
	case s.Test.Rows == 0 || s.Test.Bytes == nil || s.Test.Labels == nil:
		return fmt.Errorf("%s: has no test set, which the four IDX files hold", s.Name)
	case times > math.MaxUint32/train.Rows:
		return fmt.Errorf("%s: %d times %d rows are more than an IDX file can hold", s.Name, times, train.Rows)
	}
	for _, name := range partNames {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return cmp.Or(err, fmt.Errorf("%s: is there already: another directory is expected", filepath.Join(dir, name)))
		}
	}
	if err := durable.MkdirAll(dir); err != nil {
		return err
	}
	var written []string
	defer func() {
		if err != nil {
			for _, path := range written {
				err = errors.Join(err, os.Remove(path))
			}
		}
	}()
	for i, part := range []struct {
		rows  int
		shape []int
		write func(w io.Writer) error
	}{
		{times * train.Rows, s.Shape, func(w io.Writer) error { return s.writeCopies(w, times, seed) }},
		{times * train.Rows, nil, func(w io.Writer) error { return writeLabels(w, train.Labels, times) }},
		{s.Test.Rows, s.Shape, func(w io.Writer) error { return writeRows(w, s.Test) }},
		{s.Test.Rows, nil, func(w io.Writer) error { return writeLabels(w, s.Test.Labels, 1) }},
	} {
		path := filepath.Join(dir, partNames[i])
		err := durable.Write(path, func(w io.Writer) error {
			w = untilDone{ctx, w}
			header := []byte{0, 0, typeUint8, byte(1 + len(part.shape))}
			header = binary.BigEndian.AppendUint32(header, uint32(part.rows))
			for _, n := range part.shape {
				header = binary.BigEndian.AppendUint32(header, uint32(n))
			}
			_, err := w.Write(header)
			return errors.Join(err, part.write(w))
		})
		if err != nil {
			return err
		}
		written = append(written, path)
	}
	return nil
}

// untilDone is a writer that fails once its context is done.
type untilDone struct {
	ctx context.Context
	w   io.Writer
}

func (u untilDone) Write(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.w.Write(p)
}

func writeRows(w io.Writer, s network.Samples) error {
	for i := range s.Rows {
		if _, err := w.Write(s.Row(i)); err != nil {
			return err
		}
	}
	return nil
}

func writeLabels(w io.Writer, labels []int32, times int) error {
	bytes := make([]byte, len(labels))
	for i, y := range labels {
		bytes[i] = byte(y)
	}
	for range times {
		if _, err := w.Write(bytes); err != nil {
			return err
		}
	}
	return nil
}

// writeCopies writes the images of all copies.
func (s Set) writeCopies(w io.Writer, times int, seed uint64) error {
	h, width, rows, features := s.Shape[0], s.Shape[1], s.Train.Rows, s.Train.Features
	const at = 1 << 13 // images that are made together
	images := make([]byte, min(at, rows)*features)
	for k := range times {
		for first := 0; first < rows; first += at {
			n := min(at, rows-first)
			network.Parallel(n, 256, func(lo, hi int) {
				var pcg rand.PCG
				random := rand.New(&pcg)
				for i := lo; i < hi; i++ {
					to, from := images[i*features:(i+1)*features], s.Train.Row(first+i)
					if k == 0 {
						copy(to, from)
						continue
					}
					pcg.Seed(seed, uint64(k)*uint64(rows)+uint64(first+i))
					dy, dx := random.IntN(2*enlargeMove+1)-enlargeMove, random.IntN(2*enlargeMove+1)-enlargeMove
					clear(to)
					shiftImage(to, from, h, width, 1, dy, dx)
					for j, v := range to {
						if v != 0 {
							to[j] = uint8(max(1, min(byteMax, int(v)+random.IntN(2*enlargeChange+1)-enlargeChange)))
						}
					}
				}
			})
			if _, err := w.Write(images[:n*features]); err != nil {
				return err
			}
		}
	}
	return nil
}
