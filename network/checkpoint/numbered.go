package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"clgrad/network/durable"
)

// Folder is the name of the checkpoints' folder in a run directory. A checkpoint
// is named by the iterations that were done, so that names sort:
// 0000001000.safetensors.
const Folder = "checkpoints"

const extension = ".safetensors"

// ErrNone reports a run directory without a sound checkpoint.
var ErrNone = errors.New("no checkpoint")

// A numbered is a checkpoint of a run directory by its name.
type numbered struct {
	file       string
	iterations int
}

// list returns the checkpoints of a run directory, the newest first.
func list(run string) (all []numbered, err error) {
	entries, err := os.ReadDir(filepath.Join(run, Folder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), extension)
		n, err := strconv.Atoi(digits)
		if ok && err == nil && name(n) == e.Name() {
			all = append(all, numbered{filepath.Join(run, Folder, e.Name()), n})
		}
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(b.iterations, a.iterations) })
	return all, nil
}

func name(iterations int) string { return fmt.Sprintf("%010d%s", iterations, extension) }

// SaveNumbered writes a model, whose Run says after how many iterations it
// stands, as a checkpoint of a run directory and returns its file, "" where it could
// not be written. Only then are those before it removed, but for the newest, so that
// keep are left. Later ones, which somebody passed over, stay until they are written anew.
func SaveNumbered(run string, m Model, keep int) (file string, err error) {
	folder := filepath.Join(run, Folder)
	if m.Run == nil {
		return "", fmt.Errorf("%s: a model without its run is no checkpoint", folder)
	}
	switch err := os.Mkdir(folder, 0o777); {
	case err == nil:
		if err := durable.SyncDir(run); err != nil {
			return "", err
		}
	case !errors.Is(err, fs.ErrExist):
		return "", err
	}
	file = filepath.Join(folder, name(m.Run.Iterations))
	if err := Save(file, m); err != nil {
		return "", err
	}
	all, err := list(run)
	if err != nil {
		return file, err
	}
	all = slices.DeleteFunc(all, func(n numbered) bool { return n.iterations > m.Run.Iterations })
	return file, remove(all[min(keep, len(all)):])
}

// Newest reads the newest checkpoint of a run directory that is sound, and
// returns its file. damaged is what is wrong with newer ones, a line each. An
// error is [ErrNone] where there is none.
func Newest(run string) (m Model, file string, damaged []error, err error) {
	return newest(run, Load)
}

// NewestHeader is [Newest] of what headers say, as [LoadHeader] reads them.
func NewestHeader(run string) (m Model, file string, damaged []error, err error) {
	return newest(run, LoadHeader)
}

func newest(run string, load func(file string) (Model, error)) (m Model, file string, damaged []error, err error) {
	all, err := list(run)
	if err != nil {
		return Model{}, "", nil, err
	}
	for _, n := range all {
		m, err := load(n.file)
		switch {
		case err != nil:
		case m.Run == nil || m.Run.Plan == nil:
			err = fmt.Errorf("%s: does not say how it was trained", n.file)
		case m.Run.Iterations != n.iterations:
			err = fmt.Errorf("%s: is of iteration %d", n.file, m.Run.Iterations)
		default:
			return m, n.file, damaged, nil
		}
		damaged = append(damaged, err)
	}
	return Model{}, "", damaged, fmt.Errorf("%s: %w", run, ErrNone)
}

// LoadRun reads what a run came to: its model, or its newest sound checkpoint while
// it is not finished. file is the one that was read; damaged is as of [Newest], where
// there is none that is sound too.
func LoadRun(run string) (m Model, file string, damaged []error, err error) {
	file = filepath.Join(run, FileName)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		m, checkpoint, damaged, err := Newest(run)
		switch {
		case err == nil:
			return m, checkpoint, damaged, nil
		case len(damaged) > 0 || !errors.Is(err, ErrNone):
			return Model{}, "", damaged, err
		}
	}
	m, err = Load(file)
	return m, file, nil, err
}

// Sweep removes what the write of a checkpoint that was killed left.
func Sweep(run string) error { return durable.Sweep(filepath.Join(run, Folder), "*"+extension) }

// Keep removes all checkpoints of a run directory but the newest n.
func Keep(run string, n int) error {
	all, err := list(run)
	if err != nil {
		return err
	}
	return remove(all[min(n, len(all)):])
}

// Clear removes all checkpoints of a run directory, and their folder where
// nothing else is in it.
func Clear(run string) error {
	all, err := list(run)
	if err != nil {
		return err
	}
	err = errors.Join(remove(all), Sweep(run))
	os.Remove(filepath.Join(run, Folder))
	return err
}

func remove(all []numbered) error {
	for _, n := range all {
		if err := os.Remove(n.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
