package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/network/must"
)

// The page of serve is there, and what it is told of a picture is what predict says.
func TestServePage(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	good(t, "train", "--data", images(t, 500, 50), "--layers", "20,12", "--iterations", "30", "--backend", "cpu", "--preprocess", "standard", "--out", run)
	url, _ := serving(t, run, "--backend", "cpu")
	answer, err := http.Get(url + "/")
	must.OK(t, err)
	page, err := io.ReadAll(answer.Body)
	must.OK(t, err)
	must.OK(t, answer.Body.Close())
	if answer.StatusCode != http.StatusOK || !strings.Contains(string(page), `src="/static/draw.js"`) {
		t.Errorf("the page is %d: %s", answer.StatusCode, page)
	}

	digit := image.NewGray(image.Rect(0, 0, 100, 100))
	for i := range 60 {
		for wide := range 9 {
			digit.SetGray(45+wide, 20+i, color.Gray{200})
			digit.SetGray(20+i, 20+wide, color.Gray{200})
		}
	}
	var picture bytes.Buffer
	must.OK(t, png.Encode(&picture, digit))
	post := func(path string, to any) {
		t.Helper()
		answer, err := http.Post(url+path, "image/png", bytes.NewReader(picture.Bytes()))
		must.OK(t, err)
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(to); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d, %v", path, answer.StatusCode, err)
		}
	}
	var predicted struct {
		Predictions []struct {
			Class         int
			Probabilities []float64
		}
	}
	var explained struct {
		Predicted     int
		Probabilities []float64
		Units         []struct{ Weights struct{ Pixels []byte } }
	}
	post("/v1/predict?probabilities=true", &predicted)
	post("/v1/explain", &explained)
	if len(predicted.Predictions) != 1 || len(explained.Probabilities) != 10 || explained.Predicted != predicted.Predictions[0].Class {
		t.Fatalf("predicted %+v, explained %+v", predicted, explained)
	}
	for k, p := range predicted.Predictions[0].Probabilities {
		if math.Abs(p-explained.Probabilities[k]) > 1e-5 {
			t.Errorf("class %d: predicted %v, explained %v", k, p, explained.Probabilities[k])
		}
	}
	if len(explained.Units) == 0 || len(explained.Units[0].Weights.Pixels) != 784 {
		t.Errorf("the units are %+v", explained.Units)
	}
}
