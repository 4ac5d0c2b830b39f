package watch

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"clgrad/cmd/clgrad/run"
	"clgrad/network"
)

const (
	// tick is how often at most a change is published, and quiet after what time one is
	// in any case.
	tick  = 250 * time.Millisecond
	quiet = 5 * time.Second

	// roomForEvents is the memory that events have from the start, each about 100 bytes: an
	// iteration takes 50 µs at least.
	roomForEvents = 1 << 13

	// maxKept and maxKeptBytes bound the changes that are kept for clients that connect again.
	maxKept      = 64
	maxKeptBytes = 1 << 20
)

// A Run is one that is watched. It implements [run.Watcher].
type Run struct {
	id      string
	command string
	clients atomic.Int32

	inbox struct {
		sync.Mutex
		events, spare []event
	}

	mu       sync.Mutex // of all below
	live     *live
	pictures [][]byte // of the samples, as PNG
	changes  int      // that were published
	kept     [][]byte // the last of them, as they are sent
	keptSize int
	last     time.Time     // when
	news     chan struct{} // is closed at the next change

	stop, stopped chan struct{} // of the goroutine that takes events
	ended         sync.Once
}

// An event is one of the run's calls: an iteration, or what is to be done.
type event struct {
	iteration network.Iteration
	accuracy  float64
	do        func(*live) // nil for an iteration
}

var _ run.Watcher = (*Run)(nil)

// newRun begins to take a run's events. End ends that.
func newRun(command string) *Run {
	r := &Run{id: rand.Text()[:8], command: command, live: newLive(), news: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{})}
	r.inbox.events, r.inbox.spare = make([]event, 0, roomForEvents), make([]event, 0, roomForEvents)
	go func() {
		defer close(r.stopped)
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				r.take(now)
			case <-r.stop:
				r.take(time.Now())
				return
			}
		}
	}()
	return r
}

func (r *Run) post(e event) {
	r.inbox.Lock()
	r.inbox.events = append(r.inbox.events, e)
	r.inbox.Unlock()
}

func (r *Run) do(f func(*live)) { r.post(event{do: f}) }

// take takes the events that there are, and publishes what has changed.
func (r *Run) take(now time.Time) {
	r.inbox.Lock()
	events := r.inbox.events
	r.inbox.events, r.inbox.spare = r.inbox.spare[:0], nil
	r.inbox.Unlock()

	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		if e.do != nil {
			e.do(r.live)
		} else {
			r.live.iteration(e.iteration, e.accuracy)
		}
	}
	clear(events)
	r.inbox.Lock()
	r.inbox.spare = events
	r.inbox.Unlock()
	r.live.lookForReport()
	if r.live.changed || now.Sub(r.last) >= quiet {
		r.publish(now)
	}
}

// publish makes a change of all that is new, and wakes those who wait for it.
func (r *Run) publish(now time.Time) {
	text, err := json.Marshal(r.live.publish(now))
	if err != nil {
		return // numbers that are not finite have null: there is no other error
	}
	r.changes++
	r.last = now
	message := message(r.id, r.changes, "change", text)
	r.kept = append(r.kept, message)
	r.keptSize += len(message)
	for len(r.kept) > maxKept || len(r.kept) > 1 && r.keptSize > maxKeptBytes {
		r.keptSize -= len(r.kept[0])
		r.kept = slices.Delete(r.kept, 0, 1)
	}
	close(r.news)
	r.news = make(chan struct{})
}

// message returns a server-sent event that leads to the state after a number of changes.
func message(run string, changes int, kind string, data []byte) []byte {
	return fmt.Appendf(nil, "id: %s-%d\nevent: %s\ndata: %s\n\n", run, changes, kind, data)
}

// since returns what is to be sent to a client that knows the state after a number of changes, −1
// for none, and the number that it knows then. news is closed at the next change; it is nil where
// there will be none.
func (r *Run) since(known int) (messages [][]byte, now int, news <-chan struct{}, err error) {
	r.mu.Lock()
	now, news = r.changes, r.news
	if r.live.phase.Ended() {
		news = nil
	}
	if missed := now - known; known >= 0 && missed >= 0 && missed <= len(r.kept) {
		messages = slices.Clone(r.kept[len(r.kept)-missed:])
		r.mu.Unlock()
		return messages, now, news, nil
	}
	state := r.state()
	r.mu.Unlock()
	text, err := json.Marshal(state)
	if err != nil {
		return nil, 0, nil, err
	}
	return [][]byte{message(state.Run, state.Changes, "snapshot", text)}, now, news, nil
}

// state returns the published state.
func (r *Run) state() State {
	return State{Run: r.id, Changes: r.changes, Command: r.command, Change: r.live.all()}
}

// Begin implements [run.Watcher].
func (r *Run) Begin(b run.Beginning) {
	all, pictures := samples(b)
	setup := &Setup{
		Title: b.Title, Settings: values(b.Settings), Iterations: b.Iterations, Batches: b.Batches, ByEpoch: b.ByEpoch,
		EarlyStopping: b.EarlyStopping, ClassCount: b.Classes, Classes: b.ClassNames, SamplesOf: b.SamplesOf, Samples: all, Report: b.Report,
	}
	r.do(func(l *live) {
		r.pictures = pictures
		l.begin(b, setup)
	})
}

// Iteration implements [run.Watcher].
func (r *Run) Iteration(i network.Iteration, accuracy float64) {
	r.post(event{iteration: i, accuracy: accuracy})
}

// Line implements [run.Watcher].
func (r *Run) Line(line run.Line) { r.do(func(l *live) { l.line(line) }) }

// WantsPredictions implements [run.Watcher].
func (r *Run) WantsPredictions() bool { return r.clients.Load() > 0 }

// Predictions implements [run.Watcher].
func (r *Run) Predictions(iteration int, logits []float64) {
	r.do(func(l *live) { l.predictions(iteration, logits) })
}

// Scoring implements [run.Watcher].
func (r *Run) Scoring() { r.do(func(l *live) { l.setPhase(Scoring, "") }) }

// Scored implements [run.Watcher].
func (r *Run) Scored(s run.Summary) { r.do(func(l *live) { l.scored(s) }) }

// Note adds a line that standard error has too.
func (r *Run) Note(line string) { r.do(func(l *live) { l.note(line) }) }

// End says how the run ended, in a message where it did not end well. Later calls do nothing.
func (r *Run) End(p Phase, message string) {
	r.ended.Do(func() {
		r.do(func(l *live) { l.setPhase(p, message) })
		close(r.stop)
		<-r.stopped
	})
}
