package run

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"clgrad/network"
)

// A History is what the files of a run say of its iterations. Loss and training accuracy are
// as lines have them.
type History struct {
	Loss, Accuracy []float64 // of the training set at iterations 1, 2, …
	Seconds        []float64 // of descent at the end of each
	Lines          []Line    // the logged iterations
}

// mostBatches bounds the batches of an epoch for which means over epochs are taken.
const mostBatches = 1 << 24

// ReadHistory reads the iterations of a run by its plan, as far as they are whole. Where a
// line is damaged, what it is about ends before that, with an error.
func ReadHistory(dir string, plan network.Plan) (h History, err error) {
	linesErr := readWhole(filepath.Join(dir, LinesFile), func(_ int, text string) error {
		if strings.HasPrefix(text, summaryStart) {
			return nil
		}
		var l Line
		err := json.Unmarshal([]byte(text), &l)
		if n := len(h.Lines); err == nil && n > 0 && l.Iteration <= h.Lines[n-1].Iteration {
			err = fmt.Errorf("iteration %d follows iteration %d", l.Iteration, h.Lines[n-1].Iteration)
		}
		if err == nil {
			h.Lines = append(h.Lines, l)
		}
		return err
	})
	seconds := 0.0
	iterationsErr := readWhole(filepath.Join(dir, IterationsFile), func(i int, text string) error {
		if i == 0 {
			if text != iterationsHeader {
				return fmt.Errorf("%.80q where %q is expected", text, iterationsHeader)
			}
			return nil
		}
		loss, accuracy, elapsed, err := parseIteration(i, text)
		if err == nil {
			seconds += elapsed.Seconds()
			h.Loss, h.Accuracy, h.Seconds = append(h.Loss, loss), append(h.Accuracy, accuracy), append(h.Seconds, seconds)
		}
		return err
	})
	err = errors.Join(linesErr, iterationsErr)
	p := pace{batches: batches(plan)}
	if !p.mini() || p.batches > mostBatches {
		return h, err
	}
	var rows []int
	for epoch := 0; len(rows) < len(h.Loss); epoch++ {
		rows = append(rows, plan.EpochRows(epoch)...)
	}
	h.Loss, h.Accuracy = p.lastEpochs(h.Loss, rows), p.lastEpochs(h.Accuracy, rows)
	return h, err
}

// readWhole visits the lines of a file, counted from 0, but for a last one that is not whole.
func readWhole(path string, visit func(i int, line string) error) error {
	if err := checkRegular(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	for i := 0; ; i++ {
		line, err := in.ReadString('\n')
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return err
		}
		if err := visit(i, strings.TrimSuffix(line, "\n")); err != nil {
			return fmt.Errorf("%s: line %d: %w", path, i+1, err)
		}
	}
}
