package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/network"
	"clgrad/network/checkpoint"
)

// A State is how a run stands.
type State string

// The states of a run.
const (
	Finished    State = "finished"    // the model of all iterations is there
	Running     State = "running"     // a process is at work in the directory
	Interrupted State = "interrupted" // train --resume can go on
	Damaged     State = "damaged"     // a file cannot be read
)

// An Inspection is what the files of a run directory say about the run.
type Inspection struct {
	State   State
	Damage  error             // what cannot be read, nil where all can
	Recipe  *recipe.Recipe    // complete, nil where it cannot be read
	Model   *checkpoint.Model // of the newest model or checkpoint all but the numbers, nil where there is none
	Metrics Metrics
}

// Inspect reads how the run in a directory stands: of models and checkpoints the headers, of
// the metrics what they come to. It opens no device and no data set, changes nothing, and
// disturbs no process at work there. ok is false where the directory is not that of a run: its
// config.json is not a recipe, and there are no files that only a run has.
func Inspect(path string) (i Inspection, ok bool) {
	running := atWork(path)
	i.Recipe, i.Damage = loadConfig(path)
	if i.Damage != nil && !(isThere(filepath.Join(path, LinesFile)) && isThere(filepath.Join(path, IterationsFile))) {
		return i, false
	}
	err := i.Damage
	damage := []error{err}
	if i.Metrics, err = ReadMetrics(path); err != nil {
		damage = append(damage, err)
	}
	finished, err := i.findModel(path)
	i.Damage = errors.Join(append(damage, err)...)
	switch {
	case running:
		// Files come and go while they are looked at, but for the configuration.
		i.State, i.Damage = Running, damage[0]
	case i.Damage != nil:
		i.State = Damaged
	case finished:
		i.State = Finished
	default:
		i.State = Interrupted
	}
	return i, true
}

// Began returns when the oldest file in the directory of a run was written, the configuration,
// unless somebody else changed it. A copy of the directory has the times of its own files.
func Began(path string) (first time.Time) {
	for _, name := range Files {
		info, err := os.Stat(filepath.Join(path, name))
		if err == nil && info.Mode().IsRegular() && (first.IsZero() || info.ModTime().Before(first)) {
			first = info.ModTime()
		}
	}
	return first
}

// loadConfig reads the configuration of a run.
func loadConfig(path string) (*recipe.Recipe, error) {
	config := filepath.Join(path, recipe.FileName)
	if err := checkRegular(config); err != nil {
		return nil, err
	}
	read, err := recipe.Load(config)
	if err != nil {
		return nil, err
	}
	if err := read.Complete(); err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	return &read.Recipe, nil
}

// checkRegular reports a file that is not there, or one that opening might wait for.
func checkRegular(file string) error {
	switch info, err := os.Stat(file); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: not found", file)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: is no regular file", file)
	}
	return nil
}

// findModel finds the newest model or checkpoint, and reports whether it is that of a
// finished run.
func (i *Inspection) findModel(path string) (finished bool, err error) {
	file := filepath.Join(path, checkpoint.FileName)
	var damage []error
	if isThere(file) {
		switch m, err := checkpoint.LoadHeader(file); {
		case err != nil:
			damage = append(damage, err)
		case m.Run == nil || m.Run.Plan == nil:
			damage = append(damage, notOfRun(file))
		default:
			i.Model = &m
			finished = i.Recipe != nil && checkFinished(file, m, *i.Recipe) == nil
		}
	}
	if finished {
		return true, nil
	}
	m, _, damaged, err := checkpoint.NewestHeader(path)
	damage = append(damage, damaged...)
	switch {
	case err == nil:
		if i.Model == nil || i.Model.Run.Iterations <= m.Run.Iterations {
			i.Model = &m
		}
	case !errors.Is(err, checkpoint.ErrNone):
		damage = append(damage, err)
	}
	return false, errors.Join(damage...)
}

// Done returns how many iterations are known to be done.
func (i Inspection) Done() int {
	done := 0
	if i.Model != nil {
		done = max(i.Model.Run.Iterations, i.Model.Run.Stopped)
	}
	if s := i.Metrics.Summary; s != nil {
		done = max(done, s.Iterations)
	}
	if l := i.Metrics.Last; l != nil {
		done = max(done, l.Iteration)
	}
	return done
}

// Batches returns the iterations of an epoch, 1 where they are not known.
func (i Inspection) Batches() int {
	if i.Model == nil {
		return 1
	}
	return batches(*i.Model.Run.Plan)
}

// Metrics are what the logged iterations of a run come to.
type Metrics struct {
	Last    *Line    // the last one, with what is last known of other sets; nil where there is none, or a Summary
	Summary *Summary // nil where there is none: the run is not finished
	// BestValidation is the highest accuracy of the validation set, NaN where it is not known.
	BestValidation network.Number
}

// tailBytes is more than a summary takes.
const tailBytes = 1 << 16

// ReadMetrics reads what the logged iterations of a run come to. Of a finished run without
// a validation set it reads the end of the file alone. A last line that is not whole
// yet does not count.
func ReadMetrics(dir string) (m Metrics, err error) {
	m.BestValidation = unknown
	path := filepath.Join(dir, LinesFile)
	if !isThere(path) {
		return m, nil // before the first iteration
	}
	if err := checkRegular(path); err != nil {
		return m, err
	}
	f, err := os.Open(path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return m, err
	}
	tail := make([]byte, min(info.Size(), tailBytes))
	n, err := f.ReadAt(tail, info.Size()-int64(len(tail)))
	if err != nil && err != io.EOF { // the file may have been cut short in between
		return m, err
	}
	tail = tail[:n]
	whole := tail[:bytes.LastIndexByte(tail, '\n')+1]
	last := bytes.TrimSuffix(whole, []byte{'\n'})
	if m.Summary, err = parseSummary(last[bytes.LastIndexByte(last, '\n')+1:]); err != nil {
		return m, fmt.Errorf("its summary: %w", err)
	}
	if s := m.Summary; s != nil {
		if m.BestValidation = s.ValidationAccuracy; m.BestValidation != m.BestValidation {
			return m, nil
		}
	}
	all := whole
	if len(tail) < int(info.Size()) {
		if all, err = io.ReadAll(io.NewSectionReader(f, 0, info.Size())); err != nil {
			return m, err
		}
	}
	return m, m.readLines(all)
}

// readLines finds the last line, what is last known of other sets, and the best accuracy of the
// validation set. It parses those lines alone.
func (m *Metrics) readLines(all []byte) error {
	var last, validation, test numberedLine
	for number := 1; ; number++ {
		text, rest, whole := bytes.Cut(all, []byte{'\n'})
		if !whole {
			break
		}
		all = rest
		if bytes.HasPrefix(text, []byte(summaryStart)) {
			continue
		}
		last = numberedLine{number, text}
		if _, accuracy, ok := bytes.Cut(text, []byte(`"validation_accuracy":`)); ok {
			validation = last
			end := bytes.IndexAny(accuracy, ",}")
			if v, err := strconv.ParseFloat(string(accuracy[:max(0, end)]), 64); err == nil && !(float64(m.BestValidation) >= v) {
				m.BestValidation = network.Number(v)
			}
		}
		if bytes.Contains(text, []byte(`"test_accuracy":`)) {
			test = last
		}
	}
	if last.text == nil || m.Summary != nil {
		return nil
	}
	var lines [3]Line
	for i, l := range []numberedLine{last, validation, test} {
		if l.text == nil {
			continue
		}
		if err := json.Unmarshal(l.text, &lines[i]); err != nil {
			return fmt.Errorf("line %d: %w", l.number, err)
		}
	}
	m.Last = &lines[0]
	m.Last.ValidationLoss, m.Last.ValidationAccuracy = lines[1].ValidationLoss, lines[1].ValidationAccuracy
	m.Last.TestLoss, m.Last.TestAccuracy = lines[2].TestLoss, lines[2].TestAccuracy
	return nil
}

// A numberedLine is one of a file, counted from 1.
type numberedLine struct {
	number int
	text   []byte
}
