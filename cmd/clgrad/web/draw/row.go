package draw

import (
	"errors"
	"fmt"
	"math"

	"github.com/go-json-experiment/json"

	"clgrad/network/checkpoint"
)

// decodeRow reads a row of raw features from JSON, strictly, and returns the values that the
// model's scaling is for.
func decodeRow(body []byte, m checkpoint.Model) ([]float32, error) {
	var request struct {
		Row []*float64 `json:"row"`
	}
	if err := json.Unmarshal(body, &request, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf(`the body is not of the form {"row":[5.1,3.5]}: %w`, err)
	}
	if n := m.Sizes[0]; len(request.Row) != n {
		return nil, fmt.Errorf("the row has %d features where %d are expected", len(request.Row), n)
	}
	row := make([]float32, len(request.Row))
	for j, v := range request.Row {
		switch {
		case v != nil:
			row[j] = float32(*v - m.Columns.Offset(j))
		case m.Columns != nil && m.Columns.Means != nil:
			row[j] = float32(m.Columns.Means[j] - m.Columns.Offset(j))
		default:
			return nil, fmt.Errorf("feature %d of the row is missing, and the network was trained on rows without gaps", j+1)
		}
		if math.IsInf(float64(row[j]), 0) {
			return nil, errors.New("the row has a value that is beyond float32")
		}
	}
	return row, nil
}
