package dataset

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
)

// powers are those of 10 that float64 holds exactly.
var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// longestWhole is the most digits of a whole number that is written without a point or an
// exponent. What has more is an identifier.
const longestWhole = 21

// parseDecimal returns the float64 nearest to a plain decimal number: a sign or none, digits
// with a point or none, an exponent or none. ok is false for anything else, among them
// what strconv.ParseFloat also takes: 1_0, 0x1p4, Inf and NaN.
//
// With a significand up to 2⁵³ and a power of ten that is exact, one product or quotient
// of both is the nearest (Clinger, How to Read Floating Point Numbers Accurately, 1990).
// divide has longer fractions, strconv all others.
func parseDecimal(b []byte) (v float64, ok bool) {
	i, negative := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		i, negative = 1, b[0] == '-'
	}
	var significand uint64
	start := i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		significand = 10*significand + uint64(b[i]-'0')
	}
	if i == len(b) && i-start-1 < 15 { // most numbers of tables
		if i == start {
			return 0, false
		}
		if v = float64(significand); negative {
			v = -v
		}
		return v, true
	}
	digits, exponent := i-start, 0
	whole := digits > longestWhole && i == len(b)
	if i < len(b) && b[i] == '.' {
		i++
		start = i
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			significand = 10*significand + uint64(b[i]-'0')
		}
		digits, exponent = digits+i-start, start-i
	}
	if digits == 0 {
		return 0, false
	}
	// More digits than a significand of 64 bits has are hard.
	hard := digits > 19 && digits-leadingZeros(b) > 19
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		below := i < len(b) && b[i] == '-'
		if i < len(b) && (b[i] == '-' || b[i] == '+') {
			i++
		}
		start, power := i, 0
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			if power = 10*power + int(b[i]-'0'); power > 999 {
				power, hard = 999, true
			}
		}
		if i == start {
			return 0, false
		}
		if below {
			power = -power
		}
		exponent += power
	}
	if i < len(b) || whole && significantDigits(b) > longestWhole {
		return 0, false
	}
	switch {
	case !hard && significand > 1<<53 && exponent < 0 && exponent >= -19:
		v = divide(significand, -exponent)
	case hard || significand > 1<<53 || exponent < 1-len(powers) || exponent >= len(powers):
		v, err := strconv.ParseFloat(string(b), 64)
		return v, err == nil || v-v != 0 // infinite beyond float64
	case exponent < 0:
		v = float64(significand) / powers[-exponent]
	default:
		v = float64(significand) * powers[exponent]
	}
	if negative {
		v = -v
	}
	return v, true
}

// leadingZeros counts the zeros in front of a number's first other digit.
func leadingZeros(b []byte) (n int) {
	for _, c := range b {
		switch {
		case c == '0':
			n++
		case c-'1' < 9:
			return n
		}
	}
	return n
}

// tens are the powers of 10 of 64 bits.
var tens = func() (t [20]uint64) {
	t[0] = 1
	for i := 1; i < len(t); i++ {
		t[i] = 10 * t[i-1]
	}
	return t
}()

// divide returns the float64 nearest to a/10ᵏ, for a > 0 and k up to 19. The quotient of
// both, shifted to 64 bits, has 63 bits or more. If its lowest one is set where something is
// left over, rounding it to 53 bits rounds the exact quotient.
func divide(a uint64, k int) float64 {
	n, d := bits.LeadingZeros64(a), bits.LeadingZeros64(tens[k])
	a <<= n
	quotient, rest := bits.Div64(a>>1, a<<63, tens[k]<<d)
	if rest != 0 {
		quotient |= 1
	}
	return float64(quotient) * math.Float64frombits(uint64(1023+d-n-63)<<52)
}

// significantDigits counts the digits of a whole number without zeros in front.
func significantDigits(b []byte) int { return len(bytes.TrimLeft(b, "+-0")) }

// isGap reports what stands for a value that is missing.
func isGap(field []byte) bool {
	switch len(field) {
	case 0:
		return true
	case 1:
		return field[0] == '?'
	case 2, 3, 4:
		for _, word := range []string{"na", "n/a", "nan", "-nan", "null", "<na>", "#n/a"} {
			if bytes.EqualFold(field, []byte(word)) {
				return true
			}
		}
	}
	return false
}

// isBoolean reports True or False, in small letters or capitals too.
func isBoolean(field []byte) bool {
	switch string(field) {
	case "True", "true", "TRUE", "False", "false", "FALSE":
		return true
	}
	return false
}

// parseNumber parses a feature. True is 1 and False 0. It returns NaN for a gap, which missing may allow, and
// otherwise a number in the range of float32, or says what is wrong with the field.
func parseNumber(field []byte, missing Missing) (v float64, problem string) {
	v, ok := parseDecimal(field)
	if !ok {
		field = bytes.TrimSpace(field)
		v, ok = parseDecimal(field)
	}
	switch {
	case ok && math.Abs(v) < math.MaxFloat32:
		return v, ""
	case ok && math.Abs(v) > math.MaxFloat32 && math.IsInf(float64(float32(v)), 0):
		return 0, fmt.Sprintf("%.40q is beyond the numbers of float32", field)
	case ok:
		return v, ""
	case isBoolean(field):
		if field[0]|0x20 == 't' {
			return 1, ""
		}
		return 0, ""
	case isGap(field) && (missing == Drop || missing == Mean):
		return math.NaN(), ""
	case len(field) == 0:
		return 0, "is empty where a number is expected" + missingHint
	case isGap(field) && bytes.ContainsAny(field, "nN") && bytes.HasSuffix(bytes.ToLower(field), []byte("nan")):
		return 0, fmt.Sprintf("%.40q where a finite number is expected%s", field, missingHint)
	case isGap(field):
		return 0, fmt.Sprintf("%.40q where a number is expected%s", field, missingHint)
	case significantDigits(field) > longestWhole && len(bytes.Trim(field, "+-0123456789")) == 0:
		return 0, fmt.Sprintf("%.40q where a number is expected: so many digits are an identifier (Reading.Ignore leaves its column out)", field)
	}
	if v, err := strconv.ParseFloat(string(field), 64); err == nil && v-v != 0 {
		return 0, fmt.Sprintf("%.40q where a finite number is expected", field)
	}
	if _, ok := parseDecimal(bytes.Replace(field, []byte(","), []byte("."), 1)); ok {
		return 0, fmt.Sprintf("%.40q where a number is expected, with a decimal point", field)
	}
	return 0, fmt.Sprintf("%.40q where a number is expected", field)
}

const missingHint = ": Reading.Missing drop or mean reads it"

// nameLike reports a field that is neither a number nor a gap nor a boolean, as names are.
func nameLike(field string) bool {
	_, ok := parseDecimal([]byte(field))
	return !ok && !isGap([]byte(field)) && !isBoolean([]byte(field))
}

// features are rows of values: bytes as long as all are whole numbers of 0 to
// 255, floats from the first other one on. A gap is NaN.
type features struct {
	bytes  []uint8
	floats []float32
	rows   int
}

// add appends a row.
func (f *features) add(row []float64) {
	f.rows++
	if f.floats == nil {
		size := len(f.bytes)
		if size+len(row) > cap(f.bytes) {
			f.bytes = slices.Grow(f.bytes, max(size, len(row)))
		}
		bytes := f.bytes[size : size+len(row)]
		whole := true
		for j, v := range row {
			b := uint8(int32(v))
			bytes[j] = b
			whole = whole && float64(b) == v
		}
		if whole {
			f.bytes = f.bytes[:size+len(row)]
			return
		}
		f.floats = make([]float32, size, 2*(size+len(row)))
		for i, b := range f.bytes {
			f.floats[i] = float32(b)
		}
		f.bytes = nil
	}
	size := len(f.floats)
	if size+len(row) > cap(f.floats) {
		f.floats = slices.Grow(f.floats, max(size, len(row))) // twice as many: append copies more often
	}
	f.floats = f.floats[:size+len(row)]
	for j, v := range row {
		f.floats[size+j] = float32(v)
	}
}

// narrow is how much larger than its range a column's values may be. float32 takes
// 24 bits of a value; of what differs between the values of a column it leaves 10 then.
const narrow = 1 << 14

// A narrowColumn is one whose values differ by little, as far as is known.
type narrowColumn struct {
	feature   int
	first     float64 // value
	known     bool    // there is one
	low, high float64 // of the differences from it
	inexact   bool    // float32 has not all of the values
	rest      []float32
}

// narrowColumns are those of a table's features whose values are more than narrow times as
// large as their range. Their differences from the first value are held too, so that they
// can stand in the place of what float32 would leave of the values. Once a column is known
// not to be narrow it stays so.
type narrowColumns []narrowColumn

func newNarrowColumns(features int) narrowColumns {
	n := make(narrowColumns, features)
	for j := range n {
		n[j].feature = j
	}
	return n
}

// add takes a row, the one with the index i.
func (n *narrowColumns) add(row []float64, i int) {
	kept := (*n)[:0]
	for _, c := range *n {
		v := row[c.feature]
		gap := v != v
		if !gap && !c.known {
			c.first, c.known = v, true
		}
		d := v - c.first
		if !gap {
			c.low, c.high = min(c.low, d), max(c.high, d)
			c.inexact = c.inexact || float64(float32(v)) != v
		}
		if c.known && math.Abs(c.first) <= narrow*(c.high-c.low) {
			continue
		}
		if c.rest == nil && d != 0 {
			c.rest = make([]float32, i, 2*i+16)
		}
		if c.rest != nil {
			c.rest = append(c.rest, float32(d))
		}
		kept = append(kept, c)
	}
	if len(kept) < len(*n) {
		clear((*n)[len(kept):])
	}
	*n = kept
}

// replace puts the differences in the place of the values where float32 has not all of
// them, and returns the offsets, one a feature, to which the differences are; nil where
// there is no such column.
func (n narrowColumns) replace(f *features, width int) (offsets []float64) {
	for _, c := range n {
		if c.rest == nil || !c.inexact || c.high == c.low || f.floats == nil {
			continue
		}
		if offsets == nil {
			offsets = make([]float64, width)
		}
		offsets[c.feature] = c.first
		for i, d := range c.rest {
			f.floats[i*width+c.feature] = d
		}
	}
	return offsets
}
