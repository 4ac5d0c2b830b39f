package backendtest

import (
	"math"
	"math/rand/v2"

	"clgrad/network"
)

// byteStep and byteShift are the scaling of integers that come as bytes:
// x = (v − 128)·31, or v·31 where they are unsigned, so that 127·31 = 3937 has
// 12 bits.
const (
	byteStep     = 31
	byteStepBits = 5
	byteShift    = 128
)

// affineShift makes x = v·31 − 2, odd where v is, of unsigned bytes: of data whose
// zeros scaling moves a little.
const affineShift = 2. / byteStep

// samples returns samples whose scaled features are x, or for the kinds of
// pixels are drawn here.
func (c productCase) samples(r *rand.Rand, x dense) network.Samples {
	s := network.Samples{Rows: x.rows, Features: x.cols}
	switch {
	case c.kind == pixels:
		s.Bytes = pixelBytes(r, len(x.v))
		s.Scaling = network.Scaling{Shift: []float64{0}, Factor: []float64{1. / 255}}
	case c.kind == standard:
		s.Bytes = pixelBytes(r, len(x.v))
		s.Scaling = perFeature(x.cols)
	case c.unsigned:
		s.Scaling = network.Scaling{Shift: []float64{0}, Factor: []float64{byteStep}}
		if c.shifted {
			s.Scaling.Shift[0] = affineShift
		}
		s.Bytes = make([]uint8, len(x.v))
		for i, v := range x.v {
			s.Bytes[i] = uint8(math.Abs(v) / byteStep)
		}
	case c.bytes:
		s.Scaling = network.Scaling{Shift: []float64{byteShift}, Factor: []float64{byteStep}}
		s.Bytes = make([]uint8, len(x.v))
		for i, v := range x.v {
			s.Bytes[i] = uint8(byteShift + v/byteStep)
		}
	default:
		s.Floats = make([]float32, len(x.v))
		for i, v := range x.v {
			s.Floats[i] = float32(v)
		}
		if c.kind == normal && c.wideStride {
			s.Scaling = network.Scaling{Shift: []float64{0.25}, Factor: []float64{1.5}}
		}
	}
	return s
}

// pixelBytes returns bytes of which four in five are 0.
func pixelBytes(r *rand.Rand, n int) []uint8 {
	v := make([]uint8, n)
	for i := range v {
		if r.IntN(5) == 0 {
			v[i] = uint8(1 + r.IntN(255))
		}
	}
	return v
}

// perFeature returns a shift and a factor of its own for every feature, one in
// eleven factors being 0, as for a feature that is constant.
func perFeature(features int) network.Scaling {
	s := network.Scaling{Shift: make([]float64, features), Factor: make([]float64, features)}
	for j := range features {
		s.Shift[j] = float64(j%13) * 4.1
		if j%11 != 10 {
			s.Factor[j] = 1 / (20 + float64(j%17))
		}
	}
	return s
}

// scaled returns the features as a network sees them, one by one from the
// definition.
func scaled(s network.Samples) dense {
	d := newDense(s.Rows, s.Features)
	for i := range d.v {
		var raw float64
		if s.Bytes != nil {
			raw = float64(s.Bytes[i])
		} else {
			raw = float64(s.Floats[i])
		}
		d.v[i] = float64(s.Scaling.Apply(raw, i%s.Features))
	}
	return d
}
