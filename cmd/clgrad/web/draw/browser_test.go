package draw

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"clgrad/cmd/clgrad/browser"
	"clgrad/cmd/clgrad/web"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// A stroke is points of a line, from (0, 0) at the top left to (1, 1).
type stroke [][2]float64

// arc returns points of an arc of an ellipse; angles are in degrees, clockwise from the right.
func arc(x, y, rx, ry, from, to float64) (s stroke) {
	const n = 16
	for i := range n + 1 {
		a := (from + (to-from)*float64(i)/n) * math.Pi / 180
		s = append(s, [2]float64{x + rx*math.Cos(a), y + ry*math.Sin(a)})
	}
	return s
}

// drawn are digits as people draw them.
var drawn = map[int][]stroke{
	0: {arc(0.5, 0.5, 0.2, 0.3, -90, 270)},
	1: {{{0.52, 0.2}, {0.5, 0.5}, {0.48, 0.8}}},
	3: {append(arc(0.47, 0.35, 0.17, 0.16, -150, 90), arc(0.47, 0.66, 0.19, 0.16, -90, 150)...)},
	7: {{{0.3, 0.25}, {0.5, 0.24}, {0.7, 0.25}, {0.6, 0.45}, {0.52, 0.62}, {0.45, 0.8}}},
}

// evaluate returns what a JavaScript expression is.
func evaluate[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// await waits until a JavaScript expression is true.
func await(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !evaluate[bool](t, ctx, expression); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("is not so after 20 s: %s\nprediction %q, problem %q", expression, textOf(t, ctx, "prediction"), textOf(t, ctx, "problem"))
		}
	}
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	must.OK(t, chromedp.Do(ctx, steps...))
}

func textOf(t *testing.T, ctx context.Context, id string) string {
	t.Helper()
	return evaluate[string](t, ctx, fmt.Sprintf(`document.getElementById(%q).textContent`, id))
}

// predicts waits until the page predicts a class.
func predicts(t *testing.T, ctx context.Context, class string) {
	t.Helper()
	await(t, ctx, fmt.Sprintf(`document.getElementById("prediction").textContent.startsWith(%q)`, class+", "))
}

// rests waits until the page predicts a class and no newer prediction comes: then it speaks it.
func rests(t *testing.T, ctx context.Context, class string) {
	t.Helper()
	predicts(t, ctx, class)
	await(t, ctx, `document.getElementById("spoken").textContent === document.getElementById("prediction").textContent`)
}

// place returns where a point of the drawing area is in the window.
func place(t *testing.T, ctx context.Context) func(p [2]float64) (x, y float64) {
	t.Helper()
	box := evaluate[[4]float64](t, ctx, `(({left, top, width, height}) => [left, top, width, height])(document.getElementById("paper").getBoundingClientRect())`)
	return func(p [2]float64) (x, y float64) { return box[0] + p[0]*box[2], box[1] + p[1]*box[3] }
}

// A hand draws in the drawing area.
type hand struct {
	press, move func(p [2]float64)
	lift        func()
}

func (h hand) draw(strokes []stroke) {
	for _, s := range strokes {
		h.press(s[0])
		for _, p := range s[1:] {
			h.move(p)
		}
		h.lift()
	}
}

// mouse draws with the left button, or with a pen on a tablet.
func mouse(t *testing.T, ctx context.Context, kind input.DispatchMouseEventPointerType) hand {
	t.Helper()
	at := place(t, ctx)
	var last [2]float64
	send := func(event input.DispatchMouseEventType, p [2]float64) {
		last = p
		x, y := at(p)
		do(t, ctx, chromedp.MouseEvent(event, x, y, chromedp.ButtonLeft, func(p *input.DispatchMouseEventParams) {
			p.Buttons, p.ClickCount, p.PointerType = 1, 1, kind
		}))
	}
	return hand{
		press: func(p [2]float64) { send(chromedp.MousePressed, p) },
		move:  func(p [2]float64) { send(chromedp.MouseMoved, p) },
		lift:  func() { send(chromedp.MouseReleased, last) },
	}
}

// finger draws on a touch screen.
func finger(t *testing.T, ctx context.Context) hand {
	t.Helper()
	at := place(t, ctx)
	send := func(event input.DispatchTouchEventType, points ...[2]float64) {
		all := []*input.TouchPoint{}
		for _, p := range points {
			x, y := at(p)
			all = append(all, &input.TouchPoint{X: x, Y: y})
		}
		if _, err := chromedp.Call(ctx, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: event, TouchPoints: all}); err != nil {
			t.Fatal(err)
		}
	}
	return hand{
		press: func(p [2]float64) { send(input.DispatchTouchEventTypeTouchStart, p) },
		move:  func(p [2]float64) { send(input.DispatchTouchEventTypeTouchMove, p) },
		lift:  func() { send(input.DispatchTouchEventTypeTouchEnd) },
	}
}

// keys draws with a keyboard, by steps of 1/28.
func keys(t *testing.T, ctx context.Context) hand {
	t.Helper()
	do(t, ctx, chromedp.Focus("#paper"))
	at := [2]int{14, 14}
	walk := func(p [2]float64) {
		for i, way := range [2][2]string{{kb.ArrowLeft, kb.ArrowRight}, {kb.ArrowUp, kb.ArrowDown}} {
			for to := int(math.Round(28 * p[i])); at[i] != to; {
				if at[i] < to {
					do(t, ctx, chromedp.KeyEvent(way[1]))
					at[i]++
				} else {
					do(t, ctx, chromedp.KeyEvent(way[0]))
					at[i]--
				}
			}
		}
	}
	return hand{
		press: func(p [2]float64) { walk(p); do(t, ctx, chromedp.KeyEvent(" ")) },
		move:  walk,
		lift:  func() { do(t, ctx, chromedp.KeyEvent(kb.Enter)) },
	}
}

// open opens the page of a model.
func open(t *testing.T, v browser.View, url string) context.Context {
	t.Helper()
	ctx := browser.Open(t, v, 2*time.Minute)
	do(t, ctx, chromedp.Navigate(url))
	await(t, ctx, `document.querySelectorAll("#classes li").length > 0`)
	return ctx
}

// look checks that a page fits its window, and takes a screenshot.
func look(t *testing.T, ctx context.Context, v browser.View, name string) {
	t.Helper()
	if err := browser.Fits(ctx); err != nil {
		t.Errorf("%s: %v", v.Name, err)
	}
	time.Sleep(300 * time.Millisecond) // bars come to rest
	if err := browser.Screenshot(ctx, v, name); err != nil {
		t.Error(err)
	}
}

// ink says that a canvas has pixels of more than one kind.
const ink = `((id) => { const c = document.getElementById(id), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; return d.some((v, i) => v !== d[i %% 4]); })(%q)`

// Digits are recognised by what is drawn with a mouse and with a finger.
func TestBrowserDraw(t *testing.T) {
	browser.Require(t)
	s := serve(t, digits, web.Options{})
	for _, v := range browser.Views {
		t.Run(v.Name, func(t *testing.T) {
			ctx := open(t, v, s.URL())
			if got := textOf(t, ctx, "title"); got != "Draw a digit" {
				t.Errorf("the title is %q", got)
			}
			look(t, ctx, v, "draw-empty")
			h := mouse(t, ctx, input.DispatchMouseEventPointerTypeMouse)
			if v.Touch {
				h = finger(t, ctx)
			}
			for class, strokes := range drawn {
				h.draw(strokes)
				predicts(t, ctx, fmt.Sprint(class))
				if !evaluate[bool](t, ctx, fmt.Sprintf(ink, "image")) || !evaluate[bool](t, ctx, fmt.Sprintf(ink, "pixels")) {
					t.Errorf("%d: what the network sees is empty", class)
				}
				if class == 3 {
					look(t, ctx, v, "draw-3")
				}
				do(t, ctx, chromedp.Click("#clear"))
				await(t, ctx, `document.getElementById("prediction").textContent === "No prediction yet" && !`+fmt.Sprintf(ink, "paper"))
			}
			if v.Touch { // canvas and probabilities are on the first screen
				h.draw(drawn[3])
				predicts(t, ctx, "3")
				if bottom := evaluate[float64](t, ctx, `document.getElementById("classes").getBoundingClientRect().bottom + scrollY`); bottom > float64(v.Height) {
					t.Errorf("the probabilities end at %g px of %d", bottom, v.Height)
				}
			}
		})
	}
}

// A pen on a tablet draws, and the keyboard does, alone.
func TestBrowserDrawWithPenAndKeyboard(t *testing.T) {
	browser.Require(t)
	s := serve(t, digits, web.Options{})
	v := browser.Views[0]
	ctx := open(t, v, s.URL())
	mouse(t, ctx, input.DispatchMouseEventPointerTypePen).draw(drawn[0])
	predicts(t, ctx, "0")
	h := keys(t, ctx)
	do(t, ctx, chromedp.KeyEvent(kb.Delete))
	await(t, ctx, `document.getElementById("prediction").textContent === "No prediction yet"`)
	for _, class := range []int{1, 3, 7} {
		h.draw(drawn[class])
		predicts(t, ctx, fmt.Sprint(class))
		await(t, ctx, fmt.Sprintf(`document.getElementById("spoken").textContent.startsWith("%d, ")`, class))
		look(t, ctx, v, fmt.Sprintf("draw-keyboard-%d", class))
		do(t, ctx, chromedp.KeyEvent(kb.Backspace))
		await(t, ctx, `document.getElementById("prediction").textContent === "No prediction yet"`)
	}
	h.press([2]float64{0.5, 0.5})
	if got := textOf(t, ctx, "spoken"); got != "The pen is down" {
		t.Errorf("with the pen down a screen reader says %q", got)
	}
}

// Probabilities move while one draws, before the line is at its end.
func TestBrowserDrawMoves(t *testing.T) {
	browser.Require(t)
	s := serve(t, digits, web.Options{})
	ctx := open(t, browser.Views[0], s.URL())
	h := mouse(t, ctx, input.DispatchMouseEventPointerTypeMouse)
	bars := `[...document.querySelectorAll("#classes i")].map((bar) => bar.style.transform).join()`
	seen := map[string]bool{evaluate[string](t, ctx, bars): true}
	line := drawn[3][0]
	h.press(line[0])
	for i, p := range line[1:] {
		h.move(p)
		if i%8 == 7 {
			time.Sleep(200 * time.Millisecond)
			seen[evaluate[string](t, ctx, bars)] = true
		}
	}
	if len(seen) < 4 {
		t.Errorf("while a line was drawn the bars had %d states", len(seen))
	}
	h.lift()
	rests(t, ctx, "3") // an answer from before the line's end is not what it is compared with
	// A second line, undone again.
	was := textOf(t, ctx, "prediction")
	h.draw([]stroke{{{0.1, 0.1}, {0.9, 0.9}}})
	await(t, ctx, fmt.Sprintf(`document.getElementById("prediction").textContent !== %q`, was))
	do(t, ctx, chromedp.Click("#undo"))
	await(t, ctx, fmt.Sprintf(`document.getElementById("prediction").textContent === %q`, was))
	// Between 4 and 9. This is example.png.
	do(t, ctx, chromedp.Click("#clear"))
	h.draw([]stroke{append(arc(0.46, 0.42, 0.14, 0.14, -110, -270), arc(0.5, 0.42, 0.16, 0.14, 100, 10)...), {{0.6, 0.22}, {0.65, 0.3}, {0.66, 0.4}, {0.64, 0.5}, {0.62, 0.65}, {0.6, 0.82}}})
	await(t, ctx, `/^[49]/.test(document.getElementById("prediction").textContent)`)
	look(t, ctx, browser.Views[0], "draw-example")
}

// The reasons are those of the class that is pointed at, that has the focus or that was chosen.
func TestBrowserDrawReasons(t *testing.T) {
	browser.Require(t)
	s := serve(t, digits, web.Options{})
	v := browser.Views[0]
	ctx := open(t, v, s.URL())
	mouse(t, ctx, input.DispatchMouseEventPointerTypeMouse).draw(drawn[7])
	reasons := func(class string) {
		t.Helper()
		await(t, ctx, fmt.Sprintf(`document.querySelector("#units-why h3").textContent === "For %s" && document.querySelectorAll("#units-why li").length > 8`, class))
	}
	predicts(t, ctx, "7")
	reasons("7")
	button := func(class int) string { return fmt.Sprintf("#classes li:nth-child(%d) button", class+1) }
	box := evaluate[[2]float64](t, ctx, fmt.Sprintf(`(({x, y, width, height}) => [x + width / 2, y + height / 2])(document.querySelector(%q).getBoundingClientRect())`, button(2)))
	do(t, ctx, chromedp.MouseEvent(chromedp.MouseMoved, box[0], box[1]))
	reasons("2")
	do(t, ctx, chromedp.MouseEvent(chromedp.MouseMoved, 5, 5))
	reasons("7")
	do(t, ctx, chromedp.Click(button(1)))
	do(t, ctx, chromedp.MouseEvent(chromedp.MouseMoved, 5, 5), chromedp.Blur(button(1)))
	reasons("1")
	do(t, ctx, chromedp.Focus("#clear"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab))
	reasons("2") // the file, and then the classes
	look(t, ctx, v, "draw-focus")
	for _, width := range []int64{320, 480, 640, 700, 900, 1024, 2560} {
		do(t, ctx, chromedp.EmulateViewport(width, 900))
		if err := browser.Fits(ctx); err != nil {
			t.Error(err)
		}
	}
	if got := textOf(t, ctx, "prediction"); !strings.HasPrefix(got, "7, ") {
		t.Errorf("the prediction became %q", got)
	}
}

// Questions are asked one at a time, and what is shown in the end is the answer to the last.
func TestBrowserDrawSlowServer(t *testing.T) {
	browser.Require(t)
	s := serve(t, digits, web.Options{})
	var under, most, all atomic.Int64
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/explain" {
			all.Add(1)
			if n := under.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(300 * time.Millisecond)
			defer under.Add(-1)
		}
		s.ServeHTTP(w, r)
	}))
	defer slow.Close()
	ctx := open(t, browser.Views[0], slow.URL)
	h := mouse(t, ctx, input.DispatchMouseEventPointerTypeMouse)
	h.draw(drawn[1])
	do(t, ctx, chromedp.Click("#clear"))
	time.Sleep(500 * time.Millisecond) // for an answer to what is gone
	if got := textOf(t, ctx, "prediction"); got != "No prediction yet" {
		t.Errorf("after Clear: %q", got)
	}
	h.draw(drawn[3])
	predicts(t, ctx, "3")
	if most.Load() != 1 || all.Load() > 20 {
		t.Errorf("%d questions, up to %d at a time", all.Load(), most.Load())
	}
}

// What is wrong is said, and goes once the server answers again.
func TestBrowserDrawProblems(t *testing.T) {
	browser.Require(t)
	s := serve(t, digits, web.Options{})
	var failing atomic.Value
	failing.Store("")
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/explain" {
			switch failing.Load() {
			case "gone":
				panic(http.ErrAbortHandler)
			case "busy":
				w.Header().Set("Retry-After", "1")
				web.Problem(w, http.StatusServiceUnavailable, "Busy", "The queue is full.")
				return
			case "often":
				w.Header().Set("Retry-After", "1")
				web.Problem(w, http.StatusTooManyRequests, "Too many requests", "At most 5 requests a second are taken.")
				return
			}
		}
		s.ServeHTTP(w, r)
	}))
	defer front.Close()
	for _, v := range []browser.View{browser.Views[0], browser.Views[3]} {
		ctx := open(t, v, front.URL)
		h := mouse(t, ctx, input.DispatchMouseEventPointerTypeMouse)
		for kind, text := range map[string]string{"gone": "The server does not answer. It is asked again in ", "busy": "The server is busy. The queue is full. It is asked again in 1 s.", "often": "The server is busy. At most 5 requests"} {
			failing.Store(kind)
			h.draw(drawn[1])
			await(t, ctx, fmt.Sprintf(`document.getElementById("problem").textContent.startsWith(%q) && !document.getElementById("problem").hidden`, text))
			look(t, ctx, v, "draw-"+kind)
			failing.Store("")
			await(t, ctx, `document.getElementById("problem").hidden`)
			predicts(t, ctx, "1")
			do(t, ctx, chromedp.Click("#clear"))
			await(t, ctx, `document.getElementById("prediction").textContent === "No prediction yet"`)
		}
	}
}

// A picture can be opened, and a file that is none is an error by name.
func TestBrowserDrawFile(t *testing.T) {
	browser.Require(t)
	s := serve(t, digits, web.Options{})
	v := browser.Views[0]
	ctx := open(t, v, s.URL())
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		must.Write(t, content, path)
		return path
	}
	do(t, ctx, chromedp.SetUploadFiles("#file", []string{file("bar.png", bar(t, 300, 200))}))
	predicts(t, ctx, "1")
	look(t, ctx, v, "draw-file")
	do(t, ctx, chromedp.SetUploadFiles("#file", []string{file("text.png", []byte("no picture"))}))
	await(t, ctx, `document.getElementById("problem").textContent === "text.png: a PNG or JPEG picture is expected."`)
	// One that only the browser reads.
	do(t, ctx, chromedp.SetUploadFiles("#file", []string{file("dot.gif", []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"))}))
	await(t, ctx, `document.getElementById("problem").textContent.startsWith("The content type is") && document.getElementById("prediction").textContent === "No prediction yet"`)
	// Dropped.
	do(t, ctx, chromedp.Click("#clear"))
	await(t, ctx, `document.getElementById("prediction").textContent === "No prediction yet"`)
	evaluate[bool](t, ctx, fmt.Sprintf(`(() => {
		const data = new DataTransfer();
		data.items.add(new File([Uint8Array.from(atob(%q), (c) => c.charCodeAt(0))], "a.png", {type: "image/png"}));
		return document.getElementById("paper").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
	})()`, base64.StdEncoding.EncodeToString(bar(t, 300, 200))))
	predicts(t, ctx, "1")
	// Drawing takes its place.
	mouse(t, ctx, input.DispatchMouseEventPointerTypeMouse).draw(drawn[0])
	predicts(t, ctx, "0")
}

// A row of a table has a form.
func TestBrowserDrawTable(t *testing.T) {
	browser.Require(t)
	s := serve(t, flowers, web.Options{})
	for _, v := range browser.Views {
		ctx := open(t, v, s.URL())
		await(t, ctx, `document.getElementById("prediction").textContent !== "No prediction yet"`) // of the example
		// Its values are the means, which scaling makes 0.
		await(t, ctx, `document.querySelector("#columns-why .meaning").textContent.startsWith("Nothing adds") && document.querySelector("#columns-why .pair").hidden`)
		look(t, ctx, v, "draw-table")
		for i, value := range []string{"5.1", "3.4", "1.4", "0.2"} {
			id := fmt.Sprintf("#column-%d", i)
			do(t, ctx, chromedp.SetValue(id, ""), chromedp.SendKeys(id, value))
		}
		predicts(t, ctx, "setosa")
		await(t, ctx, `document.querySelector("#units-why h2").textContent === "Hidden units for and against setosa" && document.querySelectorAll("#columns-why li").length > 1 && !document.querySelector("#columns-why .pair").hidden`)
		do(t, ctx, chromedp.SetValue("#column-0", ""), chromedp.SendKeys("#column-0", "e"))
		await(t, ctx, `document.getElementById("prediction").textContent === "A number is missing" && document.getElementById("column-0").getAttribute("aria-invalid") === "true"`)
		do(t, ctx, chromedp.Click("#example"))
		await(t, ctx, `document.getElementById("prediction").textContent.includes("%")`)
	}
}

// Networks with many classes of long names, of colours, of other shapes, without hidden layers, with two of them.
func TestBrowserDrawOthers(t *testing.T) {
	browser.Require(t)
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprintf("class %d with a name that is long", i)
	}
	shapes := map[string]checkpoint.Model{
		"classes": {Sizes: []int{784, 40, 200}, Shape: []int{28, 28}, Classes: names},
		"colours": {Sizes: []int{20 * 30 * 3, 12, 4}, Shape: []int{20, 30, 3}, Classes: []string{"cat", "dog", "a horse", "🙂"}},
		"none":    {Sizes: []int{64, 10}, Shape: []int{8, 8}},
		"two":     {Sizes: []int{784, 30, 20, 10}, Shape: []int{28, 28}},
		"columns": {Sizes: []int{60, 2}},
	}
	views, browsers := []browser.View{browser.Views[0], browser.Views[2]}, map[string]context.Context{}
	for _, v := range views {
		browsers[v.Name] = browser.Open(t, v, 2*time.Minute)
	}
	for name, m := range shapes {
		layout, err := network.NewLayout(m.Sizes)
		must.OK(t, err)
		m.Parameters, err = layout.Initial(network.He, 5)
		must.OK(t, err)
		m.Scaling = network.Scaling{Shift: []float64{0}, Factor: []float64{1. / 255}}
		s := serve(t, func() (checkpoint.Model, error) { return m, nil }, web.Options{})
		for _, v := range views {
			ctx := browsers[v.Name]
			do(t, ctx, chromedp.Navigate(s.URL()))
			await(t, ctx, `document.querySelectorAll("#classes li").length > 0`)
			if m.Shape != nil {
				mouse(t, ctx, input.DispatchMouseEventPointerTypeMouse).draw(drawn[3])
			} else {
				do(t, ctx, chromedp.SendKeys("#column-3", "7"))
			}
			await(t, ctx, `document.getElementById("prediction").textContent !== "No prediction yet"`)
			rows := min(m.Sizes[len(m.Sizes)-1], 10)
			if n := evaluate[int](t, ctx, `document.querySelectorAll("#classes li").length`); n != rows {
				t.Errorf("%s: %d rows of classes, %d are expected", name, n, rows)
			}
			look(t, ctx, v, "draw-"+name)
		}
	}
}
