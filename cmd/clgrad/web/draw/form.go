package draw

import (
	"fmt"
	"math"
	"strconv"

	"clgrad/cmd/clgrad/text"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// A Form says what the page asks for.
type Form struct {
	About   string   `json:"about"`   // the model, in a few words
	Classes []string `json:"classes"` // their names, in order

	// Shape is that of images, rows × columns or rows × columns × channels, and Dark says that the
	// training images were light on a dark ground. nil where the network was not trained on
	// images: then Columns are the features.
	Shape   []int    `json:"shape,omitempty"`
	Dark    bool     `json:"dark,omitempty"`
	Columns []Column `json:"columns,omitempty"`
	Gaps    bool     `json:"gaps,omitempty"` // values of columns may be missing
}

// A Column is a feature of a row.
type Column struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"` // an example
}

// newForm returns the form of a model, for pictures where they can become its rows.
func newForm(m checkpoint.Model, pictures bool) Form {
	f := Form{About: about(m), Classes: m.Classes}
	if f.Classes == nil {
		for i := range m.Sizes[len(m.Sizes)-1] {
			f.Classes = append(f.Classes, strconv.Itoa(i))
		}
	}
	if pictures {
		f.Shape = m.Shape
		p := m.Profile
		f.Dark = p != nil && p.Border != nil && 2*p.Border.Mean < p.Lowest.Min+p.Highest.Max
		return f
	}
	f.Gaps = m.Columns != nil && m.Columns.Means != nil
	names := featureNames(m)
	for j := range m.Sizes[0] {
		f.Columns = append(f.Columns, Column{names[j], example(m, j)})
	}
	return f
}

// about says which network it is, and what it was trained on.
func about(m checkpoint.Model) string {
	words := text.Sizes(m.Sizes)
	if m.Run != nil && m.Run.Data != "" {
		words += ", trained on " + m.Run.Data
	}
	return "Network " + words
}

// featureNames returns the names of all features, their numbers where they have none.
func featureNames(m checkpoint.Model) []string {
	if m.Columns != nil {
		if names := m.Columns.FeatureNames(); names != nil {
			return names
		}
	}
	var names []string
	for j := range m.Sizes[0] {
		names = append(names, fmt.Sprintf("feature %d", j+1))
	}
	return names
}

// example returns a usual raw value of a feature: its mean where the scaling or the columns have one, and
// otherwise the middle of the training set's values. Three digits are enough.
func example(m checkpoint.Model, j int) float64 {
	v := 0.0
	switch {
	case m.Columns != nil && m.Columns.Means != nil:
		v = m.Columns.Means[j]
	case len(m.Scaling.Shift) == m.Sizes[0]:
		v = m.Scaling.Shift[j] + m.Columns.Offset(j)
	case m.Profile != nil:
		v = (m.Profile.Lowest.Mean+m.Profile.Highest.Mean)/2 + m.Columns.Offset(j)
	}
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return v
}

// An Image is what the network sees of a picture, before its values are scaled.
type Image struct {
	Height   int    `json:"height"`
	Width    int    `json:"width"`
	Channels int    `json:"channels"` // 1, or 3 for red, green and blue
	Pixels   []byte `json:"pixels"`   // from 0 for black to 255; in JSON base64
	Blank    bool   `json:"blank"`    // all pixels of the picture are alike
	Inverted bool   `json:"inverted"` // light and dark were exchanged
}

// newImage returns the image of a row of raw features.
func newImage(row []float32, m checkpoint.Model) *Image {
	i := &Image{Height: m.Shape[0], Width: m.Shape[1], Channels: 1}
	if len(m.Shape) == 3 {
		i.Channels = m.Shape[2]
	}
	black, white := dataset.Conversion{Shape: m.Shape, Like: m.Profile}.Range()
	for _, v := range row {
		i.Pixels = append(i.Pixels, uint8(min(255, max(0, math.Round(255*(float64(v)-black)/(white-black))))))
	}
	return i
}
