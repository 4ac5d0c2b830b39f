package predict

import (
	"fmt"
	"math"
	"net/http"
	"strings"

	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// rows are the raw features of a request, as the network's scaling takes them, and what is asked of them.
type rows struct {
	floats        []float32 // n × features
	n             int
	top           int
	probabilities bool
	files         []string      // of which a row is each, nil where rows have none
	notes         []string      // what was found out about a table
	seen          *dataset.Look // on the last picture, nil where rows are none
}

// A requestError is what is wrong with a request.
type requestError struct {
	status        int
	title, detail string
}

func (e *requestError) Error() string { return e.detail }

// malformed reports a body that is not of the form that was expected.
func malformed(format string, args ...any) error {
	return &requestError{http.StatusBadRequest, "Malformed request", fmt.Sprintf(format, args...)}
}

// unfit reports a body that does not fit the model.
func unfit(format string, args ...any) error {
	return &requestError{http.StatusUnprocessableEntity, "Unfit for the model", fmt.Sprintf(format, args...)}
}

// A reader reads the rows of requests for one model.
type reader struct {
	features   int
	classes    int
	scaling    network.Scaling
	columns    *dataset.Columns
	places     map[string]int // of features by the names of their columns; −1 of a column that is no feature
	conversion dataset.Conversion
	images     bool            // pictures can become rows
	table      dataset.Options // for tables
	most       int             // rows of a request
	rowMemory  int64           // see there
	pixels     chan struct{}   // an element for each picture that is decoded
}

func newReader(m checkpoint.Model, table dataset.Options, most int) *reader {
	r := &reader{features: m.Sizes[0], classes: m.Sizes[len(m.Sizes)-1], scaling: m.Scaling, columns: m.Columns, table: table,
		conversion: dataset.Conversion{Shape: m.Shape, Like: m.Profile, Method: dataset.MethodFor(m.Shape, m.Profile)},
		images:     ofImages(m.Shape),
		pixels:     make(chan struct{}, decoders),
	}
	r.rowMemory = rowMemory(r.features, r.classes)
	r.most = min(most, max(1, int(maxRows/r.rowMemory)))
	if m.Columns == nil || m.Columns.Names == nil {
		return r
	}
	r.places = map[string]int{}
	for _, name := range m.Columns.Names {
		r.places[name] = -1
	}
	for j, name := range m.Columns.FeatureNames() {
		r.places[name] = j
	}
	return r
}

// ofImages reports whether pictures can become rows of a shape: it has at least two rows and columns of pixels, that are
// grey or have three colours.
func ofImages(shape []int) bool {
	return (len(shape) == 2 || len(shape) == 3 && (shape[2] == 1 || shape[2] == 3)) && min(shape[0], shape[1]) > 1
}

// value returns a feature's value as the scaling takes it. Its caller says where it stands.
func (r *reader) value(v float64, feature int) (float32, error) {
	x := float32(v - r.columns.Offset(feature))
	if math.IsInf(float64(x), 0) {
		return 0, fmt.Errorf("%g is beyond the numbers of float32", v)
	}
	return x, nil
}

// missing returns what stands in the place of a value that is missing.
func (r *reader) missing(feature int) (float32, error) {
	if r.columns == nil || r.columns.Means == nil {
		return 0, fmt.Errorf("a number is expected: the network was trained on rows without gaps")
	}
	return r.value(r.columns.Means[feature], feature)
}

// add appends the rows of samples.
func (q *rows) add(s network.Samples) {
	for i := range s.Rows {
		if s.Bytes == nil {
			q.floats = append(q.floats, s.FloatRow(i)...)
			continue
		}
		for _, v := range s.Row(i) {
			q.floats = append(q.floats, float32(v))
		}
	}
	q.n += s.Rows
}

// tooMany reports a request with more rows than are taken.
func (r *reader) tooMany() error {
	return &requestError{http.StatusRequestEntityTooLarge, "Too many rows", fmt.Sprintf("At most %d rows are taken in a request.", r.most)}
}

// sentence makes the text of an error the detail of a problem.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
