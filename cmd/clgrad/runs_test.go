package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"clgrad/cmd/clgrad/browser"
	"clgrad/network/must"
)

// What is said of a run whose name commands a terminal does not command it.
func TestRunsPrintable(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a\x1b[31mb")
	data := write(t, "rows.csv", "x,label\n1,a\n2,b\n3,a\n4,b\n")
	if status, _, stderr := clgrad(t, "train", "--data", data, "--backend", "cpu", "--iterations", "2", "--layers", "2", "--out", path); status != success {
		t.Fatal(stderr)
	}
	must.Write(t, "x", path, "model.safetensors")
	status, out, stderr := clgrad(t, "runs", dir)
	if all := out + stderr; status != success || strings.Contains(all, "\x1b") || strings.Count(all, "a?[31mb") < 2 {
		t.Errorf("status %d: %q", status, all)
	}
}

// The page of runs diff fits a desktop and a phone, in light and dark; its curves are drawn in
// colours that differ, and its tables can be read.
func TestBrowserRunsDiff(t *testing.T) {
	browser.Require(t)
	data, dir := images(t, 300, 100), t.TempDir()
	names := []string{
		filepath.Join(dir, "full batch"), filepath.Join(dir, "nesterov-64"),
		filepath.Join(dir, "a-rather-long-name-of-an-experiment-that-somebody-made", "with-adam-and-two-layers"),
	}
	for i, flags := range [][]string{
		{"--iterations", "60", "--layers", "16", "--log-every", "5"},
		{"--epochs", "12", "--batch-size", "64", "--optimizer", "nesterov", "--layers", "16", "--validation", "0.2"},
		{"--epochs", "8", "--batch-size", "32", "--optimizer", "adam", "--lr", "0.01", "--layers", "16,8", "--validation", "0.2"},
	} {
		if status, _, stderr := clgrad(t, append([]string{"train", "--data", data, "--backend", "cpu", "--out", names[i]}, flags...)...); status != success {
			t.Fatal(stderr)
		}
	}
	page := filepath.Join(t.TempDir(), "page.html")
	if status, _, stderr := clgrad(t, append([]string{"runs", "diff", "--out", page}, names...)...); status != success {
		t.Fatal(stderr)
	}
	content, err := os.ReadFile(page)
	must.OK(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") // it needs nothing else
		w.Write(content)
	}))
	defer server.Close()
	for _, v := range browser.Views {
		ctx := browser.Open(t, v, time.Minute)
		must.OK(t, chromedp.Do(ctx, chromedp.Navigate(server.URL)))
		if err := browser.Fits(ctx); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		// Sets of curves are told apart by dashes, and runs by colours.
		found, err := chromedp.Run(ctx, chromedp.Evaluate[struct{ Charts, Colours, Dashes, Rows int }](`(() => {
			const curves = [...document.querySelectorAll("#loss-epochs svg:not(.legend svg) path")].filter(p => parseFloat(getComputedStyle(p).strokeWidth) > 1.5);
			const kinds = of => new Set(curves.map(p => getComputedStyle(p)[of])).size;
			return {Charts: document.querySelectorAll("svg:not(.legend svg)").length, Colours: kinds("stroke"), Dashes: kinds("strokeDasharray"), Rows: document.querySelectorAll("#settings tbody tr").length};
		})()`))
		if err != nil || found.Charts != 6 || found.Colours != 3 || found.Dashes != 3 || found.Rows < 5 {
			t.Errorf("%s: %+v, error %v", v.Name, found, err)
		}
		if err := browser.Screenshot(ctx, v, "runs-diff"); err != nil {
			t.Errorf("%s: Screenshot: %v", v.Name, err)
		}
	}
}
