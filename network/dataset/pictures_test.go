package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/must"
)

// plain returns a grey picture of one value.
func plain(h, w int, v uint8) *image.Gray {
	p := image.NewGray(image.Rect(0, 0, w, h))
	for i := range p.Pix {
		p.Pix[i] = v
	}
	return p
}

// two returns a grey picture whose left half is dark and whose right half has a value.
func two(h, w int, v uint8) *image.Gray {
	p := plain(h, w, v)
	for y := range h {
		clear(p.Pix[y*p.Stride : y*p.Stride+w/2])
	}
	return p
}

func encoded(t testing.TB, p image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	must.OK(t, png.Encode(&b, p))
	return b.Bytes()
}

func encodedJPEG(t testing.TB, p image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	must.OK(t, jpeg.Encode(&b, p, &jpeg.Options{Quality: 95}))
	return b.Bytes()
}

// loadLogged loads a folder and returns what was said, with DIR in place of its path.
func loadLogged(t *testing.T, dir string, o Options) (set Set, said string, err error) {
	t.Helper()
	var log strings.Builder
	o.Log = func(line string) { log.WriteString(strings.ReplaceAll(line, dir, "DIR") + "\n") }
	set, err = Load(t.Context(), dir, o)
	if err != nil {
		err = fmt.Errorf("%s", strings.ReplaceAll(err.Error(), dir, "DIR"))
	}
	return set, log.String(), err
}

// A folder a class, divided or not, becomes rows of bytes: classes by their names, the first picture of
// each class before the second of any.
func TestPictureFolders(t *testing.T) {
	g := func(v uint8) []byte { return encoded(t, two(2, 4, v)) }
	dir := writeDir(t, map[string][]byte{
		"train/cat/1.png": g(11), "train/cat/2.PNG": g(12), "train/cat/more/3": g(13), "train/dog/a.png": g(21),
		"valid/dog/a.png": g(31), "test/cat/a.png": g(41), "test/dog/b.png": g(42), "test/dog/.hidden.png": []byte("x"),
		"train/.DS_Store": nil, "train/cat/Thumbs.db": []byte("no picture"), "README.txt": []byte("text"), "__MACOSX/x": nil,
	})
	set, said, err := loadLogged(t, dir, Options{})
	must.OK(t, err)
	row := func(v uint8) []uint8 { return []uint8{0, 0, v, v, 0, 0, v, v} }
	rows := func(values ...uint8) (all []uint8) {
		for _, v := range values {
			all = append(all, row(v)...)
		}
		return all
	}
	if !slices.Equal(set.Train.Bytes, rows(11, 21, 12, 13)) || !slices.Equal(set.Train.Labels, []int32{0, 1, 0, 0}) {
		t.Errorf("training set %v %v", set.Train.Bytes, set.Train.Labels)
	}
	if !slices.Equal(set.Validation.Bytes, rows(31)) || !slices.Equal(set.Test.Bytes, rows(41, 42)) || !slices.Equal(set.Test.Labels, []int32{0, 1}) {
		t.Errorf("validation set %v, test set %v", set.Validation, set.Test)
	}
	if set.Name != filepath.Base(dir) || set.Classes != 2 || !slices.Equal(set.ClassNames, []string{"cat", "dog"}) || !slices.Equal(set.Shape, []int{2, 4}) || !set.Pictures || set.Digest == "" {
		t.Errorf("%+v", set)
	}
	if want := "DIR: 4 files are no pictures and are passed over, the first is DIR/README.txt\n"; said != want {
		t.Errorf("said %q, want %q", said, want)
	}
	if err := set.Train.Check(2); err != nil {
		t.Error(err)
	}

	// One level, numbers in their order, and an empty class.
	one := writeDir(t, map[string][]byte{"10/a.png": g(1), "9/a.png": g(2), "8/": nil})
	if set, said, err = loadLogged(t, one, Options{}); err != nil || !slices.Equal(set.ClassNames, []string{"9", "10"}) || set.Test.Rows != 0 ||
		said != "DIR/8: has no picture, so that no row has this class\n" {
		t.Errorf("%v %v %q", set.ClassNames, err, said)
	}
	// Classes of a model keep their numbers.
	if set, _, err = loadLogged(t, one, Options{Classes: []string{"7", "8", "9", "10"}}); err != nil || set.Classes != 4 || !slices.Equal(set.Train.Labels, []int32{2, 3}) {
		t.Errorf("%v %v", set, err)
	}
	// A class may be called train.
	if set, _, err = loadLogged(t, writeDir(t, map[string][]byte{"train/a.png": g(1), "bus/a.png": g(2)}), Options{}); err != nil || !slices.Equal(set.ClassNames, []string{"bus", "train"}) {
		t.Errorf("%v %v", set.ClassNames, err)
	}
	// Pictures for a competition have no labels.
	flat := writeDir(t, map[string][]byte{"train/a/1.png": g(1), "train/b/1.png": g(2), "test/1.png": g(3)})
	if set, said, err = loadLogged(t, flat, Options{}); err != nil || set.Test.Rows != 0 || !strings.Contains(said, "DIR/test: its 1 pictures are in no folder of a class") {
		t.Errorf("%v %q", err, said)
	}
	if _, err := FindPictures(t.Context(), "no.png", Options{}); err == nil || err.Error() != "no.png: not found: a PNG or JPEG picture, or a folder of them, is expected" {
		t.Errorf("of a picture that is not there: %v", err)
	}
	found, err := FindPictures(t.Context(), flat, Options{Classes: []string{"a", "b"}})
	if err != nil || len(found) != 1 || found[0] != (Picture{filepath.Join(flat, "test", "1.png"), -1}) {
		t.Errorf("%v %v", found, err)
	}
	if found, err = FindPictures(t.Context(), filepath.Join(flat, "train"), Options{Classes: []string{"b", "a"}}); err != nil || len(found) != 2 || found[0].Class != 1 || found[1].Class != 0 {
		t.Errorf("%v %v", found, err)
	}
}

// Colour is taken where there is any, and what a shape asks for otherwise.
func TestPictureColours(t *testing.T) {
	grey, red := encoded(t, two(3, 4, 200)), image.NewRGBA(image.Rect(0, 0, 4, 3))
	for i := range red.Pix {
		red.Pix[i] = []uint8{200, 10, 20, 255}[i%4]
	}
	palette := image.NewPaletted(image.Rect(0, 0, 4, 3), color.Palette{color.Black, color.White})
	palette.Pix[5] = 1
	deep := image.NewGray16(image.Rect(0, 0, 4, 3))
	deep.SetGray16(1, 1, color.Gray16{0x8080})
	greyRGB := image.NewNRGBA(image.Rect(0, 0, 4, 3))
	for i := range greyRGB.Pix {
		greyRGB.Pix[i] = 255
	}
	greyRGB.SetNRGBA(2, 0, color.NRGBA{0, 0, 0, 128}) // over white
	all := map[string][]byte{"a/1.png": grey, "b/1.png": encoded(t, palette), "b/2.png": encoded(t, deep), "a/2.png": encoded(t, greyRGB), "a/3.jpg": encodedJPEG(t, plain(3, 4, 77))}
	set, said, err := loadLogged(t, writeDir(t, all), Options{})
	if err != nil || said != "DIR/a/3.jpg: all pixels are alike, nothing is seen on it (1 of 5 pictures are so)\n" || !slices.Equal(set.Shape, []int{3, 4}) {
		t.Fatalf("%v %q %v", set.Shape, said, err)
	}
	if b := set.Train.Bytes; b[12+5] != 255 || b[24+2] != 127 || b[36+5] != 0x80 || b[48] < 76 || b[48] > 78 {
		t.Errorf("%v", b)
	}
	all["a/4.png"] = encoded(t, red)
	dir := writeDir(t, all)
	set, said, err = loadLogged(t, dir, Options{})
	if err != nil || !slices.Equal(set.Shape, []int{3, 4, 3}) || set.Train.Features != 36 || !strings.Contains(said, "DIR: 1 of 6 pictures have colours: samples are 3×4×3 (Reading.Shape 3x4 takes them grey)") {
		t.Errorf("%v %q %v", set.Shape, said, err)
	}
	if last := set.Train.Slice(5, 1).Bytes; !slices.Equal(last[:6], []uint8{200, 10, 20, 200, 10, 20}) {
		t.Errorf("%v", last)
	}
	for shape, features := range map[[3]int]int{{3, 4, 1}: 12, {6, 2, 3}: 36} {
		set, _, err := loadLogged(t, dir, Options{Reading: Reading{Shape: shape[:]}})
		if err != nil || set.Train.Features != features {
			t.Errorf("shape %v: %v, %v", shape, set.Shape, err)
		}
		if features == 12 {
			if v := set.Train.Slice(5, 1).Bytes[0]; v != 68 { // 0.299·200 + 0.587·10 + 0.114·20
				t.Errorf("red is %v", v)
			}
		}
	}
}

// What cannot be read is named, with how much of it there is.
func TestPictureErrors(t *testing.T) {
	good := encoded(t, two(2, 4, 9))
	cut := encodedJPEG(t, two(64, 64, 99))
	with := func(files map[string][]byte) map[string][]byte {
		for _, name := range []string{"a/0.png", "b/0.png"} {
			if files[name] == nil {
				files[name] = good
			}
		}
		return files
	}
	bad := slices.Clone(good)
	bad[len(bad)-20] ^= 0xff
	for _, c := range []struct {
		files map[string][]byte
		o     Options
		want  string
	}{
		{with(map[string][]byte{"a/1.png": []byte("text")}), Options{}, "DIR/a/1.png: is neither a PNG nor a JPEG picture (1 of 3 pictures cannot be read, this is the first)"},
		{with(map[string][]byte{"a/1.png": {}, "b/1.png": {1}}), Options{}, "DIR/a/1.png: is empty where a PNG or JPEG picture is expected (2 of 4 pictures cannot be read, this is the first)"},
		{with(map[string][]byte{"a/1.jpg": cut[:len(cut)-30]}), Options{Reading: Reading{Shape: []int{2, 4}}}, "DIR/a/1.jpg: ends within its JPEG data: the file is cut short (1 of 3"},
		{with(map[string][]byte{"a/1.png": bad}), Options{}, "DIR/a/1.png: damaged or unusual PNG data: "},
		{with(map[string][]byte{"a/1.jpg": []byte("RIFF....WEBPVP8 ....")}), Options{}, "DIR/a/1.jpg: is a WebP picture where PNG or JPEG is expected: convert it (1 of 3"},
		{with(map[string][]byte{"a/1.png": hugePNG(60000, 60000)}), Options{}, "DIR/a/1.png: has 60000 × 60000 pixels where 67 million are possible: make it smaller"},
		{with(map[string][]byte{"a/1.png": hugePNG(8000, 8000)}), Options{}, "DIR/a/1.png: says that it has 8000 × 8000 pixels, which its "},
		{with(map[string][]byte{"a/1.png": encoded(t, plain(4, 2, 1))}), Options{}, "DIR: pictures have different sizes, as DIR/a/0.png with 2 rows and 4 columns and DIR/a/1.png with 4 and 2: Reading.Shape brings all to one, as in Reading.Shape 28x28"},
		{map[string][]byte{"a/1.png": encoded(t, plain(300, 2, 1)), "b/1.png": encoded(t, plain(300, 2, 1))}, Options{}, "DIR: pictures have 300 rows and 2 columns, and each pixel would be an input: Reading.Shape makes them smaller"},
		{map[string][]byte{"a/1.png": good}, Options{}, "DIR: has pictures in one folder, a: a folder for each of at least two classes is expected"},
		{map[string][]byte{"a/b/1.png": good, "a/c/1.png": good}, Options{}, "DIR: has pictures in one folder, a: a folder for each of at least two classes is expected: is DIR/a the data set?"},
		{with(map[string][]byte{"1.png": good}), Options{}, "DIR/1.png: stands in no folder of a class: DIR has a folder for each class"},
		{map[string][]byte{"train/a/1.png": good, "train/b/1.png": good, "test/c/1.png": good}, Options{}, `DIR/test/c: "c" is no class: "a", "b" are`},
		{map[string][]byte{"train/a/1.png": good, "train/b/1.png": good, "val/c/1.png": good}, Options{}, `DIR/val/c: "c" is no class: "a", "b" are`},
		{map[string][]byte{"train/a/1.png": good, "train/b/1.png": good, "val/a/1.png": good, "valid/a/1.png": good}, Options{}, "DIR/valid: is the same part of the set as DIR/val"},
		{map[string][]byte{"train/a/1.png": good, "train/b/1.png": good, "other/a/1.png": good}, Options{}, "DIR/other: stands beside DIR/train, which has the training set's classes"},
		{with(map[string][]byte{}), Options{Reading: Reading{Shape: []int{8}}}, "DIR: shape 8 is none of pictures: rows and columns, or rows, columns and 3 colours are expected"},
		{with(map[string][]byte{}), Options{Reading: Reading{Shape: []int{2, 4, 2}}}, "DIR: shape 2×4×2 is none of pictures"},
		{with(map[string][]byte{}), Options{Reading: Reading{Label: "x"}}, "DIR: is a folder of pictures, which has no use for a label column"},
		{with(map[string][]byte{}), Options{Test: "x.csv"}, "DIR: is a folder of pictures, which has no use for a test file"},
	} {
		_, _, err := loadLogged(t, writeDir(t, c.files), c.o)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

// hugePNG returns the header of a picture without its pixels.
func hugePNG(w, h uint32) []byte {
	ihdr := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
	ihdr = append(binary.BigEndian.AppendUint32(ihdr, h), 8, 6, 0, 0, 0)
	b := binary.BigEndian.AppendUint32([]byte("\x89PNG\r\n\x1a\n"), 13)
	b = binary.BigEndian.AppendUint32(append(b, ihdr...), crc32.ChecksumIEEE(ihdr))
	return append(b, "\x00\x00\x00\x00IDAT"...)
}

// Pictures are decoded at the same time, and the rows are the same as of one after the other.
func TestPicturesInOrder(t *testing.T) {
	files := map[string][]byte{}
	for i := range 64 {
		files[fmt.Sprintf("%d/%02d.png", i%4, i)] = encoded(t, two(5+i%3, 9+i%5, uint8(100+i)))
	}
	dir, o := writeDir(t, files), Options{Reading: Reading{Shape: []int{6, 7}}}
	set, _, err := loadLogged(t, dir, o)
	must.OK(t, err)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if alone, _, err := loadLogged(t, dir, o); err != nil || alone.Digest != set.Digest {
		t.Error("the rows depend on the number of cores", err)
	}
}

// A picture is turned as EXIF says: what is stored is undone for each of the eight ways.
func TestOrientation(t *testing.T) {
	stored := image.NewRGBA(image.Rect(0, 0, 2, 3)) // columns × rows
	for i := range 6 {
		stored.Pix[4*i] = uint8(i + 1)
	}
	for orientation, want := range map[int][]uint8{
		1: {1, 2, 3, 4, 5, 6}, 2: {2, 1, 4, 3, 6, 5}, 3: {6, 5, 4, 3, 2, 1}, 4: {5, 6, 3, 4, 1, 2},
		5: {1, 3, 5, 2, 4, 6}, 6: {5, 3, 1, 6, 4, 2}, 7: {6, 4, 2, 5, 3, 1}, 8: {2, 4, 6, 1, 3, 5},
	} {
		p := upright(stored, orientation)
		var got []uint8
		for i := 0; i < len(p.Pix); i += 4 {
			got = append(got, p.Pix[i])
		}
		if !slices.Equal(got, want) || p.Rect.Dx() != map[bool]int{false: 2, true: 3}[orientation >= 5] {
			t.Errorf("orientation %d: %v, want %v", orientation, got, want)
		}
	}
	page := encodedJPEG(t, two(16, 32, 250))
	for o := range uint16(10) {
		for _, big := range []bool{true, false} {
			var order binary.AppendByteOrder = binary.LittleEndian
			start := "II*\x00"
			if big {
				order, start = binary.BigEndian, "MM\x00*"
			}
			tiff := append(order.AppendUint32([]byte("Exif\x00\x00"+start), 8), order.AppendUint16(nil, 1)...)
			tiff = order.AppendUint16(order.AppendUint16(tiff, 0x112), 3)
			tiff = order.AppendUint16(order.AppendUint32(tiff, 1), o)
			tiff = append(tiff, 0, 0, 0, 0, 0, 0)
			segment := append(binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(tiff)+2)), tiff...)
			file := slices.Concat(page[:2], segment, page[2:])
			want := int(o)
			if o < 1 || o > 8 {
				want = 1
			}
			if got := orientation(bytes.NewReader(file)); got != want {
				t.Errorf("orientation %d is read as %d", o, got)
			}
			if o == 6 && big {
				dir := writeDir(t, map[string][]byte{"a/1.jpg": file, "b/1.jpg": file})
				set, _, err := loadLogged(t, dir, Options{})
				if err != nil || !slices.Equal(set.Shape, []int{32, 16}) || set.Train.Bytes[0] > 5 || set.Train.Bytes[32*16-1] < 245 {
					t.Errorf("%v %v", set.Shape, err)
				}
			}
		}
	}
}

// A disc and a bar, anywhere, on any ground, end in a box of 20 pixels whose centre of mass is in the middle.
func TestDigitsConversion(t *testing.T) {
	c := Conversion{Shape: []int{28, 28}, Method: Digits}
	for _, light := range []bool{false, true} {
		for _, at := range []image.Rectangle{image.Rect(10, 20, 110, 60), image.Rect(150, 0, 190, 199), image.Rect(40, 40, 44, 160)} {
			p := image.NewGray(image.Rect(0, 0, 200, 200))
			for y := range 200 {
				for x := range 200 {
					on := image.Pt(x, y).In(at)
					if on == light {
						p.SetGray(x, y, color.Gray{230})
					} else {
						p.SetGray(x, y, color.Gray{40})
					}
				}
			}
			row := make([]uint8, 784)
			l := c.row(row, p, 1)
			if l.Inverted == light || l.Blank {
				t.Errorf("%v: %+v", at, l)
			}
			box := inkBox(row, 28, 28)
			d := describeRow(row, c.Shape)
			if max(box.Dx(), box.Dy()) != 20 || math.Abs(d.row-14) > 0.5 || math.Abs(d.column-14) > 0.5 || d.highest != 255 || d.lowest != 0 {
				t.Errorf("%v: box %v, centre %v, %v", at, box, d.row, d.column)
			}
			if ratio := float64(at.Dx()) / float64(at.Dy()); math.Abs(float64(box.Dx())-20*min(1, ratio)) > 1 || math.Abs(float64(box.Dy())-20*min(1, 1/ratio)) > 1 {
				t.Errorf("%v: box %v", at, box)
			}
		}
	}
	// A model of values from 0 to 1, dark on light, is given such.
	like := &Profile{Lowest: Range{0, 0, 0}, Highest: Range{1, 1, 1}, Magnitude: Range{1, 1, 1}, Border: &Range{1, 1, 1}, Row: &Range{13, 13.5, 14}, Column: &Range{13, 13.5, 14}}
	if m := MethodFor([]int{28, 28}, like); m != Digits {
		t.Errorf("method %v", m)
	}
	if m := MethodFor([]int{28, 28}, &Profile{Highest: Range{1, 1, 1}, Magnitude: Range{1, 1, 1}}); m != Digits {
		t.Errorf("of a model of rows: method %v", m)
	}
	path := filepath.Join(writeDir(t, map[string][]byte{"x.png": encoded(t, plainWith(100, 100, 255, image.Rect(30, 20, 50, 90), 0))}), "x.png")
	s, err := ReadPictures(t.Context(), []Picture{{path, -1}}, Conversion{c.Shape, like, Digits}, Options{})
	if err != nil || s.Floats == nil || s.Floats[0] != 1 || s.Floats[14*28+13] != 0 || s.Labels != nil {
		t.Errorf("%v %v", s, err)
	}
}

func plainWith(h, w int, v uint8, at image.Rectangle, in uint8) *image.Gray {
	p := plain(h, w, v)
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			p.SetGray(x, y, color.Gray{in})
		}
	}
	return p
}

// FuzzPicture: whatever a file says, it is a picture of at most the pixels that were
// looked at before, or an error.
func FuzzPicture(f *testing.F) {
	f.Add(encoded(f, two(3, 5, 99)))
	f.Add(encodedJPEG(f, two(8, 8, 99)))
	f.Add(hugePNG(8000, 8000))
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x20Exif\x00\x00MM\x00*\xff\xff\xff\xff"))
	c := Conversion{Shape: []int{28, 28}, Method: Digits}
	f.Fuzz(func(t *testing.T, file []byte) {
		h, err := readHeader(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		if n := h.width * h.height; n < 1 || n > maxPixels || n/maxPerByte > len(file) {
			t.Fatalf("%+v of %d bytes", h, len(file))
		}
		if h.width*h.height > 1<<20 {
			return // takes long
		}
		if p, err := formats[h.format].decode(bytes.NewReader(file)); err == nil {
			c.row(make([]uint8, 784), p, h.orientation)
		}
	})
}

// The test images of MNIST and Fashion-MNIST fit the training images, all together, one by
// one in small numbers, and those of one class; scaled, inverted or moved they do not.
func TestMisfitOfImages(t *testing.T) {
	for _, name := range []string{"mnist", "fashion-mnist"} {
		set, err := Load(t.Context(), name, Options{Offline: true})
		if err != nil {
			t.Logf("%s is not here: %v", name, err)
			continue
		}
		p := set.Profile()
		alarms := 0
		for at := 0; at+10 <= set.Test.Rows; at += 10 {
			if words := p.Misfit(set.Test.Slice(at, 10), set.Shape); words != "" {
				alarms++
			}
		}
		single := 0
		for at := range set.Test.Rows {
			if words := p.Misfit(set.Test.Slice(at, 1), set.Shape); words != "" {
				single++
			}
		}
		t.Logf("%s: %d of %d tens, %d of %d rows, %+v", name, alarms, set.Test.Rows/10, single, set.Test.Rows, p)
		if alarms > 2 || single > 10 {
			t.Errorf("%s: %d alarms for tens, %d for single rows", name, alarms, single)
		}
		for class := range int32(set.Classes) {
			var rows []int
			for i, y := range set.Test.Labels {
				if y == class {
					rows = append(rows, i)
				}
			}
			if words := p.Misfit(pick(rows, set.Test), set.Shape); words != "" {
				t.Errorf("%s, class %d: %s", name, class, words)
			}
		}
		few := set.Test.Slice(0, 300)
		scaled, inverted := few, few
		scaled.Bytes, inverted.Bytes = nil, nil
		for _, v := range few.Bytes {
			scaled.Floats = append(scaled.Floats, float32(v)/255)
			inverted.Bytes = append(inverted.Bytes, 255-v)
		}
		for want, s := range map[string]network.Samples{"multiply them by 255": scaled, "looks inverted": inverted} {
			if words := p.Misfit(s, set.Shape); !strings.Contains(words, want) {
				t.Errorf("%s: %q where %q is expected", name, words, want)
			}
		}
	}
}

// A picture in memory becomes the row that its file becomes.
func TestReadPicture(t *testing.T) {
	wide := two(90, 120, 200)
	for _, file := range [][]byte{encoded(t, wide), encodedJPEG(t, wide)} {
		dir := writeDir(t, map[string][]byte{"a.png": file})
		for _, c := range []Conversion{{Shape: []int{28, 28}, Method: Digits}, {Shape: []int{8, 9, 3}}} {
			want, err := ReadPictures(t.Context(), []Picture{{Path: filepath.Join(dir, "a.png"), Class: -1}}, c, Options{})
			must.OK(t, err)
			got, seen, err := ReadPicture(file, 90*120, c)
			if err != nil || got.Rows != 1 || got.Features != want.Features || !slices.Equal(got.Bytes, want.Bytes) || seen.Blank || seen.Coloured {
				t.Errorf("%v: got %+v, %+v, %v\nwant %+v", c, got, seen, err, want)
			}
		}
	}
	if _, seen, err := ReadPicture(encoded(t, plain(9, 9, 7)), 81, Conversion{Shape: []int{3, 3}}); err != nil || !seen.Blank {
		t.Errorf("one grey: %+v, %v", seen, err)
	}
	for want, file := range map[string][]byte{
		"has 120 × 90 pixels where 0.0108 million are possible": encoded(t, wide),
		"is neither a PNG nor a JPEG picture":                   []byte("row,column"),
		"ends within its PNG data":                              encoded(t, plain(9, 9, 7))[:64],
		"is empty":                                              nil,
	} {
		if _, _, err := ReadPicture(file, 90*120-1, Conversion{Shape: []int{28, 28}}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
