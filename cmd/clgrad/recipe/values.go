package recipe

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Path names a file or directory, a data set or a column.
type Path string

// UnmarshalText refuses what is more likely a flag than a name.
func (p *Path) UnmarshalText(text []byte) error {
	if s := string(text); s == "" || s[0] == '-' {
		return fmt.Errorf("%q: a name is expected (./%s for one that begins with a dash)", s, s)
	}
	*p = Path(text)
	return nil
}

// Name is what a recipe is called: small letters, digits and dashes, so that a
// directory can have it in its name.
type Name string

// UnmarshalText refuses other characters.
func (n *Name) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" || len(s) > 40 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("%.80q: a name of at most 40 small letters, digits and dashes is expected", s)
	}
	*n = Name(s)
	return nil
}

// Layers is a list of the hidden layers' sizes, as in "500,150"; "none" or ""
// is empty.
type Layers []int

// UnmarshalText parses a list of positive sizes.
func (h *Layers) UnmarshalText(text []byte) error {
	*h = nil
	s := strings.TrimSpace(string(text))
	if s == "" || s == "none" {
		return nil
	}
	for _, part := range strings.Split(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 {
			return fmt.Errorf("layers %q: sizes of hidden layers separated by commas are expected, as in 500,150, or none", s)
		}
		*h = append(*h, n)
	}
	return nil
}

// Division is how many rows train and how many test, as in "42000,28000";
// "none" or "" leaves a data set as it is.
type Division []int

// UnmarshalText parses two positive numbers.
func (d *Division) UnmarshalText(text []byte) error {
	*d = nil
	s := strings.TrimSpace(string(text))
	if s == "" || s == "none" {
		return nil
	}
	train, test, _ := strings.Cut(s, ",")
	n, err1 := strconv.Atoi(strings.TrimSpace(train))
	m, err2 := strconv.Atoi(strings.TrimSpace(test))
	if err1 != nil || err2 != nil || n < 1 || m < 1 {
		return fmt.Errorf("%q: rows for training and for testing are expected, as in 42000,28000, or none", s)
	}
	*d = Division{n, m}
	return nil
}

// Count is a positive number.
type Count int

// UnmarshalText parses a positive number.
func (c *Count) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 {
		return fmt.Errorf("%q: a whole number of at least 1 is expected", text)
	}
	*c = Count(n)
	return nil
}

// Period is a number of iterations, 0 for none.
type Period int

// UnmarshalText parses a number of at least 0.
func (p *Period) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return fmt.Errorf("%q: a whole number of at least 0 is expected", text)
	}
	*p = Period(n)
	return nil
}

// Rate is a learning rate: a positive finite float32.
type Rate float64

// UnmarshalText parses a number that is positive and finite in the precision of
// every backend.
func (l *Rate) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(float32(v) > 0) || v > math.MaxFloat32 {
		return fmt.Errorf("%q: a learning rate above 0 is expected, from %.2g to %.2g", text, math.SmallestNonzeroFloat32, math.MaxFloat32)
	}
	*l = Rate(v)
	return nil
}

// Share is a part of a whole, above 0 and at most 1.
type Share float64

// UnmarshalText parses a share.
func (s *Share) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(v > 0 && v <= 1) {
		return fmt.Errorf("%q: a share above 0 and at most 1 is expected", text)
	}
	*s = Share(v)
	return nil
}

// Fraction is a number from 0 up to, but not, 1.
type Fraction float64

// UnmarshalText parses a number that is 0 or more and less than 1.
func (f *Fraction) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(v >= 0 && v < 1) {
		return fmt.Errorf("%q: a fraction of 0 or more and less than 1 is expected", text)
	}
	*f = Fraction(v)
	return nil
}

// Form is that of a file of predictions.
type Form string

// The forms of predictions.
const (
	Table  Form = "table"  // row, predicted and actual label
	Kaggle Form = "kaggle" // ImageId,Label
)

// UnmarshalText reports a form that is none of them; "none" or "" is no file.
func (f *Form) UnmarshalText(text []byte) error {
	switch s := Form(text); s {
	case Table, Kaggle:
		*f = s
	case "none", "":
		*f = ""
	default:
		return fmt.Errorf("%q: one of %s, %s, none is expected", text, Table, Kaggle)
	}
	return nil
}

// A Backend is the value of --backend: auto, cpu, cpu64, opencl, opencl:P.D or
// opencl:NAME.
type Backend string

// UnmarshalText reports a name that is none of them.
func (n *Backend) UnmarshalText(text []byte) error {
	s := string(text)
	kind, which, colon := strings.Cut(s, ":")
	switch kind {
	case "auto", "cpu", "cpu64":
		if !colon {
			*n = Backend(s)
			return nil
		}
	case "opencl":
		if !colon || which != "" {
			*n = Backend(s)
			return nil
		}
	}
	return fmt.Errorf("backend %q is unknown: auto, cpu, cpu64, opencl, opencl:P.D (platform and device) or opencl:NAME is expected", s)
}
