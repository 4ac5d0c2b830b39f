package backendtest_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"clgrad/network"
	"clgrad/network/backendtest"
	"clgrad/network/must"
)

// A leaky executor keeps something of every update.
type leaky struct {
	*naive
	memory  [][]byte
	files   []*os.File
	handles int
	pause   time.Duration
	leak    func(*leaky)
}

func (b *leaky) Update(u network.Update, theta, g network.Vector, state []network.Vector, t network.Recorder) error {
	b.leak(b)
	return b.naive.Update(u, theta, g, state, t)
}

// A soak finds what grows, and nothing where nothing does.
func TestSoak(t *testing.T) {
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		want string
		leak func(*leaky)
	}{
		{"", func(*leaky) {}},
		{"memory grew by", func(b *leaky) {
			page := make([]byte, 32<<10)
			for i := range page {
				page[i] = byte(i)
			}
			b.memory = append(b.memory, page)
		}},
		{"more files are open", func(b *leaky) {
			f, err := os.Open(os.DevNull)
			must.OK(t, err)
			b.files = append(b.files, f)
		}},
		{"more handles are alive", func(b *leaky) { b.handles++ }},
		{"times as long", func(b *leaky) { b.pause += 60 * time.Microsecond; time.Sleep(b.pause) }},
	} {
		b := &leaky{leak: c.leak}
		soak, err := backendtest.RunSoak(&naiveBackend{made: func(n *naive) network.Executor { b.naive = n; return b }}, 300, func() int { return b.handles })
		for _, f := range b.files {
			f.Close()
		}
		must.OK(t, err)
		err = soak.Check()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("nothing grows: %v\n%v", err, soak)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("error %v, want %q\n%v", err, c.want, soak)
		}
	}
}
