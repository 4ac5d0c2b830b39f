package dataset

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// The two tables are of a million rows of a label and nine normal numbers, with six
// decimals or with all that float64 needs, and of 42000 images of 784 pixels, a fifth of them
// not 0. With CSV_DIR set to a directory they are kept there, so that another reader can
// be timed on the same files.
//
// On two cores of an AMD EPYC, in turns with pandas 1.5.3 (read_csv, engine c), three times each:
//
//	decimals6   0.51 to 0.74 s   pandas 0.57 to 0.91 s
//	decimals17  0.92 to 0.94 s   pandas 1.00 to 1.15 s
//	pixels      0.82 to 0.93 s   pandas 1.26 to 1.71 s
//
//	CSV_DIR=/tmp go test ./network/dataset -run '^$' -bench LoadCSV -benchtime 1x
//	python3 -c 'import pandas, time; t = time.time(); pandas.read_csv("/tmp/pixels.csv"); print(time.time() - t)'
func BenchmarkLoadCSV(b *testing.B) {
	for _, bench := range []struct {
		name  string
		write func(*bufio.Writer)
	}{
		{"decimals6", func(w *bufio.Writer) { writeNumbers(w, 6) }},
		{"decimals17", func(w *bufio.Writer) { writeNumbers(w, -1) }},
		{"pixels", writePixels},
	} {
		b.Run(bench.name, func(b *testing.B) {
			dir := os.Getenv("CSV_DIR")
			if dir == "" {
				dir = b.TempDir()
			}
			name := filepath.Join(dir, bench.name+".csv")
			if _, err := os.Stat(name); err != nil {
				f, err := os.Create(name)
				if err != nil {
					b.Fatal(err)
				}
				w := bufio.NewWriter(f)
				bench.write(w)
				if err := w.Flush(); err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
			info, err := os.Stat(name)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(info.Size())
			for b.Loop() {
				if _, err := Load(b.Context(), name, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func writeNumbers(w *bufio.Writer, decimals int) {
	r := rand.New(rand.NewPCG(1, 2))
	w.WriteString("label,a,b,c,d,e,f,g,h,i\n")
	for range 1000000 {
		w.WriteString(strconv.Itoa(r.IntN(2)))
		for range 9 {
			w.WriteByte(',')
			w.WriteString(strconv.FormatFloat(r.NormFloat64(), 'f', decimals, 64))
		}
		w.WriteByte('\n')
	}
}

func writePixels(w *bufio.Writer) {
	r := rand.New(rand.NewPCG(1, 2))
	w.WriteString("label")
	for i := range 784 {
		fmt.Fprintf(w, ",pixel%d", i)
	}
	for i := range 42000 {
		fmt.Fprintf(w, "\n%d", i%10)
		for range 784 {
			pixel := 0
			if r.IntN(5) == 0 {
				pixel = r.IntN(256)
			}
			w.WriteByte(',')
			w.WriteString(strconv.Itoa(pixel))
		}
	}
	w.WriteByte('\n')
}
