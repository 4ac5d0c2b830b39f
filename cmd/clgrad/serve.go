package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/web"
	"clgrad/cmd/clgrad/web/draw"
	"clgrad/cmd/clgrad/web/predict"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
)

type serveCommand struct {
	Model recipe.Path `arg:"" help:"A safetensors file, or the directory of a run (train --out): its model, or its newest checkpoint if the run is not finished."`

	Listen   string       `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen. Without a host on this machine alone (127.0.0.1); 0.0.0.0 is every address. Port 0 is any free one."`
	Host     []string     `placeholder:"NAME" help:"Further names that this server has, for requests whose Host header has them."`
	Rate     *float64     `placeholder:"N" help:"Requests a second that are taken from one client's address; 0 for any number. Default: 100 from other machines, any number from this one."`
	MaxBody  int64        `placeholder:"BYTES" default:"8388608" help:"Largest body of a request."`
	MaxRows  recipe.Count `placeholder:"ROWS" default:"4096" help:"Most rows of a request. With their answers they take at most 32 MB, so that of large images there may be fewer."`
	MaxBatch recipe.Count `placeholder:"ROWS" default:"256" help:"Most rows that are computed at a time."`
	MaxWait  wait         `placeholder:"TIME" default:"0s" help:"How long a batch that is not full waits for more rows, as in 2ms. With 0s, a batch has what came while the one before was computed."`
	MaxQueue recipe.Count `placeholder:"N" default:"256" help:"Most requests that wait for the device. Further ones are answered with 503."`
	Timeout  wait         `placeholder:"TIME" default:"10s" help:"How long a request may take once it is read."`

	Shape          recipe.Dimensions `placeholder:"HxWxC" help:"Shape of the images that the network was trained on, where the model does not say it."`
	recipe.Scaling `set:"which_scaling= where the model does not say its scaling"`
	Backend        backendName `default:"auto" help:"auto, cpu, cpu64, opencl, opencl:P.D or opencl:NAME, as for train."`
	JSON           bool        `name:"json" help:"Log in JSON, an object a line."`
}

// usualRate is how many requests a second are taken from another machine where no flag says it.
const usualRate = 100.

// A wait is a time of a flag.
type wait time.Duration

// UnmarshalText parses a time from 0 to an hour.
func (w *wait) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 || d > time.Hour {
		return fmt.Errorf("%.40q: a time from 0s to 1h is expected, as in 500ms or 10s", text)
	}
	*w = wait(d)
	return nil
}

// Help is shown by clgrad serve --help.
func (serveCommand) Help() string {
	return `Prints its address, and answers until it is interrupted:

  GET  /             a page to draw on, and to see why
  POST /v1/predict   classes of rows or pictures
  GET  /v1/model     what is known of the model
  GET  /healthz, /readyz, /metrics

Rows are JSON or CSV, pictures PNG or JPEG. Requests that come while the device computes are computed together. With --quiet only failures are logged.

Examples:

  clgrad serve run1
  curl -d '{"row":[5.1,3.5,1.4,0.2]}' \
    -H 'Content-Type: application/json' \
    http://127.0.0.1:8080/v1/predict
  curl --data-binary @seven.png -H 'Content-Type: image/png' \
    'http://127.0.0.1:8080/v1/predict?top=3'`
}

// check reports flags that are out of range or contradict each other.
func (c serveCommand) check() error {
	switch {
	case c.MaxBody < 1 || c.MaxBody > 1<<30:
		return misused("--max-body %d: 1 to %d bytes are possible", c.MaxBody, 1<<30)
	case c.Rate != nil && !(*c.Rate >= 0 && *c.Rate <= 1e9):
		return misused("--rate %v: a number of requests a second is expected, 0 for any number", *c.Rate)
	case c.MaxQueue > 1<<16:
		return misused("--max-queue %d: 1 to %d are possible", c.MaxQueue, 1<<16)
	case c.MaxBatch > 1<<16:
		return misused("--max-batch %d: 1 to %d are possible", c.MaxBatch, 1<<16)
	case c.Timeout <= 0:
		return misused("--timeout 0s: a time above 0 is expected")
	}
	return nil
}

// Run answers requests until it is told to stop.
func (c serveCommand) Run(a *app) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	m, file, err := loadModelFile(a, c.Model)
	if err != nil {
		return err
	}
	if m, err = c.complete(a, m); err != nil {
		return err
	}
	of, err := trainedOn(m)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	sum, err := fileSum(file)
	if err != nil {
		return err
	}
	out := &buffered{w: bufio.NewWriterSize(a.err, 16<<10)}
	defer out.flush()
	log := c.logger(out, a.quiet)
	stop := out.flushEvery(100 * time.Millisecond)
	defer stop()

	// The address comes first: it is what fails most, and at once.
	var service *predict.Service
	rate, spared := usualRate, true
	if c.Rate != nil {
		rate, spared = *c.Rate, false
	}
	server, err := web.New(web.Options{
		Address: c.Listen, Hosts: c.Host, Log: log, Body: c.MaxBody, Rate: rate, SpareLocal: spared,
		Limits:  web.Limits{Answer: 60*time.Second + time.Duration(c.Timeout)},
		Observe: func(r web.Request) { service.Observe(r) },
	})
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer closing(&err, server)

	l, err := network.NewLayout(m.Sizes)
	if err != nil {
		return err
	}
	like := network.Samples{Rows: int(c.MaxBatch), Features: m.Sizes[0], Floats: make([]float32, int(c.MaxBatch)*m.Sizes[0]), Scaling: m.Scaling}
	b, plan, err := c.Backend.propose(a, gpu.Options{Input: network.ResidentInput}, l.Sizes, like)
	if err != nil {
		return err
	}
	defer closing(&err, b)
	model, err := network.NewModel(b, l, m.Parameters, plan)
	if err != nil {
		return err
	}
	defer closing(&err, model)
	predictor, err := model.Predictor(like)
	if err != nil {
		return err
	}
	if _, err := predictor.Logits(like.Slice(0, 1)); err != nil { // what a device does once, such as compiling
		return err
	}
	info, table := b.Info(), of.options(a)
	table.Progress = nil
	service, err = predict.New(m, predict.About{
		Classes: of.classes, Scaling: scalingName(m), SHA256: sum, Backend: info.Backend, Device: info.Device, Version: version(),
	}, predict.Options{
		Batch: predict.BatchOptions{Rows: int(c.MaxBatch), Wait: time.Duration(c.MaxWait), Queue: int(c.MaxQueue)},
		Rows:  int(c.MaxRows), Timeout: time.Duration(c.Timeout), Table: table, Log: log,
	})
	if err != nil {
		return err
	}
	service.Handle(server)
	page, err := draw.New(m, service)
	if err != nil {
		return err
	}
	page.Handle(server)
	if !server.Loopback() {
		a.note("--listen %s: other machines reach this server, which asks nobody for a password", c.Listen)
	}
	if err := a.Err(); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(a.out, server.URL()); err != nil {
		return err
	}
	// The device is used by one goroutine, until the last request has been answered.
	computing, done := context.WithCancel(context.WithoutCancel(a))
	var worker sync.WaitGroup
	worker.Go(func() { service.Run(computing, predictor) })
	err = server.Run(a)
	done()
	worker.Wait()
	return err
}

// complete returns the model with what the flags say of it, where it does not say it itself.
func (c serveCommand) complete(a *app, m checkpoint.Model) (checkpoint.Model, error) {
	shape, features := recipe.Reading{Shape: c.Shape}.Options().Shape, 1
	for _, n := range shape {
		features *= n
	}
	switch {
	case shape == nil:
	case m.Shape != nil:
		return m, fmt.Errorf("--shape %s: the model's samples are %s", c.Shape, sides(m.Shape))
	case features != m.Sizes[0]:
		return m, fmt.Errorf("--shape %s: the model has %d inputs", c.Shape, m.Sizes[0])
	default:
		m.Shape = shape
	}
	// Of images the values are 0 to 255.
	var err error
	rows, name := network.Samples{Rows: 1, Features: m.Sizes[0]}, "rows"
	if len(m.Shape) > 1 {
		rows.Bytes, name = make([]uint8, m.Sizes[0]), "images"
	} else {
		rows.Floats = make([]float32, m.Sizes[0])
	}
	m.Scaling, err = scalingFlags{Scaling: c.Scaling}.of(a, c.Model, m, name, rows, m.Shape)
	return m, err
}

// logger returns what requests and failures are logged to. Where quiet says so,
// only failures are logged.
func (c serveCommand) logger(w io.Writer, quiet bool) *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if quiet {
		o.Level = slog.LevelWarn
	}
	if c.JSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// fileSum returns the SHA-256 of a file in hexadecimal digits.
func fileSum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// buffered is a log that is written some lines at a time: a write a request takes as long as its
// prediction.
type buffered struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (b *buffered) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.w.Write(p)
}

func (b *buffered) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.w.Flush() // where a log cannot be written, nobody can be told
}

// flushEvery flushes in intervals, until it is stopped.
func (b *buffered) flushEvery(d time.Duration) (stop func()) {
	ticker, done := time.NewTicker(d), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				b.flush()
			case <-done:
				return
			}
		}
	}()
	return func() { ticker.Stop(); close(done) }
}
