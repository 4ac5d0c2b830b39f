package run

import (
	"math"
	"testing"
	"time"
)

// With ranks a checkpoint is due by the time, so a descent ends about there; where the recipe says
// when, or nothing is kept, the time does not matter.
func TestUntilCheckpoint(t *testing.T) {
	ranks, none := &Ranks{Size: 2, CheckpointTime: 30 * time.Second}, trace{}
	timed := trace{times: []time.Duration{time.Hour, 100 * time.Millisecond}}
	for _, c := range []struct {
		name        string
		r           run
		kept        time.Duration // ago
		least, most int
	}{
		{"one process", run{dir: &directory{}, trace: timed}, time.Hour, math.MaxInt32, math.MaxInt32},
		{"nothing kept", run{opts: Options{Ranks: ranks}, trace: timed}, time.Hour, math.MaxInt32, math.MaxInt32},
		{"no iteration yet", run{opts: Options{Ranks: ranks}, dir: &directory{}, trace: none}, 0, 1, 1},
		{"just kept", run{opts: Options{Ranks: ranks}, dir: &directory{}, trace: timed}, 0, 290, 300},
		{"soon", run{opts: Options{Ranks: ranks}, dir: &directory{}, trace: timed}, 28 * time.Second, 10, 20},
		{"at once", run{opts: Options{Ranks: ranks}, dir: &directory{}, trace: timed}, 29990 * time.Millisecond, 0, 1},
		{"due", run{opts: Options{Ranks: ranks}, dir: &directory{}, trace: timed}, 31 * time.Second, 0, 0},
	} {
		c.r.kept = time.Now().Add(-c.kept)
		if n := c.r.untilCheckpoint(); n < c.least || n > c.most {
			t.Errorf("%s: %d iterations, %d to %d are expected", c.name, n, c.least, c.most)
		}
	}
	every := run{opts: Options{Ranks: ranks}, dir: &directory{}, trace: timed}
	every.CheckpointEvery = 5
	if n := every.untilCheckpoint(); n != math.MaxInt32 {
		t.Errorf("with --checkpoint-every there are %d iterations", n)
	}
}
