package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"clgrad/cmd/clgrad/browser"
	"clgrad/cmd/clgrad/report"
	"clgrad/network/must"
)

// clusters returns a CSV file of classes as clusters in four columns, rows of each.
func clusters(classes []string, columns [4]string, rows int) string {
	random := rand.New(rand.NewPCG(1, 0))
	var b strings.Builder
	fmt.Fprintf(&b, "%s,label\n", strings.Join(columns[:], ","))
	for k, name := range classes {
		middle := rand.New(rand.NewPCG(2, uint64(k)))
		var m [4]float64
		for j := range m {
			m[j] = 4 * middle.NormFloat64()
		}
		for range rows {
			for _, v := range m {
				fmt.Fprintf(&b, "%.2f,", v+random.NormFloat64())
			}
			fmt.Fprintf(&b, "\"%s\"\n", strings.ReplaceAll(name, `"`, `""`))
		}
	}
	return b.String()
}

// inViews opens a page in every view, where it has to fit, with its results and curves above the
// fold, all text readable, and nothing said on the console.
func inViews(t *testing.T, name, page string, more func(t *testing.T, ctx context.Context, v browser.View)) {
	t.Helper()
	file, err := filepath.Abs(page)
	must.OK(t, err)
	for _, v := range browser.Views {
		ctx := browser.Open(t, v, time.Minute)
		must.OK(t, chromedp.Do(ctx, chromedp.Navigate((&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String())))
		must.OK(t, browser.Screenshot(ctx, v, name))
		if err := browser.Fits(ctx); err != nil {
			t.Errorf("%s, %s: %v", name, v.Name, err)
		}
		fold, err := chromedp.Run(ctx, chromedp.Evaluate[[2]float64](`["#result .results", "#loss h2"].map(s => document.querySelector(s).getBoundingClientRect().bottom)`))
		if err != nil || fold[0] <= 0 || fold[1] > float64(v.Height) {
			t.Errorf("%s, %s: the results end at %g, the curves begin at %g in a window of %d: %v", name, v.Name, fold[0], fold[1], v.Height, err)
		}
		faint, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](faintText))
		if err != nil || len(faint) > 0 {
			t.Errorf("%s, %s: text that is hard to read: %q, %v", name, v.Name, faint, err)
		}
		if more != nil {
			more(t, ctx, v)
		}
	}
}

// faintText lists texts whose contrast with what is behind them is below the 4.5 of WCAG 2's
// level AA.
const faintText = `(() => {
	const parse = c => { const v = c.match(/[\d.]+/g).map(Number); return [v[0], v[1], v[2], v.length > 3 ? v[3] : 1] };
	const luminance = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
		return .2126 * r + .7152 * g + .0722 * b };
	const behind = e => { const all = []; for (; e; e = e.parentElement) all.push(parse(getComputedStyle(e).backgroundColor));
		return all.reduceRight((under, c) => under.map((v, i) => c[3] * c[i] + (1 - c[3]) * v), [255, 255, 255]) };
	const faint = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n; n = walk.nextNode();) {
		const e = n.parentElement, style = getComputedStyle(e);
		if (!n.data.trim() || e.tagName == "STYLE" || style.fontSize == "0px") continue;
		const a = luminance(parse(e.closest("svg") ? style.fill : style.color)), b = luminance(behind(e));
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < 4.5) faint.add(e.tagName + " " + e.className + " " + n.data.trim().slice(0, 30) + " " + ratio.toFixed(2));
	}
	return [...faint].slice(0, 5);
})()`

// inside returns an expression that is whether the elements of a selector end within the
// page's width.
func inside(selector string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%q)].every(e => e.getBoundingClientRect().right <= document.documentElement.clientWidth) && document.querySelector(%q) != null`, selector, selector)
}

func holds(t *testing.T, ctx context.Context, v browser.View, what, expression string) {
	t.Helper()
	if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression)); err != nil || !ok {
		t.Errorf("%s: not so: %s (%v)", v.Name, what, err)
	}
}

// The report of a run on MNIST: the confusion matrix with its counts and the time of the
// operations have room, also on a phone.
func TestBrowserReport(t *testing.T) {
	browser.Require(t)
	run := filepath.Join(t.TempDir(), "run")
	good(t, "train", "--samples", "3000", "--validation", "0.1", "--iterations", "60", "--backend", "cpu", "--out", run)
	inViews(t, "report-mnist", filepath.Join(run, report.FileName), func(t *testing.T, ctx context.Context, v browser.View) {
		holds(t, ctx, v, "the title says what ran and when", `/^784-128-10 on MNIST, \d+ \w+ \d{4} – clgrad$/.test(document.title)`)
		holds(t, ctx, v, "the first figure is the accuracy of the test set", `document.querySelector(".results dt").innerText == "test accuracy"`)
		holds(t, ctx, v, "the matrix fits", inside(".matrix td"))
		holds(t, ctx, v, "no count is cut off", `[...document.querySelectorAll(".matrix td")].every(e => e.scrollWidth <= e.clientWidth)`)
		holds(t, ctx, v, "the operations are collapsed", `!document.querySelector("#kernels details").open`)
		holds(t, ctx, v, "the files are there", `[...document.querySelectorAll(".files a")].length > 5`)
		holds(t, ctx, v, "details open", `[...document.querySelectorAll("details")].every(d => d.open = true)`)
		must.OK(t, browser.Screenshot(ctx, v, "report-mnist-open"))
		must.OK(t, browser.Fits(ctx))
	})
	for _, name := range relativeLinks(must.Read(t, run, report.FileName)) {
		if _, err := os.Stat(filepath.Join(run, name)); err != nil {
			t.Errorf("a link: %v", err)
		}
	}
}

// relativeLinks returns the addresses of a page's links.
func relativeLinks(page string) (all []string) {
	for _, part := range strings.Split(page, `href="`)[1:] {
		address, _, _ := strings.Cut(part, `"`)
		all = append(all, address)
	}
	return all
}

// 200 classes that are numbered in their names are shown in the order of the numbers.
func TestBrowserReportManyClasses(t *testing.T) {
	browser.Require(t)
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("class %d", i+1))
	}
	dir := t.TempDir()
	data, run := filepath.Join(dir, "many.csv"), filepath.Join(dir, "run")
	must.Write(t, clusters(names, [4]string{"a", "b", "c", "d"}, 12), data)
	good(t, "train", "--data", data, "--preprocess", "feature", "--validation", "0.25", "--layers", "60", "--optimizer", "adam", "--iterations", "200", "--backend", "cpu", "--out", run)
	page := filepath.Join(run, report.FileName)
	info, err := os.Stat(page)
	must.OK(t, err)
	t.Logf("the page has %d bytes", info.Size())
	if info.Size() > 3<<20 {
		t.Errorf("the page has %d bytes: 3 MiB at most are expected", info.Size())
	}
	inViews(t, "report-200", page, func(t *testing.T, ctx context.Context, v browser.View) {
		holds(t, ctx, v, "the heat map fits", inside(".heat img"))
		holds(t, ctx, v, "it is square", `(r => Math.abs(r.width / r.height - 1) < .02)(document.querySelector("#confusion .heat img").getBoundingClientRect())`)
		holds(t, ctx, v, "names in the order of their numbers", `[...document.querySelectorAll("#confusion .rows span")].map(e => e.innerText).slice(0, 3).join() == "class 1,class 11,class 21"`)
		holds(t, ctx, v, "the worst classes alone, and all below", `document.querySelectorAll("#classes > .box tbody tr").length == 20 && document.querySelectorAll("#classes details tbody tr").length == 200`)
		holds(t, ctx, v, "the pairs that are confused most", `document.querySelectorAll("#pairs tbody tr").length == 10`)
	})
}

// Names of 300 characters, of other scripts and that look like HTML push nothing out of view;
// the columns of the file are named.
func TestBrowserReportNames(t *testing.T) {
	browser.Require(t)
	long := strings.Repeat("a very long name ", 18)[:300]
	names := []string{long, "<b>bold</b><script>alert(1)</script>", "日本語のクラス", "العربية", "Ελληνικά", "plain"}
	dir := t.TempDir()
	data, run := filepath.Join(dir, "names.csv"), filepath.Join(dir, "run")
	must.Write(t, clusters(names, [4]string{"sepal length", "<i>width</i>", long + "column", "высота"}, 40), data)
	good(t, "train", "--data", data, "--preprocess", "feature", "--validation", "0.25", "--layers", "12", "--iterations", "40", "--backend", "cpu", "--out", run)
	inViews(t, "report-names", filepath.Join(run, report.FileName), func(t *testing.T, ctx context.Context, v browser.View) {
		holds(t, ctx, v, "the matrix fits", inside(".matrix td"))
		holds(t, ctx, v, "the long name is whole in its title", fmt.Sprintf(`document.querySelector(".matrix tbody th[title^='a very']").title == %q`, long))
		holds(t, ctx, v, "a row of the matrix has one line", `[...document.querySelectorAll(".matrix tbody tr")].every(e => e.getBoundingClientRect().height < 40)`)
		holds(t, ctx, v, "no name is markup", `document.querySelector("b, i, script") == null`)
		holds(t, ctx, v, "columns by their names", `[...document.querySelectorAll("#columns tbody th")].some(e => e.innerText == "высота")`)
		holds(t, ctx, v, "the table of samples has the names", `[...document.querySelectorAll("#samples thead th")].some(e => e.innerText == "sepal length")`)
	})
}
