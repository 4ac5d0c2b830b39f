package predict

import (
	"encoding/json"
	"path/filepath"

	"clgrad/network"
	"clgrad/network/checkpoint"
)

// About is what GET /v1/model says beside what the model itself does.
type About struct {
	Classes []string `json:"classes"`           // names, in the order of the outputs
	Scaling string   `json:"scaling"`           // how features are scaled
	SHA256  string   `json:"sha256,omitempty"`  // of the model's file
	Backend string   `json:"backend"`           // that computes
	Device  string   `json:"device"`            // and on what
	Version string   `json:"version,omitempty"` // of the program
}

// A description is the answer to GET /v1/model. It has no names of folders.
type description struct {
	Sizes      []int    `json:"sizes"` // inputs, hidden layers, classes
	Parameters int      `json:"parameters"`
	Shape      []int    `json:"shape,omitempty"`    // of a row
	Columns    []string `json:"columns,omitempty"`  // names of the features
	Gaps       bool     `json:"gaps,omitempty"`     // values may be missing
	Pictures   bool     `json:"pictures,omitempty"` // pictures can become rows
	About
	Trained *trained `json:"trained,omitempty"`
}

// trained is how the model was trained.
type trained struct {
	Data       string          `json:"data"`
	Digest     string          `json:"digest"` // of the data
	Iterations int             `json:"iterations"`
	Setup      json.RawMessage `json:"setup,omitempty"`
}

// describeModel returns the description of a model as JSON.
func describeModel(m checkpoint.Model, about About) ([]byte, error) {
	layout, err := network.NewLayout(m.Sizes)
	if err != nil {
		return nil, err
	}
	d := description{Sizes: m.Sizes, Shape: m.Shape, About: about, Pictures: ofImages(m.Shape)}
	for i := range layout.Layers() {
		d.Parameters += (m.Sizes[i] + 1) * m.Sizes[i+1]
	}
	if m.Columns != nil {
		d.Columns, d.Gaps = m.Columns.FeatureNames(), m.Columns.Means != nil
	}
	if m.Run != nil {
		d.Trained = &trained{filepath.Base(m.Run.Data), m.Run.Digest, m.Run.Iterations, m.Run.Setup}
	}
	text, err := json.Marshal(d)
	return append(text, '\n'), err
}
