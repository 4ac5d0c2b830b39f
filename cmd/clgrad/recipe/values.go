package recipe

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/dataset"
)

// Path names a file or directory, a data set or a column.
type Path string

// UnmarshalText refuses what is more likely a flag than a name. A dash alone is standard
// input.
func (p *Path) UnmarshalText(text []byte) error {
	switch s := string(text); {
	case s == "":
		return errors.New(`"": a name is expected`)
	case s[0] == '-' && s != dataset.StandardInput:
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

// Most is the largest number of anything that a recipe counts: a kernel has 32 bits
// for an iteration, and nothing that is counted here comes near it.
const Most = 1_000_000_000

// count parses a whole number from least to Most.
func count(text string, least int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > Most {
		return 0, fmt.Errorf("%.80q: a whole number of at least %d and at most %d is expected", text, least, Most)
	}
	return n, nil
}

// counts parses positive numbers separated by commas, nil for "none".
func counts(text []byte) (all []int, err error) {
	s := strings.TrimSpace(string(text))
	if s == "none" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		n, err := count(strings.TrimSpace(part), 1)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// Layers is a list of the hidden layers' sizes, as in "500,150"; "none" is empty.
type Layers []int

// UnmarshalText parses a list of positive sizes.
func (h *Layers) UnmarshalText(text []byte) error {
	all, err := counts(text)
	if err != nil {
		return fmt.Errorf("%.80q: sizes of hidden layers separated by commas are expected, as in 500,150, or none", text)
	}
	*h = all
	return nil
}

// Division is how many rows train and how many test, as in "42000,28000";
// "none" leaves a data set as it is.
type Division []int

// UnmarshalText parses two positive numbers.
func (d *Division) UnmarshalText(text []byte) error {
	all, err := counts(text)
	if err != nil || all != nil && len(all) != 2 {
		return fmt.Errorf("%.80q: rows for training and for testing are expected, as in 42000,28000, or none", text)
	}
	*d = all
	return nil
}

// Count is a number from 1 to Most.
type Count int

// UnmarshalText parses such a number.
func (c *Count) UnmarshalText(text []byte) error {
	n, err := count(string(text), 1)
	*c = Count(n)
	return err
}

// CountOrNone is a number up to Most, 0 for none.
type CountOrNone int

// UnmarshalText parses such a number.
func (c *CountOrNone) UnmarshalText(text []byte) error {
	n, err := count(string(text), 0)
	*c = CountOrNone(n)
	return err
}

// Seconds is a time of 1 second to a day.
type Seconds int

// UnmarshalText parses a number of seconds.
func (s *Seconds) UnmarshalText(text []byte) error {
	const day = 24 * 60 * 60
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > day {
		return fmt.Errorf("%.80q: seconds of at least 1 and at most %d, a day, are expected", text, day)
	}
	*s = Seconds(n)
	return nil
}

// number parses a number that is right, or says what is expected.
func number[T ~float64](to *T, text []byte, right func(v float64) bool, expected string) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !right(v) {
		return fmt.Errorf("%q: %s", text, expected)
	}
	*to = T(v)
	return nil
}

// Rate is a learning rate: positive and finite in the precision of every backend.
type Rate float64

// UnmarshalText parses such a number.
func (l *Rate) UnmarshalText(text []byte) error {
	if v, err := strconv.ParseFloat(string(text), 64); err == nil && v > 0 && (float32(v) == 0 || v > math.MaxFloat32) {
		return fmt.Errorf("%q: a learning rate from %.2g to %.2g is expected", text, math.SmallestNonzeroFloat32, math.MaxFloat32)
	}
	return number(l, text, func(v float64) bool { return v > 0 }, "a learning rate above 0 is expected, as in 0.1")
}

// Share is a part of a whole, above 0 and at most 1.
type Share float64

// UnmarshalText parses such a number.
func (s *Share) UnmarshalText(text []byte) error {
	return number(s, text, func(v float64) bool { return v > 0 && v <= 1 }, "a share above 0 and at most 1 is expected")
}

// Fraction is a number of at least 0 and less than 1.
type Fraction float64

// UnmarshalText parses such a number.
func (f *Fraction) UnmarshalText(text []byte) error {
	return number(f, text, func(v float64) bool { return v >= 0 && v < 1 }, "a fraction of 0 or more and less than 1 is expected")
}

// Decimal is a finite number of at least 0.
type Decimal float64

// UnmarshalText parses such a number.
func (d *Decimal) UnmarshalText(text []byte) error {
	return number(d, text, func(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }, "a number of at least 0 is expected")
}

// Optimizer names one of [network.Optimizers].
type Optimizer network.Optimizer

// UnmarshalText reports a name that is none of them.
func (o *Optimizer) UnmarshalText(name []byte) error {
	if !slices.Contains(network.Optimizers(), network.Optimizer(name)) {
		return fmt.Errorf("%.80q: one of %s is expected%s", name, Optimizers(), SuggestOptimizer(string(name)))
	}
	*o = Optimizer(name)
	return nil
}

// SuggestOptimizer says which optimizer was probably meant, "" where that is not known.
func SuggestOptimizer(name string) string {
	if strings.EqualFold(name, "sgd") {
		return fmt.Sprintf(", did you mean %q with a batch size?", network.GD)
	}
	return text.Suggest(name, strings.Split(Optimizers(), ", ")...)
}

// Form is that of a file of predictions.
type Form string

// The forms of predictions.
const (
	Table  Form = "table"  // row, predicted and actual label
	Kaggle Form = "kaggle" // ImageId,Label
)

// UnmarshalText reports a form that is none of them; "none" is no file.
func (f *Form) UnmarshalText(text []byte) error {
	switch s := Form(text); s {
	case Table, Kaggle:
		*f = s
	case "none":
		*f = ""
	default:
		return fmt.Errorf("%q: one of %s, %s, none is expected", text, Table, Kaggle)
	}
	return nil
}

// A Backend is the value of --backend: auto, cpu, cpu64, opencl, opencl:P.D or
// opencl:NAME, or several of them that compute together, joined by commas. In lists of
// flags, whose entries are joined by commas, + stands in the place of them. opencl:all is
// every OpenCL device.
type Backend string

// AllDevices is the backend that stands for every OpenCL device.
const AllDevices Backend = "opencl:all"

// UnmarshalText reports a name that is none of them.
func (n *Backend) UnmarshalText(list []byte) error {
	s := strings.ReplaceAll(string(list), "+", ",")
	names := strings.Split(s, ",")
	for i, name := range names {
		kind, which, colon := strings.Cut(name, ":")
		switch {
		case kind == "auto" && !colon && len(names) > 1:
			return fmt.Errorf("%q: auto stands alone, it takes the best device", s)
		case (kind == "auto" || kind == "cpu" || kind == "cpu64") && !colon:
		case kind == "opencl" && (!colon || which != ""):
		default:
			return fmt.Errorf("%q: auto, cpu, cpu64, opencl, opencl:P.D (platform and device), opencl:NAME or opencl:all is expected%s", name, suggestBackend(name))
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("backend %s is named twice", name)
		}
	}
	*n = Backend(s)
	return nil
}

// suggestBackend says which backend was probably meant, "" where that is not known.
func suggestBackend(name string) string {
	kind, which, _ := strings.Cut(strings.ToLower(name), ":")
	if slices.Contains([]string{"gpu", "cuda", "nvidia", "amd", "rocm", "intel", "cl", "device"}, kind) {
		return `, did you mean "opencl"?`
	}
	if n, err := strconv.ParseFloat(name, 64); err == nil && n >= 0 {
		return fmt.Sprintf(", did you mean %q?", "opencl:"+name)
	}
	if near := text.Nearest(kind, "opencl"); near != "" && which != "" {
		return fmt.Sprintf(", did you mean %q?", near+":"+which)
	}
	return text.Suggest(name, "auto", "cpu", "cpu64", "opencl")
}

// Names returns the backends that compute together.
func (n Backend) Names() []Backend {
	var names []Backend
	for _, name := range strings.Split(string(n), ",") {
		names = append(names, Backend(name))
	}
	return names
}

// Several reports whether it names more than one, or every OpenCL device.
func (n Backend) Several() bool { return strings.Contains(string(n), ",") || n == AllDevices }

// Shares are how several backends share the rows of a batch, as in "9,7"; "none" leaves that
// to their speeds.
type Shares []int

// UnmarshalText parses a list of positive numbers.
func (h *Shares) UnmarshalText(text []byte) error {
	all, err := counts(text)
	if err != nil || slices.ContainsFunc(all, func(n int) bool { return n > 1000 }) {
		return fmt.Errorf("%.80q: a number from 1 to 1000 for each backend is expected, as in 9,7", text)
	}
	*h = all
	return nil
}
