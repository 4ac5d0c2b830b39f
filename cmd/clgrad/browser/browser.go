// Package browser opens pages in a headless Chromium, for tests.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A View is how a page is looked at.
type View struct {
	Name          string // of its screenshots
	Width, Height int64  // of the window, in CSS pixels
	Touch         bool   // a phone's: touch events, and its viewport
	Dark          bool   // prefers-color-scheme
}

// Views are the four that every page is tried at.
var Views = []View{
	{Name: "desktop-light", Width: 1280, Height: 900},
	{Name: "desktop-dark", Width: 1280, Height: 900, Dark: true},
	{Name: "phone-light", Width: 390, Height: 844, Touch: true},
	{Name: "phone-dark", Width: 390, Height: 844, Touch: true, Dark: true},
}

// Require returns the program of a Chromium. With -short the test is skipped. Without a Chromium it is
// too, or fails where REQUIRE_BROWSER=1. A test that prepares something before it opens a page calls
// it first.
func Require(t *testing.T) (program string) {
	t.Helper()
	if testing.Short() {
		t.Skip("with -short no browser is started")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("REQUIRE_BROWSER") == "1" {
		t.Fatal("REQUIRE_BROWSER=1: no chromium, chromium-browser or google-chrome in PATH")
	}
	t.Skip("no chromium, chromium-browser or google-chrome in PATH (Debian: apt-get install chromium)")
	return ""
}

// Open starts a browser with one empty page, where [Require] finds one. It returns the context that
// chromedp's actions take, which ends after the time limit. An exception in a script and a message of
// console.error of a page fail the test.
func Open(t *testing.T, v View, limit time.Duration) context.Context {
	t.Helper()
	program := Require(t)
	files, err := os.MkdirTemp("", "clgrad-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(files) }) // not t.TempDir: what the browser is still writing is no failure of the test
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.Env("TMPDIR="+files))...) // root has no sandbox
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	options := []chromedp.EmulateViewportOption{}
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	if v.Touch {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	err = chromedp.Do(ctx, chromedp.EmulateViewport(v.Width, v.Height, options...))
	if err == nil {
		_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	}
	if err == nil {
		err = chromedp.Listen(ctx, func(event any) {
			switch e := event.(type) {
			case *runtime.EventExceptionThrown:
				t.Errorf("%s: a script failed: %v", v.Name, e.ExceptionDetails)
			case *runtime.EventConsoleAPICalled:
				if e.Type == runtime.ConsoleAPICalledTypeError {
					for _, a := range e.Args {
						t.Errorf("%s: console.error: %s", v.Name, a.Value)
					}
				}
			}
		})
	}
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	ctx, cancel = context.WithTimeout(ctx, limit)
	t.Cleanup(cancel)
	return ctx
}

// Fits reports a page that is wider than its window.
func Fits(ctx context.Context) error {
	wide, err := chromedp.Run(ctx, chromedp.Evaluate[[2]int](`[document.documentElement.scrollWidth, document.documentElement.clientWidth]`))
	if err == nil && wide[0] > wide[1] {
		err = fmt.Errorf("the page is %d px wide in a window of %d", wide[0], wide[1])
	}
	return err
}

// Screenshot writes the whole page to NAME-VIEW.png in the directory that SCREENSHOTS
// names, for a person to look at. Without SCREENSHOTS it only takes it.
func Screenshot(ctx context.Context, v View, name string) error {
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return err
	}
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+"-"+v.Name+".png"), png, 0o666)
}
