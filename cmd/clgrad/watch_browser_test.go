package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"clgrad/cmd/clgrad/browser"
	"clgrad/network/must"
)

// A watchPage is what a test sees on the page of a run.
type watchPage struct {
	Phase, Position, Title, Predicted, Notes, Report, Results, Figures string
	Lost                                                               bool
	Curves                                                             []int // the points of each, of both charts
	Guesses, Values                                                    string
	Pictures                                                           int // that are loaded
}

const lookAtPage = `({
	Phase: document.getElementById("phase").dataset.phase,
	Position: document.getElementById("position").textContent,
	Title: document.title,
	Predicted: document.getElementById("predicted").textContent,
	Notes: document.getElementById("lines").textContent,
	Report: document.getElementById("report").hidden ? "" : document.getElementById("report").textContent,
	Results: document.getElementById("scores").textContent,
	Figures: document.getElementById("figures").textContent,
	Lost: !document.getElementById("lost").hidden,
	Curves: [...document.querySelectorAll(".chart path")].map((p) => p.getAttribute("d").split("L").length),
	Guesses: [...document.querySelectorAll(".guesses")].map((g) => g.textContent).join("|"),
	Values: [...document.querySelectorAll(".values")].map((g) => g.textContent).join("|"),
	Pictures: [...document.querySelectorAll("#samples img")].filter((i) => i.naturalWidth > 0).length,
})`

// seen looks at the page until a condition is met.
func seen(t *testing.T, ctx context.Context, what string, met func(watchPage) bool) (p watchPage) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var err error
		p, err = chromedp.Run(ctx, chromedp.Evaluate[watchPage](lookAtPage))
		must.OK(t, err)
		if met(p) {
			return p
		}
		if time.Now().After(end) {
			t.Fatalf("the page does not show %s within 30 s: %+v", what, p)
		}
	}
}

// A browser sees a run grow, also after it has loaded the page anew, and reach its end.
func TestBrowserWatch(t *testing.T) {
	browser.Require(t)
	data := images(t, 600, 200)
	for _, v := range browser.Views {
		ctx := browser.Open(t, v, 3*time.Minute)
		// A window of 540 rows has 9 batches, and a line is for each epoch.
		r := startWatched(t, "--data", data, "--layers", "16", "--backend", "cpu", "--validation", "0.1", "--batch-size", "60", "--epochs", "80", "--lr", "0.02",
			"--out", filepath.Join(t.TempDir(), "run"))
		err := chromedp.Do(ctx, chromedp.Navigate(r.url))
		must.OK(t, err)
		seen(t, ctx, "the first epoch", func(p watchPage) bool { return strings.HasPrefix(p.Position, "epoch ") })
		r.write(25)
		early := seen(t, ctx, "predictions", func(p watchPage) bool { return p.Predicted != "" && len(p.Curves) == 8 && p.Pictures == 12 })
		if early.Phase != "training" || early.Lost || !strings.Contains(early.Position, " of 80 · iteration ") || !strings.Contains(early.Figures, "best on the validation set") {
			t.Errorf("%s: early in the run the page has %+v", v.Name, early)
		}
		r.write(25)
		later := seen(t, ctx, "further predictions", func(p watchPage) bool {
			return p.Guesses != early.Guesses && p.Predicted != early.Predicted && p.Curves[0] > early.Curves[0]
		})
		for i := range later.Curves {
			if later.Curves[i] <= early.Curves[i] {
				t.Errorf("%s: curve %d had %d points and has %d", v.Name, i, early.Curves[i], later.Curves[i])
			}
		}
		must.OK(t, chromedp.Do(ctx, chromedp.Reload()))
		again := seen(t, ctx, "the run after it is loaded anew", func(p watchPage) bool { return p.Predicted != "" && len(p.Curves) == 8 && p.Pictures == 12 })
		for i := range later.Curves {
			if again.Curves[i] < later.Curves[i] {
				t.Errorf("%s: curve %d had %d points, and %d after the page was loaded anew", v.Name, i, later.Curves[i], again.Curves[i])
			}
		}
		must.OK(t, browser.Fits(ctx))
		must.OK(t, browser.Screenshot(ctx, v, "watch-training"))
		r.write(100)
		end := seen(t, ctx, "the end", func(p watchPage) bool { return p.Phase == "finished" })
		<-r.done
		if r.status != success {
			t.Fatalf("status %d: %s", r.status, r.err)
		}
		if last := fmt.Sprintf("epoch 80 of 80 · iteration %d of %d", 80*9, 80*9); !strings.HasPrefix(end.Position, last) {
			t.Errorf("%s: at the end the page has %q: %q is expected", v.Name, end.Position, last)
		}
		if !strings.Contains(end.Title, "finished") || !strings.Contains(end.Results, "test set") || !strings.Contains(end.Report, "report.html") {
			t.Errorf("%s: at the end the page has %+v", v.Name, end)
		}
		time.Sleep(300 * time.Millisecond) // the server is gone
		if p := seen(t, ctx, "the last state", func(p watchPage) bool { return p.Phase == "finished" }); p.Lost {
			t.Errorf("%s: the page says that the connection is lost", v.Name)
		}
		must.OK(t, browser.Fits(ctx))
		must.OK(t, browser.Screenshot(ctx, v, "watch-finished"))
	}
}

// The page says so where the run was stopped, or its process is gone.
func TestBrowserWatchStopped(t *testing.T) {
	browser.Require(t)
	data := images(t, 300, 100)
	ctx := browser.Open(t, browser.Views[2], 2*time.Minute)
	r := startWatched(t, "--data", data, "--layers", "8", "--backend", "cpu", "--iterations", "1000")
	must.OK(t, chromedp.Do(ctx, chromedp.Navigate(r.url)))
	r.write(3)
	seen(t, ctx, "a line", func(p watchPage) bool { return strings.Contains(p.Position, "iteration 40 ") })
	r.cancel()
	p := seen(t, ctx, "the end", func(p watchPage) bool { return p.Phase == "interrupted" })
	if !strings.Contains(p.Notes, "stopped after iteration") || p.Lost {
		t.Errorf("the page has %+v", p)
	}
	must.OK(t, browser.Screenshot(ctx, browser.Views[2], "watch-stopped"))
}

// Rows of a table are shown by the names of their columns, and names of classes have room.
func TestBrowserWatchTable(t *testing.T) {
	browser.Require(t)
	var table strings.Builder
	table.WriteString("sepal length,sepal width,petal length,petal width,a column with a long name,species\n")
	for i := range 90 {
		kind := []string{"setosa", "virginica from the banks of the river of a long name", "<b>versicolor</b>"}[i%3]
		fmt.Fprintf(&table, "%.2f,%.2f,%.2f,1.5,%d,%s\n", 5+float64(i%3)+float64(i)/50, 3-float64(i%3), 1+float64(i%7), 12345678-i, kind)
	}
	for _, v := range []browser.View{browser.Views[0], browser.Views[3]} {
		ctx := browser.Open(t, v, 2*time.Minute)
		r := startWatched(t, "--data", write(t, "flowers.csv", table.String()), "--label", "species", "--preprocess", "feature", "--layers", "8", "--backend", "cpu", "--iterations", "1000")
		must.OK(t, chromedp.Do(ctx, chromedp.Navigate(r.url)))
		r.write(20)
		p := seen(t, ctx, "predictions", func(p watchPage) bool { return p.Predicted != "" })
		if !strings.Contains(p.Guesses, "<b>versicolor</b>") || !strings.Contains(p.Values, "petal length1") {
			t.Errorf("%s: the page has %+v", v.Name, p)
		}
		must.OK(t, browser.Fits(ctx))
		must.OK(t, browser.Screenshot(ctx, v, "watch-table"))
	}
}

// A loss that reaches 0 has no place on a logarithmic axis: the page draws it on a linear one.
func TestBrowserWatchZero(t *testing.T) {
	browser.Require(t)
	ctx := browser.Open(t, browser.Views[0], 2*time.Minute)
	data := write(t, "far.csv", "x,class\n"+strings.Repeat("-1000,a\n1000,b\n", 20))
	r := startWatched(t, "--data", data, "--label", "class", "--preprocess", "none", "--layers", "none", "--lr", "1", "--backend", "cpu", "--iterations", "100", "--log-every", "1")
	must.OK(t, chromedp.Do(ctx, chromedp.Navigate(r.url)))
	r.write(100)
	p := seen(t, ctx, "the curves", func(p watchPage) bool { return len(p.Curves) == 2 && p.Curves[0] == 100 })
	if !strings.Contains(p.Figures, "loss 0.0000") {
		t.Errorf("the figures are %q", p.Figures)
	}
	ticks, err := chromedp.Run(ctx, chromedp.Evaluate[string](`[...document.querySelector(".chart").querySelectorAll("text[text-anchor=end]")].map((e) => e.textContent).join(" ")`))
	if err != nil || !strings.HasPrefix(ticks, "0 ") {
		t.Errorf("the axis of the loss has the ticks %q, error %v: 0 is expected among them", ticks, err)
	}
	must.OK(t, browser.Screenshot(ctx, browser.Views[0], "watch-zero"))
}
