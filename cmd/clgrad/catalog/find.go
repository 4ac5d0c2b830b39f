package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/run"
	"clgrad/network"
	"clgrad/network/checkpoint"
)

// mostFolders bounds the folders that Find looks into. Tests change it.
var mostFolders = 100_000

// A Search is what Find found.
type Search struct {
	Runs       []Run   // in the order of their paths
	Cut        int     // how many folders were looked into where there are more, else 0
	Unreadable []error // of folders
}

// Find reads the runs in a folder and below it, at any depth. Folders whose names begin with a
// dot are left out. Links to folders are followed; a folder to which several paths lead is
// looked into once. An error is about the folder itself.
func Find(ctx context.Context, folder string) (s Search, err error) {
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, fmt.Errorf("%s: not found: a folder is expected", folder)
	case err != nil:
		return s, err
	case !info.IsDir():
		return s, fmt.Errorf("%s: is a file where a folder is expected", folder)
	}
	w := walk{seen: map[string]bool{}}
	w.enter(folder)
	for folders := 0; len(w.folders)+len(w.links) > 0; {
		if ctx.Err() != nil {
			return s, context.Cause(ctx)
		}
		if len(w.folders) == 0 { // links last: a folder has its own path where that is below too
			w.enter(pop(&w.links))
			continue
		}
		if folders == mostFolders {
			s.Cut = folders
			break
		}
		folders++
		if err := w.look(pop(&w.folders)); err != nil {
			s.Unreadable = append(s.Unreadable, err)
		}
	}
	runs, are := make([]Run, len(w.found)), make([]bool, len(w.found))
	network.Parallel(len(runs), 1, func(i, _ int) {
		if ctx.Err() == nil {
			runs[i], are[i] = Read(w.found[i])
		}
	})
	for i, r := range runs {
		if are[i] {
			s.Runs = append(s.Runs, r)
		}
	}
	slices.SortFunc(s.Runs, func(a, b Run) int { return cmp.Compare(a.Path, b.Path) })
	return s, context.Cause(ctx)
}

// A walk is under way through folders.
type walk struct {
	folders, links []string        // to be looked into, the last one first
	seen           map[string]bool // the real paths of folders
	found          []string        // what may be directories of runs
}

func pop(stack *[]string) string {
	last := len(*stack) - 1
	path := (*stack)[last]
	*stack = (*stack)[:last]
	return path
}

// enter adds a path to the folders to be looked into, if it is one that was not seen.
func (w *walk) enter(path string) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if info, failed := os.Stat(path); err != nil || failed != nil || !info.IsDir() || w.seen[real] {
		return
	}
	w.seen[real] = true
	w.folders = append(w.folders, path)
}

// look looks into a folder.
func (w *walk) look(path string) error {
	entries, err := os.ReadDir(path)
	isRun := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == recipe.FileName || e.Name() == run.LinesFile })
	if isRun {
		w.found = append(w.found, path)
	}
	for _, e := range slices.Backward(entries) {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, "."), isRun && (name == checkpoint.Folder || name == report.PicturesDir):
		case e.IsDir():
			w.enter(filepath.Join(path, name))
		case e.Type()&fs.ModeSymlink != 0:
			w.links = append(w.links, filepath.Join(path, name))
		}
	}
	return err
}
