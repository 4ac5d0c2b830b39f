package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"clgrad/cmd/clgrad/browser"
	"clgrad/network/must"
)

func TestBrowser(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><meta name="viewport" content="width=device-width"><p id="wide" style="width:600px">text</p>`)
	}))
	defer server.Close()
	for _, v := range browser.Views {
		ctx := browser.Open(t, v, time.Minute)
		err := chromedp.Do(ctx, chromedp.Navigate(server.URL))
		must.OK(t, err)
		is, err := chromedp.Run(ctx, chromedp.Evaluate[[2]bool](`[matchMedia("(prefers-color-scheme: dark)").matches, navigator.maxTouchPoints > 0]`))
		if err != nil || is != [2]bool{v.Dark, v.Touch} {
			t.Errorf("%s: dark and touch are %v, error %v", v.Name, is, err)
		}
		if err := browser.Fits(ctx); (err != nil) != (v.Width < 600) {
			t.Errorf("%s: Fits: %v", v.Name, err)
		}
		if err := browser.Screenshot(ctx, v, "page"); err != nil {
			t.Errorf("%s: Screenshot: %v", v.Name, err)
		}
	}
}
