package predict

import (
	"bytes"
	"strconv"
)

// scan reads the body that nearly all requests have: an object of "row" or "rows", with "top" and "probabilities"
// or without, in which features are numbers. It returns false where it meets anything else, a mistake among them,
// with q changed: decodeStrictly says then what there is. What scan takes, that takes too, with the same result.
//
// It is here because reading numbers is most of a prediction's work, and it takes a sixth of the strict reader's
// time (BenchmarkDecode).
func (r *reader) scan(body []byte, q *rows) bool {
	s := scanner{body, 0}
	if !s.take('{') {
		return false
	}
	var rows, top, probabilities bool // that were read
	for first := true; ; first = false {
		if s.take('}') {
			s.space()
			return !first && rows && s.at == len(body)
		}
		if !first && !s.take(',') {
			return false
		}
		switch {
		case s.name(`"row"`) && !rows:
			rows = true
			if !r.scanRow(&s, q) {
				return false
			}
		case s.name(`"rows"`) && !rows:
			rows = true
			if !r.scanRows(&s, q) {
				return false
			}
		case s.name(`"top"`) && !top:
			top = true
			n, ok := s.whole()
			if !ok || n > r.classes {
				return false
			}
			q.top = n
		case s.name(`"probabilities"`) && !probabilities:
			probabilities = true
			switch {
			case s.literal("true"):
				q.probabilities = true
			case s.literal("false"):
				q.probabilities = false
			default:
				return false
			}
		default:
			return false
		}
	}
}

func (r *reader) scanRows(s *scanner, q *rows) bool {
	if !s.take('[') {
		return false
	}
	for q.n < r.most {
		if !r.scanRow(s, q) {
			return false
		}
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
	return false
}

func (r *reader) scanRow(s *scanner, q *rows) bool {
	if !s.take('[') {
		return false
	}
	offsets := r.columns != nil && r.columns.Offsets != nil
	for j := range r.features {
		if j > 0 && !s.take(',') {
			return false
		}
		v, ok := s.number()
		if !ok {
			return false
		}
		x := float32(v)
		if offsets || x-x != 0 {
			var err error
			if x, err = r.value(v, j); err != nil {
				return false
			}
		}
		q.floats = append(q.floats, x)
	}
	q.n++
	return s.take(']')
}

// A scanner reads JSON from its place on.
type scanner struct {
	text []byte
	at   int
}

// space passes over white space.
func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// take passes over a character, and white space in front of it, if it is there.
func (s *scanner) take(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	s.space()
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// literal passes over a word if it is there.
func (s *scanner) literal(word string) bool {
	s.space()
	if !bytes.HasPrefix(s.text[s.at:], []byte(word)) {
		return false
	}
	s.at += len(word)
	return true
}

// name passes over the name of a member and its colon if it is there.
func (s *scanner) name(quoted string) bool {
	before := s.at
	if s.literal(quoted) && s.take(':') {
		return true
	}
	s.at = before
	return false
}

// whole reads a whole number of up to 9 digits. What may follow it is no part of a number: the next that is taken
// is a comma or a brace.
func (s *scanner) whole() (n int, ok bool) {
	s.space()
	begin := s.at
	for ; s.at < len(s.text) && s.text[s.at]-'0' <= 9; s.at++ {
		if n = 10*n + int(s.text[s.at]-'0'); s.at-begin >= 9 {
			return 0, false
		}
	}
	return n, s.at > begin && (s.text[begin] != '0' || s.at == begin+1)
}

// powers are those of ten that a quotient by them is rounded once.
var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// number reads a number as JSON has it, and returns the nearest float64. With up to 15 digits
// and no exponent, the digits and the power of ten below them are exact in float64, and so their quotient is
// the nearest; strconv has all others.
func (s *scanner) number() (float64, bool) {
	s.space()
	text, begin := s.text, s.at
	i := begin
	negative := i < len(text) && text[i] == '-'
	if negative {
		i++
	}
	first, digits, below := i, uint64(0), 0
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		digits = 10*digits + uint64(text[i]-'0')
	}
	n := i - first
	if n == 0 || n > 1 && text[first] == '0' {
		return 0, false
	}
	if i < len(text) && text[i] == '.' {
		i++
		for first = i; i < len(text) && text[i]-'0' <= 9; i++ {
			digits = 10*digits + uint64(text[i]-'0')
		}
		if below = i - first; below == 0 {
			return 0, false
		}
		n += below
	}
	plain := n <= 15
	if i < len(text) && text[i]|0x20 == 'e' {
		plain = false
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		for first = i; i < len(text) && text[i]-'0' <= 9; i++ {
		}
		if i == first {
			return 0, false
		}
	}
	s.at = i
	if !plain {
		v, _ := strconv.ParseFloat(string(text[begin:i]), 64) // infinite where it is too large
		return v, true
	}
	v := float64(digits)
	if below > 0 {
		v /= powers[below]
	}
	if negative {
		v = -v
	}
	return v, true
}
