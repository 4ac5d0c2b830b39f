package watch

import (
	"bytes"
	"image/png"
	"strconv"

	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/run"
)

// mostValues bounds the features that are shown of a sample that is no picture.
const mostValues = 4

// values are figures as JSON has them.
func values(figures []report.Figure) (all []Value) {
	for _, f := range figures {
		all = append(all, Value{f.Name, f.Value})
	}
	return all
}

// samples returns what is shown of the samples, and their pictures as PNG files where they are
// pictures.
func samples(b run.Beginning) (all []Sample, pictures [][]byte) {
	s := b.Samples
	for i := range s.Rows {
		sample := Sample{Row: b.Rows[i]}
		if s.Labels != nil {
			sample.Class = &s.Labels[i]
		}
		if picture, ok := report.SamplePicture(s, i, b.Shape); ok {
			var file bytes.Buffer
			if err := png.Encode(&file, picture); err == nil { // an error of a picture without pixels
				sample.Picture = "/v1/run/samples/" + strconv.Itoa(len(pictures)) + ".png"
				pictures = append(pictures, file.Bytes())
			}
		}
		if sample.Picture == "" {
			n := min(mostValues, s.Features)
			sample.Values, sample.More = features(b, i, n), s.Features-n
		}
		all = append(all, sample)
	}
	return all, pictures
}

// features returns the first n features of a row, with their names or numbers.
func features(b run.Beginning, row, n int) (all []Value) {
	for j := range n {
		v := Value{Name: strconv.Itoa(j + 1)}
		if b.Features != nil {
			v.Name = b.Features[j]
		}
		if b.Samples.Bytes != nil {
			v.Value = strconv.Itoa(int(b.Samples.Row(row)[j]))
		} else {
			value := float64(b.Samples.FloatRow(row)[j])
			if b.Offsets != nil {
				value += b.Offsets[j]
			}
			v.Value = strconv.FormatFloat(value, 'g', 6, 64)
		}
		all = append(all, v)
	}
	return all
}
