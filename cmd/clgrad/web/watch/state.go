package watch

import (
	"clgrad/network"
)

// A Phase says how far a run is.
type Phase string

// The phases. The last three end a run.
const (
	Starting    Phase = "starting" // data and device are made ready
	Training    Phase = "training"
	Scoring     Phase = "scoring" // the iterations have ended
	Finished    Phase = "finished"
	Interrupted Phase = "interrupted"
	Failed      Phase = "failed"
)

// Ended reports whether the run has ended.
func (p Phase) Ended() bool { return p == Finished || p == Interrupted || p == Failed }

// A Change is what of a state has changed: what it leaves out has not.
type Change struct {
	Phase       Phase               `json:"phase,omitempty"`
	Message     string              `json:"message,omitempty"` // on how it ended
	Setup       *Setup              `json:"setup,omitempty"`
	Progress    *Progress           `json:"progress,omitempty"`
	Best        *Best               `json:"best,omitempty"`
	Use         *Use                `json:"use,omitempty"`
	Curves      map[string]*Stretch `json:"curves,omitempty"` // by the names of Curves
	Predictions *Predictions        `json:"predictions,omitempty"`
	Notes       []string            `json:"notes,omitempty"` // the last lines of standard error
	Results     []Value             `json:"results,omitempty"`
	ReportReady bool                `json:"report_ready,omitempty"` // GET /report has it
}

// A State is all that is known of a run: a Change from nothing.
type State struct {
	Run     string `json:"run"`     // differs from that of any other run
	Changes int    `json:"changes"` // that led here
	Command string `json:"command"`
	Change
}

// The names of the curves.
const (
	IterationsCurve = "iterations" // the training set in each iteration, before its update
	EpochsCurve     = "epochs"     // means of an epoch, where batches are smaller than the data
	ValidationCurve = "validation"
	TestCurve       = "test"
)

// A Setup is what is known before the first iteration.
type Setup struct {
	Title         string   `json:"title"`
	Settings      []Value  `json:"settings"`
	Iterations    int      `json:"iterations"`
	Batches       int      `json:"batches"` // iterations of an epoch
	ByEpoch       bool     `json:"by_epoch"`
	EarlyStopping bool     `json:"early_stopping"`
	ClassCount    int      `json:"class_count"`
	Classes       []string `json:"classes"` // null where they are 0, 1, 2, …
	SamplesOf     string   `json:"samples_of"`
	Samples       []Sample `json:"samples"`
	Report        string   `json:"report,omitempty"` // the file that it is or will be
}

// A Sample is one whose prediction is shown.
type Sample struct {
	Row     int     `json:"row"` // counted from 1
	Class   *int32  `json:"class"`
	Picture string  `json:"picture,omitempty"` // its address
	Values  []Value `json:"values,omitempty"`  // of samples that are no pictures, the first features
	More    int     `json:"more,omitempty"`    // features that Values leaves out
}

// A Value is one feature of a sample.
type Value struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Progress is how far a run is, and how fast.
type Progress struct {
	Iteration int      `json:"iteration"`
	Seconds   float64  `json:"seconds"` // of iterations, those of earlier processes too
	Rate      *float64 `json:"rate"`    // iterations a second, lately; null at first
	Left      *float64 `json:"left"`    // seconds; null while that is not known

	// The newest figures: of the training set as a line has them.
	Loss               network.Number  `json:"loss"`
	Accuracy           network.Number  `json:"accuracy"`
	ValidationLoss     *network.Number `json:"validation_loss,omitempty"`
	ValidationAccuracy *network.Number `json:"validation_accuracy,omitempty"`
	TestLoss           *network.Number `json:"test_loss,omitempty"`
	TestAccuracy       *network.Number `json:"test_accuracy,omitempty"`
}

// A Best is the lowest loss and the highest accuracy so far.
type Best struct {
	Of       string  `json:"of"` // "validation set", or what there is in its place
	Loss     Reached `json:"loss"`
	Accuracy Reached `json:"accuracy"`
}

// A Reached value was first reached at an iteration.
type Reached struct {
	Value     network.Number `json:"value"`
	Iteration int            `json:"iteration"`
}

// A Use is how much a run uses the machine, lately.
type Use struct {
	Share  *float64 `json:"share"`            // of the time, in iterations: the rest is scoring, checkpoints and the like
	Rows   *float64 `json:"rows"`             // a second
	GFlops *float64 `json:"gflops,omitempty"` // a second, counted from shapes
	CPUs   *float64 `json:"cpus,omitempty"`   // of this process, busy
	Cores  int      `json:"cores"`            // that it may use
	Memory int64    `json:"memory,omitempty"` // resident, in bytes
}

// Predictions are of the samples of the Setup, in their order.
type Predictions struct {
	Iteration int         `json:"iteration"`
	Rows      [][]Guessed `json:"rows"` // of each the most probable classes, the first the predicted one
}

// A Guessed class has a probability.
type Guessed struct {
	Class       int            `json:"class"`
	Probability network.Number `json:"probability"`
}
