package run

import (
	"os"
	"sync"
	"testing"
	"time"

	"clgrad/cmd/clgrad/recipe"
)

// Runs of a recipe that begin in one second each have a directory of their own.
func TestRecipesAtOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	now := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	const runs = 32
	dirs, errs := make([]*directory, runs), make([]error, runs)
	var all sync.WaitGroup
	for i := range runs {
		all.Go(func() {
			dirs[i], errs[i] = newDirectory("", now, 0, recipe.Recipe{Origin: recipe.Origin{Name: "same"}})
		})
	}
	all.Wait()
	seen := map[string]bool{}
	for i, d := range dirs {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		seen[d.path] = true
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(seen) != runs {
		t.Errorf("%d directories of %d runs", len(seen), runs)
	}
	if left, err := os.ReadDir(Folder); err != nil || len(left) > 0 {
		t.Errorf("%v, %v of runs that came to nothing", left, err)
	}
}
