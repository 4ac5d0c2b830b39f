package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"clgrad/cpu"
	"clgrad/network/classifier"
	"clgrad/network/dataset"

	"gonum.org/v1/gonum/floats"
)

// A task is a network and rows for it, with what it gives for them in float64.
type task struct {
	rows          [][]float64
	class         []int
	probabilities []float64 // of the class
}

// prepare trains the network and computes what it gives for the test images.
func prepare(ctx context.Context, program, dir string) (t task, err error) {
	for _, args := range [][]string{
		{"train", "--recipe", "fast", "--backend", "cpu", "--out", modelFolder(dir)},
		{"export", modelFolder(dir), "--format", "npz", "--out", filepath.Join(dir, "model.npz")},
	} {
		c := exec.CommandContext(ctx, program, args...)
		var said bytes.Buffer
		c.Stderr = &said
		if err := c.Run(); err != nil {
			return t, fmt.Errorf("%s %s: %w: %s", program, args[0], err, said.Bytes())
		}
	}
	set, err := dataset.Load(ctx, "mnist", dataset.Options{})
	if err != nil {
		return t, err
	}
	for i := range 4096 {
		row := make([]float64, set.Test.Features)
		for j, v := range set.Test.Row(i) {
			row[j] = float64(v)
		}
		t.rows = append(t.rows, row)
	}
	b := cpu.New[float64]()
	defer b.Close()
	c, err := classifier.Load(modelFolder(dir), b)
	if err != nil {
		return t, err
	}
	defer c.Close()
	all, err := c.PredictProbabilities(t.rows)
	for _, probabilities := range all {
		class := floats.MaxIdx(probabilities)
		t.class, t.probabilities = append(t.class, class), append(t.probabilities, probabilities[class])
	}
	return t, err
}

// A request is prepared, with what is expected of its answer.
type request struct {
	body          []byte
	class         []int
	probabilities []float64
	answer        []byte // of a server with exact answers, once it has been checked
}

// requests returns requests of so many rows each, of all rows of the task.
func (t task) requests(rows int) (all []*request) {
	for first := 0; first+rows <= len(t.rows); first += rows {
		body, _ := json.Marshal(map[string]any{"rows": t.rows[first : first+rows]}) // whole numbers
		all = append(all, &request{body: body, class: t.class[first : first+rows], probabilities: t.probabilities[first : first+rows]})
	}
	return all
}

// check reports an answer that is not the expected one. Two classes of nearly the same probability may be
// exchanged by rounding.
func (r *request) check(answer []byte) error {
	var got struct {
		Predictions []struct {
			Class       int
			Probability float64
		}
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return fmt.Errorf("%w in %.200q", err, answer)
	}
	if len(got.Predictions) != len(r.class) {
		return fmt.Errorf("%d predictions for %d rows", len(got.Predictions), len(r.class))
	}
	for i, p := range got.Predictions {
		if d := math.Abs(p.Probability - r.probabilities[i]); d > 1e-4 || p.Class != r.class[i] && r.probabilities[i] > 0.5+1e-4 {
			return fmt.Errorf("row %d: class %d with probability %v where %d with %v is expected", i+1, p.Class, p.Probability, r.class[i], r.probabilities[i])
		}
	}
	return nil
}

// A result is what a server did under load.
type result struct {
	seconds []float64 // of each request
	took    time.Duration
	wrong   int // answers
}

// load sends requests from all clients until the time is over. Each client has requests of its own, in turn, so that an
// answer to another client's is seen.
func load(ctx context.Context, o options, s *server, requests []*request) (r result, err error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.clients, DisableCompression: true}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for _, q := range requests {
		q.answer = nil
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.seconds*float64(time.Second)))
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for c := range o.clients {
		all.Go(func() {
			mine, failed := drive(ctx, o, client, s, requests, c)
			mu.Lock()
			defer mu.Unlock()
			r.seconds, r.wrong = append(r.seconds, mine.seconds...), r.wrong+mine.wrong
			err = errors.Join(err, failed)
		})
	}
	if o.pace > 0 {
		go watchMemory(ctx, s, begin)
	}
	all.Wait()
	r.took = time.Since(begin)
	return r, err
}

// drive is one client. It ends with the time, behind the answer that it waits for.
func drive(ctx context.Context, o options, client *http.Client, s *server, requests []*request, c int) (r result, err error) {
	var answer bytes.Buffer
	for k := c; ctx.Err() == nil; k += o.clients {
		q := requests[k%len(requests)]
		if k >= len(requests) { // the same ones again
			q = requests[(k%o.clients)+k/o.clients%(len(requests)/o.clients)*o.clients]
		}
		begin := time.Now()
		post, err := http.NewRequest("POST", s.url+"/v1/predict", bytes.NewReader(q.body))
		if err != nil {
			return r, err
		}
		post.Header.Set("Content-Type", "application/json")
		got, err := client.Do(post)
		if err != nil {
			return r, err
		}
		answer.Reset()
		_, err = answer.ReadFrom(got.Body)
		got.Body.Close()
		if err != nil {
			return r, err
		}
		r.seconds = append(r.seconds, time.Since(begin).Seconds())
		switch {
		case got.StatusCode != http.StatusOK:
			return r, fmt.Errorf("status %d: %.200s", got.StatusCode, answer.Bytes())
		case s.empty:
		case s.exact && q.answer != nil:
			if !bytes.Equal(q.answer, answer.Bytes()) {
				r.wrong++
			}
		default:
			if err := q.check(answer.Bytes()); err != nil {
				fmt.Fprintln(os.Stderr, "load:", s.name, err)
				r.wrong++
			}
			q.answer = bytes.Clone(answer.Bytes())
		}
		if o.pace > 0 {
			time.Sleep(o.pace)
		}
	}
	return r, nil
}

// watchMemory prints the server's memory each minute.
func watchMemory(ctx context.Context, s *server, begin time.Time) {
	for tick := time.NewTicker(time.Minute); ; {
		select {
		case <-tick.C:
			fmt.Printf("%s: %.0f min: %.1f MB resident\n", s.name, time.Since(begin).Minutes(), float64(s.memory())/1e6)
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}
