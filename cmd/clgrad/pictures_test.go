package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/image/draw"

	"clgrad/cmd/clgrad/score"
	"clgrad/network/must"
)

// digitStyles are ways in which people have a digit as a picture: how image i, 28 × 28,
// light on dark, becomes one, and the ending of its file.
var digitStyles = []struct {
	name, ending string
	make         func(digit *image.Gray, random *rand.Rand) image.Image
}{
	{"as it is", ".png", func(digit *image.Gray, _ *rand.Rand) image.Image { return digit }},
	{"dark on light", ".png", func(digit *image.Gray, _ *rand.Rand) image.Image { return negative(digit) }},
	{"enlarged, anywhere", ".png", func(digit *image.Gray, random *rand.Rand) image.Image {
		side := 60 + random.IntN(400)
		page := image.NewGray(image.Rect(0, 0, side+random.IntN(2*side), side+random.IntN(2*side)))
		place(page, digit, side, random)
		return page
	}},
	{"dark on light with a border, JPEG", ".jpg", func(digit *image.Gray, random *rand.Rand) image.Image {
		side := 100 + random.IntN(200)
		page := image.NewGray(image.Rect(0, 0, side*2, side*3/2))
		place(page, digit, side, random)
		return negative(page)
	}},
	{"blue on yellowish paper in uneven light, JPEG", ".jpeg", func(digit *image.Gray, random *rand.Rand) image.Image {
		side := 150 + random.IntN(100)
		page := image.NewGray(image.Rect(0, 0, side*3/2, side*3/2))
		place(page, digit, side, random)
		photo := image.NewRGBA(page.Rect)
		for y := range page.Rect.Dy() {
			for x := range page.Rect.Dx() {
				ink := float64(page.GrayAt(x, y).Y) / 255
				light := 0.75 + 0.25*float64(x)/float64(page.Rect.Dx()) + 0.02*random.NormFloat64()
				mix := func(paper, pen float64) uint8 {
					return uint8(max(0, min(255, light*(paper+(pen-paper)*ink))))
				}
				photo.SetRGBA(x, y, color.RGBA{mix(240, 40), mix(235, 50), mix(205, 120), 255})
			}
		}
		return photo
	}},
	{"transparent", ".png", func(digit *image.Gray, random *rand.Rand) image.Image {
		page := image.NewNRGBA(image.Rect(0, 0, 90, 90))
		large := image.NewGray(image.Rect(0, 0, 84, 84))
		draw.CatmullRom.Scale(large, large.Rect, digit, digit.Rect, draw.Src, nil)
		for y := range 84 {
			for x := range 84 {
				page.SetNRGBA(x, y+3, color.NRGBA{0, 0, 0, large.GrayAt(x, y).Y})
			}
		}
		return page
	}},
}

func negative(p *image.Gray) *image.Gray {
	out := image.NewGray(p.Rect)
	for i, v := range p.Pix {
		out.Pix[i] = 255 - v
	}
	return out
}

// place draws a digit of some size somewhere on a page.
func place(page, digit *image.Gray, side int, random *rand.Rand) {
	x, y := random.IntN(page.Rect.Dx()-side+1), random.IntN(page.Rect.Dy()-side+1)
	draw.CatmullRom.Scale(page, image.Rect(x, y, x+side, y+side), digit, digit.Rect, draw.Src, nil)
}

func writePicture(t *testing.T, path string, p image.Image) {
	t.Helper()
	var b bytes.Buffer
	var err error
	if strings.HasPrefix(filepath.Ext(path), ".j") {
		err = jpeg.Encode(&b, p, &jpeg.Options{Quality: 85})
	} else {
		err = png.Encode(&b, p)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o777)
	}
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o666)
	}
	must.OK(t, err)
}

// Digits as people have them, of all sizes and on all grounds, are recognised as well as the
// rows of the data set that they were made of.
func TestPredictPictures(t *testing.T) {
	set, err := mnist()
	must.OK(t, err)
	const n = 200
	dir := t.TempDir()
	run := filepath.Join(t.TempDir(), "run")
	good(t, "train", "--data", "mnist", "--samples", "12000", "--batch-size", "60", "--epochs", "2", "--optimizer", "nesterov", "--layers", "64", "--backend", "cpu", "--out", run)

	rows := write(t, "rows.csv", "")
	var table strings.Builder
	table.WriteString("label")
	for i := range 784 {
		fmt.Fprintf(&table, ",pixel%d", i)
	}
	random := rand.New(rand.NewPCG(1, 0))
	for i := range n {
		row := set.Test.Slice(i, 1)
		fmt.Fprintf(&table, "\n%d", row.Labels[0])
		for _, v := range row.Bytes {
			fmt.Fprintf(&table, ",%d", v)
		}
		digit := &image.Gray{Pix: row.Bytes, Stride: 28, Rect: image.Rect(0, 0, 28, 28)}
		for _, style := range digitStyles {
			writePicture(t, filepath.Join(dir, style.name, fmt.Sprint(row.Labels[0]), fmt.Sprintf("%03d%s", i, style.ending)), style.make(digit, random))
		}
	}
	must.Write(t, table.String(), rows)
	status, out, notes := clgrad(t, "predict", run, "--data", rows, "--backend", "cpu")
	right := rightRows(t, out)
	if status != success || strings.Contains(notes, "looks") || strings.Contains(notes, "values up to") || len(right) != n {
		t.Fatalf("status %d, %d rows, %s", status, len(right), notes)
	}
	want := 0
	for _, ok := range right {
		if ok {
			want++
		}
	}
	if want < 90*n/100 {
		t.Fatalf("the rows themselves: %d of %d", want, n)
	}
	for _, style := range digitStyles {
		status, out, notes := clgrad(t, "predict", run, filepath.Join(dir, style.name), "--backend", "cpu")
		found := 0
		for _, ok := range rightRows(t, out) {
			if ok {
				found++
			}
		}
		t.Logf("%s: %d of %d, the rows %d", style.name, found, n, want)
		if status != success || found < want-n/50 {
			t.Errorf("%s: status %d, %d of %d are right, of the rows %d", style.name, status, found, n, want)
		}
		if strings.Count(notes, "\n") != 1 || !strings.Contains(notes, "pictures are converted as MNIST's digits were") {
			t.Errorf("%s: %s", style.name, notes)
		}
	}

	// Without the conversion, what does not fit is said.
	for name, word := range map[string]string{"dark on light": "looks inverted", "enlarged, anywhere": "looks uncentred"} {
		if _, _, notes := clgrad(t, "predict", run, filepath.Join(dir, name), "--raw", "--backend", "cpu"); !strings.Contains(notes, word) {
			t.Errorf("%s --raw: %s", name, notes)
		}
	}
	// A picture that is one of the data set is that row.
	as, err := filepath.Glob(filepath.Join(dir, "as it is", "7", "000.png"))
	if err != nil || len(as) != 1 {
		t.Fatal(as, err)
	}
	converted := good(t, "predict", run, as[0], "--probabilities", "--json", "--backend", "cpu")
	if raw := good(t, "predict", run, as[0], "--raw", "--probabilities", "--json", "--backend", "cpu"); raw != converted {
		t.Errorf("converted %sraw %s", converted, raw)
	}
	// The classes in order, and the picture as the network sees it.
	status, out, notes = clgrad(t, "predict", run, as[0], filepath.Join(dir, "transparent", "2"), "--top", "3", "--show", "--json", "--backend", "cpu")
	var line score.PredictionLine
	if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &line); err != nil || status != success {
		t.Fatal(status, err, notes)
	}
	if line.File != as[0] || line.Predicted != "7" || len(line.Top) != 3 || line.Top[0].Label != "7" || line.Top[0].Probability < line.Top[1].Probability || line.Actual != "" {
		t.Errorf("%+v", line)
	}
	if !strings.Contains(notes, "█") || !strings.Contains(notes, "7/000.png") {
		t.Errorf("drawn:\n%s", notes)
	}
}

// rightRows says of each row of predict's table whether it is right.
func rightRows(t *testing.T, out string) (right []bool) {
	t.Helper()
	table, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(table) == 0 {
		t.Fatal(err, out)
	}
	column := len(table[0]) - 2
	if table[0][column] != "predicted" || table[0][column+1] != "actual" {
		t.Fatalf("columns %v", table[0])
	}
	for _, row := range table[1:] {
		right = append(right, row[column] == row[column+1])
	}
	return right
}

// A folder a class is trained on, and eval, predict and resume read it as train did.
func TestTrainOnPictures(t *testing.T) {
	set, err := mnist()
	must.OK(t, err)
	dir, run := t.TempDir(), filepath.Join(t.TempDir(), "run")
	for part, rows := range map[string]int{"train": 400, "val": 50, "test": 100} {
		from := set.Train
		if part == "test" {
			from = set.Test
		}
		for i := range rows {
			row := from.Slice(i, 1)
			digit := &image.Gray{Pix: row.Bytes, Stride: 28, Rect: image.Rect(0, 0, 28, 28)}
			page := image.NewGray(image.Rect(0, 0, 40, 56))
			draw.BiLinear.Scale(page, page.Rect, digit, digit.Rect, draw.Src, nil)
			writePicture(t, filepath.Join(dir, part, "digit "+fmt.Sprint(row.Labels[0]), fmt.Sprintf("%03d.png", i)), page)
		}
	}
	_, s := lines(t, good(t, "train", "--data", dir, "--shape", "14x10", "--iterations", "60", "--layers", "16", "--backend", "cpu", "--json", "--out", run))
	if s.TestAccuracy < 0.6 || s.ValidationAccuracy < 0.6 || fmt.Sprint(s.Layers) != "[140 16 10]" {
		t.Errorf("%+v", s)
	}
	var e evaluation
	for _, args := range [][]string{{"eval", run}, {"eval", run, "--data", dir}, {"eval", filepath.Join(run, "model.safetensors"), "--data", dir}} {
		if err := json.Unmarshal([]byte(good(t, append(args, "--backend", "cpu", "--json")...)), &e); err != nil || math.Abs(float64(e.Loss-s.Loss)) > 1e-9 || e.HeldOut != s.HeldOut {
			t.Errorf("%v: %+v, train found %+v", args, e, s)
		}
	}
	for _, source := range [][]string{{dir}, {"--data", dir}, {filepath.Join(dir, "test")}} {
		status, out, notes := clgrad(t, append([]string{"predict", run, "--backend", "cpu"}, source...)...)
		right := 0
		for _, ok := range rightRows(t, out) {
			if ok {
				right++
			}
		}
		if status != success || notes != "" || float64(right) != math.Round(100*float64(s.TestAccuracy)) {
			t.Errorf("%v: status %d, %d right, train found %v\n%s", source, status, right, s.TestAccuracy, notes)
		}
	}
	if _, _, notes := clgrad(t, "train", "--resume", run, "--iterations", "65"); !strings.Contains(notes, "goes on after iteration 60") {
		t.Errorf("resume: %s", notes)
	}
	// Pictures without classes are predicted at the end of a run as predict does it.
	flat, other := t.TempDir(), filepath.Join(t.TempDir(), "run")
	for i := range 5 {
		row := set.Test.Slice(i, 1)
		writePicture(t, filepath.Join(flat, fmt.Sprintf("%d.png", i)), &image.Gray{Pix: row.Bytes, Stride: 28, Rect: image.Rect(0, 0, 28, 28)})
	}
	good(t, "train", "--data", dir, "--shape", "14x10", "--iterations", "20", "--layers", "16", "--backend", "cpu", "--predict", flat, "--out", other)
	var predicted strings.Builder
	for line := range strings.Lines(good(t, "predict", other, flat, "--backend", "cpu")) {
		fields := strings.Split(line, ",")
		predicted.WriteString(fields[0] + "," + fields[2])
	}
	if got := fileText(other, "predictions.csv"); got != predicted.String() || strings.Count(got, "\n") != 6 {
		t.Errorf("train predicts\n%sand predict\n%s", got, predicted.String())
	}

	// One on standard input.
	one := filepath.Join(dir, "test", "digit 7", "000.png")
	input, err := os.Open(one)
	must.OK(t, err)
	defer input.Close()
	before := os.Stdin
	os.Stdin = input
	piped := good(t, "predict", run, "-", "--backend", "cpu")
	os.Stdin = before
	if want := strings.Replace(good(t, "predict", run, one, "--backend", "cpu"), one, "-", 1); piped != want || !strings.HasPrefix(want, "row,file,predicted\n1,-,digit ") {
		t.Errorf("piped %q, from its file %q", piped, want)
	}

	for want, args := range map[string][]string{
		"--shape 28x28: the model's images are 14x10":                                                     {"predict", run, one, "--shape", "28x28"},
		one + ": is a PNG picture: a data set is a folder that has a folder of pictures for each class\n": {"train", "--data", one},
		"is read by this command: choose another file":                                                    {"predict", run, filepath.Join(dir, "test"), "--out", one},
		"is a folder of pictures, which has no use for a label column":                                    {"train", "--data", dir, "--label", "x"},
	} {
		if status, _, err := clgrad(t, append(args, "--backend", "cpu")...); status == success || !strings.Contains(err, want) || strings.Count(err, "\n") != 1 {
			t.Errorf("%v: status %d, %s", args, status, err)
		}
	}

	// A broken picture ends it, by name, before anything is written.
	bad := filepath.Join(dir, "train", "digit 3", "zzz.png")
	must.Write(t, "no picture", bad)
	out := filepath.Join(t.TempDir(), "out")
	want := "clgrad: " + bad + ": is neither a PNG nor a JPEG picture (1 of 551 pictures cannot be read, this is the first)\n"
	if status, _, err := clgrad(t, "train", "--data", dir, "--shape", "14x10", "--backend", "cpu", "--out", out); status != failure || err != want {
		t.Errorf("status %d, %q, want %q", status, err, want)
	}
}
