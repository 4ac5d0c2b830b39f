package gpu

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"clgrad/cpu"
	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/dataset"
)

func tryRun(t *testing.T, b network.Backend, set dataset.Set, hidden []int, batch, epochs int, rule network.Rule, lr float64, every func(ep int, sec, loss float64, tr *network.Trainer)) []float64 {
	sizes := append(append([]int{784}, hidden...), 10)
	layout, _ := network.NewLayout(sizes)
	plan, err := network.NewPlan(sizes, set.Train, batch, b)
	if err != nil {
		t.Fatal(err)
	}
	plan.Shuffle, plan.Seed = true, 1
	tr, err := network.NewTrainer(layout, set.Train, plan, []network.Backend{b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	theta, _ := layout.Initial(network.He, 1)
	if err := tr.SetParameters(theta, 0); err != nil {
		t.Fatal(err)
	}
	n := plan.Batches()
	for ep := 1; ep <= epochs; ep++ {
		start := time.Now()
		sum := 0.0
		if err := tr.Descend(context.Background(), network.Descent{Iterations: ep * n, Rule: rule, LearningRate: lr}, func(i network.Iteration) error { sum += i.Loss; return nil }); err != nil {
			t.Fatal(err)
		}
		sec := time.Since(start).Seconds()
		if every != nil {
			every(ep, sec, sum/float64(n), tr)
		}
	}
	theta, _ = tr.Parameters()
	return theta
}

func TestTrySteps(t *testing.T) {
	set, err := dataset.Load(context.Background(), "mnist", dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set, _ = set.Preprocess("max")
	num := func(name string, def int) int {
		if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return v
		}
		return def
	}
	var hidden []int
	for _, s := range strings.Split(os.Getenv("HIDDEN"), ",") {
		if v, err := strconv.Atoi(s); err == nil {
			hidden = append(hidden, v)
		}
	}
	batch := num("BATCH", 128)
	opt := network.Optimizer(os.Getenv("OPT"))
	if opt == "" {
		opt = network.GD
	}
	lr := 0.4
	if v, err := strconv.ParseFloat(os.Getenv("LR"), 64); err == nil {
		lr = v
	}
	d := usableDevices(t)[0]
	b, err := Open(d, Options{Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if r := num("R", 0); r > 0 {
		b.config.Packed = &kernels.Tile{Variant: kernels.Packed, ItemRows: r, ItemCols: 16 * num("PC", 1), Width: 16, Splits: 2}
		b.config.Step = &kernels.StepTile{Rows: r, Packed: num("P", 1), DenseRows: num("DR", 6), Dense: num("D", 1), Gradient: num("G", 4), RowItems: num("W", 2), Ranges: num("RG", 4)}
	}
	if os.Getenv("PROFILE") != "" {
		b.StartProfile()
	}
	if v := num("BR", 0); v > 0 {
		b.config.BlockRows = v
	}
	if os.Getenv("BATCH") == "all" {
		batch = set.Train.Rows
		if s := num("CHECK", 0); s > 0 {
			batch = s
		}
	}
	best := math.Inf(1)
	if s := num("CHECK", 0); s > 0 {
		set = set.First(s)
		c := cpu.New[float64]()
		w := tryRun(t, c, set, hidden, batch, num("EPOCHS", 3), network.NewRule(opt), lr, func(ep int, sec, loss float64, tr *network.Trainer) {
			fmt.Printf("cpu64 epoch %d loss %.6f\n", ep, loss)
		})
		g := tryRun(t, b, set, hidden, batch, num("EPOCHS", 3), network.NewRule(opt), lr, func(ep int, sec, loss float64, tr *network.Trainer) { fmt.Printf("ocl epoch %d loss %.6f\n", ep, loss) })
		worst := 0.0
		for i := range w {
			worst = max(worst, math.Abs(w[i]-g[i]))
		}
		fmt.Printf("worst difference of parameters %.3g\n", worst)
		return
	}
	tryRun(t, b, set, hidden, batch, num("EPOCHS", 5), network.NewRule(opt), lr, func(ep int, sec, loss float64, tr *network.Trainer) {
		best = min(best, sec)
		if ep == num("EPOCHS", 5) || os.Getenv("ACC") != "" {
			_, acc, _ := tr.Score(set.Test)
			fmt.Printf("epoch %d %.4f s loss %.4f test %.4f\n", ep, sec, loss, acc)
		}
	})
	fmt.Printf("best epoch %.4f s\n", best)
	if p, err := b.Profile(); err == nil && os.Getenv("PROFILE") != "" {
		for _, o := range p {
			fmt.Printf("%-30s %6d %.4f s\n", o.Operation, o.Launches, o.Total.Seconds())
		}
	}
}
