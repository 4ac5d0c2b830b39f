package dataset

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"clgrad/network/must"
)

var hello = File{Name: "hello.gz", Size: 5}

// getFrom returns what a server with the handler gives for hello.gz.
func getFrom(t *testing.T, ctx context.Context, limit time.Duration, handler http.HandlerFunc) ([]byte, error) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	get, err := mirror{url: server.URL + "/set/", limit: limit}.open(ctx, false)
	must.OK(t, err)
	return get(ctx, hello, nil)
}

func TestMirror(t *testing.T) {
	content, err := getFrom(t, t.Context(), time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/set/hello.gz" || r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("asked for %s with encoding %q", r.URL.Path, r.Header.Get("Accept-Encoding"))
		}
		fmt.Fprint(w, "hello")
	})
	if string(content) != "hello" || err != nil {
		t.Errorf("got %q, %v", content, err)
	}
}

// A download tells how far it is, and that it has ended, also where it is cut short.
func TestDownloadProgress(t *testing.T) {
	content := toyContent()
	whole, cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(content[strings.TrimPrefix(r.URL.Path, "/")])
	})), httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file := content[strings.TrimPrefix(r.URL.Path, "/")]
		w.Header().Set("Content-Length", fmt.Sprint(len(file)))
		w.Write(file[:7])
	}))
	t.Cleanup(whole.Close)
	t.Cleanup(cut.Close)
	for _, c := range []struct {
		url string
		ok  bool
	}{{whole.URL, true}, {cut.URL, false}} {
		l, _ := toyLibrary(t, mirror{url: c.url + "/", limit: time.Minute})
		on, ended, most := "", 0, map[string]int64{}
		l.Download = func(file string, done, total int64) {
			if on != "" && on != file || total != int64(len(content[file])) {
				t.Errorf("%s: %d of %d bytes, after %s", file, done, total, on)
			}
			if on = file; done == total {
				on, ended = "", ended+1
				return
			}
			most[file] = max(most[file], done)
		}
		_, err := l.load(t.Context(), "toy")
		if ok := err == nil; ok != c.ok || on != "" || ended < 1 || ok && ended < 4 || !ok && most[partNames[trainImages]+".gz"] != 7 {
			t.Errorf("%v: %q has not ended, %d times something did, %v", err, on, ended, most)
		}
	}
}

func TestMirrorFailures(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"not found", http.NotFound, `hello.gz: the server answers "404 Not Found"`},
		{"other length", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello, world") },
			"hello.gz: the server has 12 bytes where 5 are expected"},
		{"cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			fmt.Fprint(w, "hel")
		}, "unexpected EOF"},
		{"stalls", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "hel")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "no complete answer within 200ms"},
	} {
		t.Run(test.name, func(t *testing.T) {
			limit := time.Minute
			if test.name == "stalls" {
				limit = 200 * time.Millisecond
			}
			_, err := getFrom(t, t.Context(), limit, test.handler)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// A server without end costs one byte more than the file.
func TestMirrorWithoutEnd(t *testing.T) {
	content, err := getFrom(t, t.Context(), time.Minute, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	if err != nil || len(content) != 6 {
		t.Fatalf("got %d bytes, %v, want 6", len(content), err)
	}
	if err := hello.check(content); err == nil || err.Error() != "hello.gz has more than the 5 bytes that are expected" {
		t.Errorf("such content is %v", err)
	}
}

func TestMirrorStopsWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := getFrom(t, ctx, time.Minute, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestMirrorUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	get, err := mirror{url: server.URL + "/", limit: time.Minute}.open(t.Context(), false)
	must.OK(t, err)
	if _, err := get(t.Context(), hello, nil); err == nil {
		t.Error("a server that is down gave a file")
	}
	if _, err := (mirror{url: server.URL + "/"}).open(t.Context(), true); err != errOffline {
		t.Errorf("offline: got %v", err)
	}
}

// fakeGo puts a shell script named fakego on the PATH.
func fakeGo(t *testing.T, script string) goModule {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	dir := t.TempDir()
	must.OK(t, os.WriteFile(filepath.Join(dir, "fakego"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return goModule{module: "example.org/data@v1.0.0", folder: "data", command: "fakego", limit: time.Minute}
}

func TestGoModule(t *testing.T) {
	module := t.TempDir()
	must.OK(t, os.MkdirAll(filepath.Join(module, "data"), 0o755))
	must.Write(t, "hello, world", module, "data", "hello.gz")
	// The script answers only where it is asked as it should be.
	m := fakeGo(t, fmt.Sprintf(`
		[ "$*" = "mod download -json example.org/data@v1.0.0" ] || { echo "asked $*" >&2; exit 3; }
		[ -z "$(ls)" ] || { echo "runs in a directory with files" >&2; exit 3; }
		[ "$GOWORK" = off ] || { echo "GOWORK=$GOWORK" >&2; exit 3; }
		[ "$GOPROXY" = "$WANT_PROXY" ] || { echo "GOPROXY=$GOPROXY" >&2; exit 3; }
		echo '{"Dir": "%s"}'`, module))
	t.Setenv("GOPROXY", "somewhere")
	for _, offline := range []bool{false, true} {
		proxy := "somewhere"
		if offline {
			proxy = "off"
		}
		t.Setenv("WANT_PROXY", proxy)
		get, err := m.open(t.Context(), offline)
		must.OK(t, err)
		if content, err := get(t.Context(), hello, nil); string(content) != "hello," || err != nil {
			t.Errorf("got %q, %v, want one byte more than the file's size", content, err)
		}
		if _, err := get(t.Context(), File{Name: "other.gz"}, nil); !os.IsNotExist(err) {
			t.Errorf("a file that is not there: got %v", err)
		}
	}
}

func TestGoModuleFailures(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"reported":     {`echo '{"Error": "no such module"}'; exit 1`, "no such module"},
		"stderr":       {`echo 'go: broken' >&2; exit 1`, "exit status 1: go: broken"},
		"silent":       {`exit 1`, "exit status 1"},
		"no JSON":      {`echo hello`, "the go command's answer: invalid character"},
		"no directory": {`echo '{}'`, "the go command's answer names no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fakeGo(t, test.script).open(t.Context(), false)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	t.Run("no command", func(t *testing.T) {
		_, err := goModule{command: "clgrad-no-such-command"}.open(t.Context(), false)
		if err == nil || err.Error() != "the clgrad-no-such-command command is not on the PATH" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("stalls", func(t *testing.T) {
		m := fakeGo(t, "exec sleep 60")
		m.limit = 100 * time.Millisecond
		if _, err := m.open(t.Context(), false); err == nil || err.Error() != "no answer within 100ms" {
			t.Errorf("got %v", err)
		}
	})
}

func TestOneLine(t *testing.T) {
	if got := oneLine(" a\n\tb  c\r\n"); got != "a b c" {
		t.Errorf("got %q", got)
	}
	if got := oneLine(strings.Repeat("é", 2000)); len([]rune(got)) > 700 || !strings.HasSuffix(got, "é …") {
		t.Errorf("a long line becomes %q", got)
	}
}

// MNIST itself, from the Go module alone, so that a broken module is not hidden
// by a mirror.
func TestMNIST(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the Go module, 11 MB")
	}
	set := sets[0]
	set.sources = set.sources[:1]
	l := library{[]namedSet{set}, Options{CacheDir: t.TempDir(), Log: func(line string) { t.Log(line) }}}
	s, err := l.load(t.Context(), "mnist")
	must.OK(t, err)
	if s.Train.Rows != 60000 || s.Test.Rows != 10000 || s.Train.Features != 784 || s.Test.Features != 784 ||
		s.Classes != 10 || len(s.Shape) != 2 || s.Shape[0] != 28 || s.Shape[1] != 28 || s.Name != "mnist" {
		t.Errorf("got %d + %d samples of %v in %d classes", s.Train.Rows, s.Test.Rows, s.Shape, s.Classes)
	}
	if got := fmt.Sprint(s.Train.Labels[:5]); got != "[5 0 4 1 9]" {
		t.Errorf("the first labels are %s", got)
	}
	if err := s.Train.Check(10); err != nil {
		t.Error(err)
	}
	if err := s.Test.Check(10); err != nil {
		t.Error(err)
	}
	// Computed from the files by another program, after Digest's comment.
	if want := "9119f913b19c4a9d031c595b08561df1b8240852e9aef9fb4918dd6a1970c161"; s.Digest != want {
		t.Errorf("digest %s, want %s", s.Digest, want)
	}
	if status, err := l.verify(t.Context(), "mnist"); err != nil || !status.OK {
		t.Errorf("the cache is %+v, %v", status, err)
	}
	// The sums of all training pixels and of their squares, from that program too.
	const n, sum, squares = 47040000, 1567298545.0, 342590800147.0
	scaled, err := s.Preprocess(Standard)
	must.OK(t, err)
	near(t, "mean", scaled.Train.Scaling.Shift[0], sum/n)
	near(t, "factor", scaled.Train.Scaling.Factor[0], 1/(78.56748998339799+255e-5))
}

// Fashion-MNIST itself, where Debian's package is installed.
func TestFashionMNIST(t *testing.T) {
	if testing.Short() {
		t.Skip("needs 55 MB")
	}
	set := sets[1]
	set.sources = set.sources[:1]
	if _, err := set.sources[0].open(t.Context(), true); err != nil {
		t.Skipf("%s: %v", set.sources[0], err)
	}
	l := library{[]namedSet{set}, Options{CacheDir: t.TempDir(), Offline: true}}
	s, err := l.load(t.Context(), "fashion-mnist")
	must.OK(t, err)
	if got := []int{s.Train.Rows, s.Test.Rows, s.Train.Features, s.Classes}; !slices.Equal(got, []int{60000, 10000, 784, 10}) {
		t.Errorf("rows, test rows, features and classes are %v", got)
	}
	var first []string
	for _, y := range s.Train.Labels[:5] {
		first = append(first, s.ClassNames[y])
	}
	if got := strings.Join(first, ", "); got != "Ankle boot, T-shirt/top, T-shirt/top, Dress, T-shirt/top" {
		t.Errorf("the first labels are %s", got)
	}
	if status, err := l.verify(t.Context(), "fashion-mnist"); err != nil || !status.OK {
		t.Errorf("the cache is %+v, %v", status, err)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	if _, err := (directory{path: filepath.Join(dir, "none")}).open(t.Context(), false); err == nil || err.Error() != "not installed" {
		t.Errorf("got %v", err)
	}
	must.Write(t, "hello, world", dir, hello.Name)
	get, err := directory{path: dir}.open(t.Context(), true)
	must.OK(t, err)
	if content, err := get(t.Context(), hello, nil); string(content) != "hello," || err != nil {
		t.Errorf("got %q, %v, want one byte more than the file's size", content, err)
	}
}
