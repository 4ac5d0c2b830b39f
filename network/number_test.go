package network

import (
	"encoding/json"
	"math"
	"testing"

	"clgrad/network/must"
)

// What is not finite is null in JSON, and null is not a number again.
func TestNumberJSON(t *testing.T) {
	for _, v := range []float64{0, -1.5, 0.1, math.MaxFloat64, math.NaN(), math.Inf(1)} {
		text, err := json.Marshal(Number(v))
		must.OK(t, err)
		read := Number(7)
		must.OK(t, json.Unmarshal(text, &read))
		if finite := !math.IsNaN(v) && !math.IsInf(v, 0); finite && float64(read) != v || !finite && !math.IsNaN(float64(read)) {
			t.Errorf("%v is %v after %s", v, read, text)
		}
	}
	if err := json.Unmarshal([]byte(`"1"`), new(Number)); err == nil {
		t.Error("text is taken for a number")
	}
}
