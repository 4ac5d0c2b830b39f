package run

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"clgrad/network"
)

// The files of a run directory that have lines for its iterations, and those of
// predictions.
const (
	IterationsFile = "iterations.csv" // a row for every iteration
	MetricsFile    = "metrics.csv"    // a row for each logged iteration
	LinesFile      = "metrics.jsonl"  // the lines that --json writes

	PredictionsFile = "predictions.csv"
	submissionFile  = "submission.csv"
)

const (
	iterationsHeader = "iteration,loss,train_accuracy,seconds"
	metricsHeader    = "iteration,loss,train_accuracy,validation_loss,validation_accuracy,test_loss,test_accuracy,seconds"
	epochsHeader     = "iteration,epoch,loss,train_accuracy,validation_loss,validation_accuracy,test_loss,test_accuracy,seconds"
)

// A history is what a run directory says of a run's iterations.
type history struct {
	iterations, table, lines *logFile
	epochs                   bool // the table has a column for them
}

// openHistory opens the files of a run as they were after done iterations. The trace is
// what they say of those. Where they do not reach so far, the error says which one does
// not. Otherwise before is called, and then what they say of later iterations is removed.
func openHistory(dir string, done int, p pace, before func() error) (h history, t trace, err error) {
	lines, header := p.logged(done), metricsHeader
	if h.epochs = p.mini(); h.epochs {
		header = epochsHeader
	}
	var errs [3]error
	h.iterations, errs[0] = openLog(filepath.Join(dir, IterationsFile), iterationsHeader, done, func(i int, line string) error {
		loss, accuracy, elapsed, err := parseIteration(i+1, line)
		t.add(network.Iteration{Number: i + 1, Loss: loss, Elapsed: elapsed}, accuracy)
		return err
	})
	h.table, errs[1] = openLog(filepath.Join(dir, MetricsFile), header, lines, func(i int, line string) error {
		return expect(p.number(i), line)
	})
	h.lines, errs[2] = openLog(filepath.Join(dir, LinesFile), "", lines, func(i int, text string) error {
		var line Line
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			return err
		}
		if n := p.number(i); line.Iteration != n {
			return fmt.Errorf("is of iteration %d where %d is expected", line.Iteration, n)
		}
		t.lines = append(t.lines, line)
		return nil
	})
	err = errors.Join(errs[:]...)
	if err == nil && before != nil {
		err = before()
	}
	for _, l := range []*logFile{h.iterations, h.table, h.lines} {
		if err == nil {
			err = l.cut()
		}
	}
	if err != nil {
		return history{}, trace{}, errors.Join(err, h.close())
	}
	return h, t, nil
}

// expect reports a row of a table that is not of iteration n.
func expect(n int, row string) error {
	if first, _, _ := strings.Cut(row, ","); first != strconv.Itoa(n) {
		return fmt.Errorf("is of iteration %.20q where %d is expected", first, n)
	}
	return nil
}

// parseIteration reads row n of iterations.csv.
func parseIteration(n int, row string) (loss, accuracy float64, elapsed time.Duration, err error) {
	if err := expect(n, row); err != nil {
		return 0, 0, 0, err
	}
	cells := strings.Split(row, ",")
	if want := strings.Count(iterationsHeader, ",") + 1; len(cells) != want {
		return 0, 0, 0, fmt.Errorf("has %d columns where %d are expected", len(cells), want)
	}
	var v [3]float64
	for i := range v {
		if v[i], err = strconv.ParseFloat(cells[i+1], 64); err != nil || math.IsNaN(v[i]) || math.IsInf(v[i], 0) {
			return 0, 0, 0, fmt.Errorf("column %d: %.80q where a number is expected", i+2, cells[i+1])
		}
	}
	if v[2] < 0 || v[2] > math.MaxInt64/1e9/2 {
		return 0, 0, 0, fmt.Errorf("column 4: %.80q where seconds are expected", cells[3])
	}
	return v[0], v[1], time.Duration(math.Round(v[2] * 1e9)), nil
}

// iteration adds one of the iterations. An error stays until the next sync.
func (h history) iteration(i network.Iteration, accuracy float64) {
	if h.iterations == nil {
		return
	}
	b := strconv.AppendInt(h.iterations.w.AvailableBuffer(), int64(i.Number), 10)
	b = strconv.AppendFloat(append(b, ','), i.Loss, 'g', -1, 64)
	b = strconv.AppendFloat(append(b, ','), accuracy, 'g', -1, 64)
	b = strconv.AppendFloat(append(b, ','), i.Elapsed.Seconds(), 'f', 9, 64)
	h.iterations.w.Write(append(b, '\n'))
}

// line adds a logged iteration, for others to read at once.
func (h history) line(line Line) error {
	if h.lines == nil {
		return nil
	}
	cell := func(n *network.Number) string {
		if n == nil {
			return ""
		}
		return strconv.FormatFloat(float64(*n), 'g', -1, 64)
	}
	first := strconv.Itoa(line.Iteration)
	if h.epochs {
		first += "," + strconv.FormatFloat(line.Epoch, 'g', -1, 64)
	}
	fmt.Fprintln(h.table.w, strings.Join([]string{
		first, cell(&line.Loss), cell(&line.TrainAccuracy), cell(line.ValidationLoss), cell(line.ValidationAccuracy), cell(line.TestLoss), cell(line.TestAccuracy),
		strconv.FormatFloat(line.Seconds, 'f', 6, 64),
	}, ","))
	return h.add(line)
}

// add adds a line of JSON and has all lines be read by others.
func (h history) add(line any) error {
	err := json.NewEncoder(h.lines.w).Encode(line)
	return errors.Join(err, h.iterations.w.Flush(), h.table.w.Flush(), h.lines.w.Flush())
}

// sync has all lines reach the disk. It reports what could not be written since
// the files were opened.
func (h history) sync() error {
	for _, l := range []*logFile{h.iterations, h.table, h.lines} {
		if err := l.w.Flush(); err != nil {
			return err
		}
		if err := l.f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// close closes the files that are open.
func (h history) close() error {
	var errs []error
	for _, l := range []*logFile{h.iterations, h.table, h.lines} {
		if l != nil {
			errs = append(errs, l.w.Flush(), l.f.Close())
		}
	}
	return errors.Join(errs...)
}

// A logFile is a file of lines that grows. Its writer remembers the first error.
type logFile struct {
	f      *os.File
	w      *bufio.Writer
	header string // to be written
	at     int64  // where what is kept ends
}

// openLog opens a file with a header, if there is one, and its first n lines,
// each of which visit looks at. What follows them is there until it is cut.
func openLog(path, header string, n int, visit func(i int, line string) error) (_ *logFile, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	l := &logFile{f: f, w: bufio.NewWriter(f), header: header}
	if n > 0 {
		l.header = ""
		if l.at, err = readLog(f, header, n, visit); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return l, nil
}

// cut removes all but what is kept.
func (l *logFile) cut() error {
	if err := l.f.Truncate(l.at); err != nil {
		return err
	}
	if _, err := l.f.Seek(l.at, io.SeekStart); err != nil {
		return err
	}
	if l.header == "" {
		return nil
	}
	_, err := fmt.Fprintln(l.f, l.header)
	return err
}

// readLog reads a header and n lines and returns how many bytes they have.
func readLog(r io.Reader, header string, n int, visit func(i int, line string) error) (size int64, err error) {
	in := bufio.NewReader(r)
	next := func(what string) (string, error) {
		line, err := in.ReadString('\n')
		if err == io.EOF {
			return "", fmt.Errorf("ends before its %s: it does not reach as far as the checkpoint", what)
		}
		size += int64(len(line))
		return strings.TrimSuffix(line, "\n"), err
	}
	if header != "" {
		line, err := next("header")
		if err != nil {
			return 0, err
		}
		if line != header {
			return 0, fmt.Errorf("line 1: %.80q where %q is expected", line, header)
		}
	}
	for i := range n {
		line, err := next(fmt.Sprintf("line for %d of %d", i+1, n))
		if err != nil {
			return 0, err
		}
		if err := visit(i, line); err != nil {
			row := i + 1
			if header != "" {
				row++
			}
			return 0, fmt.Errorf("line %d: %w", row, err)
		}
	}
	return size, nil
}
