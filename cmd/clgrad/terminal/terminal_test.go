package terminal

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"clgrad/cmd/clgrad/text"
)

// A line has its long forms where there is room, then short ones, then fewer parts, and is never
// as wide as the terminal.
func TestLine(t *testing.T) {
	l := Line{Share: 0.5, Parts: []Part{
		{"iteration 5 of 10", "5/10", 0}, {"loss 0.1234, accuracy 99.00 %", "loss 0.1234", 1}, {"100 iterations/s", "100/s", 3}, {"0:10, 0:10 left", "0:10 left", 2},
	}}
	for width, want := range map[int]string{
		200: "| " + strings.Repeat("█", 20) + strings.Repeat("░", 20) + "  50 %  iteration 5 of 10  loss 0.1234, accuracy 99.00 %  100 iterations/s  0:10, 0:10 left",
		60:  "|  50 %  iteration 5 of 10  loss 0.1234  100/s  0:10 left",
		50:  "|  50 %  5/10  loss 0.1234  100/s  0:10 left",
		40:  "|  50 %  5/10  loss 0.1234  0:10 left",
		30:  "|  50 %  5/10  loss 0.1234",
		20:  "|  50 %  5/10",
		10:  "|  50 % …",
	} {
		if got := l.text(width, 0); got != want {
			t.Errorf("%d columns: %q, want %q", width, got, want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		l := Line{Share: rapid.Float64Range(-0.1, 1.1).Draw(r, "share")}
		for range rapid.IntRange(0, 6).Draw(r, "parts") {
			words := rapid.StringN(0, 30, -1)
			l.Parts = append(l.Parts, Part{words.Draw(r, "long"), words.Draw(r, "short"), rapid.IntRange(0, 3).Draw(r, "rank")})
		}
		width := rapid.IntRange(2, 250).Draw(r, "width")
		if got := l.text(width, 3); text.Width(got) >= width {
			r.Fatalf("%d columns: %q has %d", width, got, text.Width(got))
		}
	})
}

// The rate is that of late steps: not of those that were done before it was looked at, nor of the
// first, nor of a faster time long ago.
func TestRate(t *testing.T) {
	var c Count
	c.Set(1000, 2000) // an earlier process did these
	now := time.Now()
	rate := func(after time.Duration, done int64) float64 {
		now = now.Add(after)
		c.Set(done, 2000)
		return c.Rate(now)
	}
	if got := rate(0, 1000); got != 0 {
		t.Errorf("before any step: %v a second", got)
	}
	if got := rate(30*time.Second, 1001); got != 0 {
		t.Errorf("after the first step, which has no beginning: %v a second", got)
	}
	if got := rate(time.Second, 1003); got != 2 {
		t.Errorf("two steps in a second: %v a second", got)
	}
	if got := c.Left(2); got != 997*time.Second/2 {
		t.Errorf("997 steps are left, that is %v", got)
	}
	for range 10 {
		rate(10*time.Second, c.done.Load()+10)
	}
	if got := c.Rate(now); got != 1 {
		t.Errorf("ten steps in ten seconds for a long time: %v a second", got)
	}
	now = now.Add(time.Hour)
	if got := c.Rate(now); got > 0.02 {
		t.Errorf("no step for an hour: %v a second", got)
	}
	if got := rate(0, 0); got != 0 {
		t.Errorf("another count: %v a second", got)
	}
}

func TestClock(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0:00", 7400 * time.Millisecond: "0:07", 754 * time.Second: "12:34", 3723 * time.Second: "1:02:03"} {
		if got := Clock(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}

// testDisplay returns a display on a buffer of 60 columns.
func testDisplay() (*Display, *bytes.Buffer) {
	var b bytes.Buffer
	return &Display{w: &b, width: func() int { return 60 }, visible: func() bool { return true }}, &b
}

// What is written stands above the line, which comes back behind a whole line only, and is gone
// when its status has ended. Many goroutines may write and show at the same time.
func TestDisplay(t *testing.T) {
	d, b := testDisplay()
	out := d.Writer(b)
	d.Show(func() Line { return Line{Share: -1, Parts: []Part{{Long: "below"}}} })
	end := d.Show(func() Line { return Line{Share: -1, Parts: []Part{{Long: "at work"}}} })
	for _, s := range d.statuses {
		s.since = s.since.Add(-delay)
	}
	io.WriteString(out, "a line\n")
	io.WriteString(out, "half")
	io.WriteString(out, " a line\n")
	d.mu.Lock()
	got := b.String()
	b.Reset()
	d.mu.Unlock()
	if want := "a line\n\r| at work\x1b[J\r" + "\r\x1b[Jhalf a line\n\r| at work\x1b[J\r"; got != want {
		t.Errorf("written is %q, want %q", got, want)
	}
	end()
	end() // twice does nothing
	d.mu.Lock()
	if got := b.String(); !strings.Contains(got, "below") {
		t.Errorf("after the end of one the status before it is expected: %q", got)
	}
	d.mu.Unlock()
	d.Close()
	if !strings.HasSuffix(b.String(), "\r\x1b[J") || d.stop != nil {
		t.Errorf("closed: %q", b.String())
	}

	var many sync.WaitGroup
	for i := range 8 {
		many.Go(func() {
			p := d.Steps(nil)
			defer p.End()
			for j := range 50 {
				p.At(fmt.Sprint("step of ", i), int64(j), 50)
				fmt.Fprintf(out, "%d %d\n", i, j)
				time.Sleep(time.Millisecond)
			}
		})
	}
	many.Wait()
	if d.stop != nil || len(d.statuses) > 0 {
		t.Error("a ticker is left")
	}
}

// What is over soon is not shown.
func TestDelay(t *testing.T) {
	d, b := testDisplay()
	d.Doing("nothing")()
	d.Writer(b).Write([]byte("x\n"))
	if got := b.String(); got != "x\n" {
		t.Errorf("written is %q", got)
	}
}

// Without a terminal nothing is shown, and nothing has to ask whether there is one.
func TestNone(t *testing.T) {
	var d *Display
	d.Show(nil)()
	p := d.Steps(nil)
	p.At("x", 1, 2)
	p.End()
	d.Close()
	if b := new(bytes.Buffer); d.Writer(b) != io.Writer(b) {
		t.Error("a writer in between")
	}
	if (*Screen)(nil).Width() != 0 || NewDisplay(nil) != nil {
		t.Error("a file has no width")
	}
}
