// Load measures servers of predictions under load: clgrad serve, the same network in PyTorch behind
// uvicorn (peer.py), and a handler that computes nothing, which shows what HTTP alone takes.
//
//	go run ./cmd/load                        all, in turns
//	go run ./cmd/load -seconds 600 -rounds 1 -clients 2 -servers cpu -pace 20ms
//
// It trains a network 784-128-10 on MNIST once, starts each server on a free port of 127.0.0.1, and
// has clients with open connections send prepared requests of test images. Every answer is
// compared with what the network gives for these rows in float64. bin/clgrad has to be built.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"clgrad/cmd/clgrad/measure"
)

// options are the flags.
type options struct {
	program string
	seconds float64
	rounds  int
	clients int
	rows    []int
	servers []string
	pace    time.Duration
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == emptyServer {
		fail(serveEmpty())
		return
	}
	var o options
	var rows, servers string
	flag.StringVar(&o.program, "clgrad", "bin/clgrad", "the program")
	flag.Float64Var(&o.seconds, "seconds", 5, "how long each server is measured in a round, at most 3600")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds, in which the servers take turns")
	flag.IntVar(&o.clients, "clients", 32, "clients at a time, at most 256")
	flag.StringVar(&rows, "rows", "16,1", "rows of a request, several separated by commas")
	flag.StringVar(&servers, "servers", "empty,cpu,opencl,torch-1-1,torch-1-2,torch-2-1",
		"what is measured: empty, a backend of clgrad, or torch-WORKERS-THREADS")
	flag.DurationVar(&o.pace, "pace", 0, "how long each client waits between requests; with it memory is shown each minute")
	flag.Parse()
	for _, text := range strings.Split(rows, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1024 {
			fail(fmt.Errorf("-rows %s: numbers from 1 to 1024 are expected", rows))
		}
		o.rows = append(o.rows, n)
	}
	o.servers = strings.Split(servers, ",")
	if flag.NArg() > 0 || !(o.seconds > 0 && o.seconds <= 3600) || o.rounds < 1 || o.clients < 1 || o.clients > 256 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fail(run(ctx, o))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// run measures all servers and prints a table for each number of rows.
func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "clgrad-load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	task, err := prepare(ctx, o.program, dir)
	if err != nil {
		return err
	}
	running := map[string]*server{}
	defer func() {
		for _, s := range running {
			err = errors.Join(err, s.stop())
		}
	}()
	for _, rows := range o.rows {
		requests := task.requests(rows)
		results := map[string][]result{}
		for range o.rounds {
			for _, name := range o.servers {
				if running[name] == nil {
					if running[name], err = start(ctx, o.program, dir, name); err != nil {
						return err
					}
				}
				r, err := load(ctx, o, running[name], requests)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				results[name] = append(results[name], r)
			}
		}
		show(o, rows, results)
	}
	return nil
}

// show prints medians over the rounds.
func show(o options, rows int, results map[string][]result) {
	fmt.Printf("\n%d clients, %d rows a request, medians of %d rounds of %g s\n\n", o.clients, rows, o.rounds, o.seconds)
	fmt.Println("| server | predictions/s | requests/s | p50 ms | p99 ms | answers | wrong |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, name := range o.servers {
		var rate, p50, p99 []float64
		answers, wrong := 0, 0
		for _, r := range results[name] {
			rate = append(rate, float64(len(r.seconds))/r.took.Seconds())
			p50, p99 = append(p50, measure.Quantile(r.seconds, 0.5)), append(p99, measure.Quantile(r.seconds, 0.99))
			answers += len(r.seconds)
			wrong += r.wrong
		}
		m := measure.Median(rate)
		fmt.Printf("| %s | %.0f | %.0f | %.2f | %.2f | %d | %d |\n",
			name, math.Round(m*float64(rows)), m, 1e3*measure.Median(p50), 1e3*measure.Median(p99), answers, wrong)
	}
}

// modelFolder is the run in the folder of this measurement.
func modelFolder(dir string) string { return filepath.Join(dir, "run") }

// isTorch returns the workers and threads of a server with PyTorch.
func isTorch(name string) (workers, threads string, ok bool) {
	parts := strings.Split(name, "-")
	if len(parts) != 3 || parts[0] != "torch" || slices.Contains(parts, "") {
		return "", "", false
	}
	return parts[1], parts[2], true
}
