package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clgrad/cmd/clgrad/measure"
	"clgrad/cmd/clgrad/text"
	"clgrad/network/must"
)

// serving runs clgrad serve in this process until stop, which returns its exit status and what it said on
// standard error.
func serving(t *testing.T, args ...string) (url string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	reader, out := io.Pipe()
	var said bytes.Buffer
	a := &app{Context: ctx, out: out, err: &said}
	done := make(chan int, 1)
	go func() {
		status := a.run(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...))
		out.Close()
		done <- status
	}()
	stop = sync.OnceValues(func() (int, string) {
		cancel(signalError{syscall.SIGTERM})
		return <-done, said.String()
	})
	t.Cleanup(func() { stop() })
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		_, text := stop()
		t.Fatalf("no address: %s", text)
	}
	return strings.TrimSpace(line), stop
}

// post sends JSON and returns status and answer.
func post(url, body string) (int, string, error) {
	answer, err := http.Post(url+"/v1/predict", "application/json", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// flowersRun trains a small network on flowers and returns its directory and file of data.
func flowersRun(t *testing.T) (dir, data string) {
	t.Helper()
	data = write(t, "flowers.csv", flowers(1, 30))
	dir = filepath.Join(t.TempDir(), "run")
	var said bytes.Buffer
	a := &app{Context: context.Background(), out: io.Discard, err: &said}
	if status := a.run([]string{"train", "--data", data, "--label", "species", "--preprocess", "feature", "--layers", "20", "--epochs", "20", "--batch-size", "10", "--backend", "cpu", "--out", dir}); status != success {
		t.Fatal(said.String())
	}
	return dir, data
}

// The answers are those of clgrad predict, for JSON by rows and by names, and for CSV; the same for a row alone
// and among others, to the last bit; with every backend.
func TestServePredicts(t *testing.T) {
	dir, data := flowersRun(t)
	lines := strings.Split(strings.TrimSpace(must.Read(t, data)), "\n")[1:]
	backends := []string{"cpu", "cpu64"}
	if devices := backendsOfDevices(t); len(devices) > 0 {
		backends = append(backends, devices[0])
	}
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			var out bytes.Buffer
			a := &app{Context: context.Background(), out: &out, err: io.Discard}
			if status := a.run([]string{"predict", dir, "--data", data, "--backend", backend, "--json", "--probabilities"}); status != success {
				t.Fatal("predict fails")
			}
			var labels []string
			for line := range strings.Lines(out.String()) {
				var row struct{ Predicted string }
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					t.Fatal(err)
				}
				labels = append(labels, row.Predicted)
			}
			url, stop := serving(t, dir, "--backend", backend, "--quiet")
			var rows []string
			for _, line := range lines {
				rows = append(rows, "["+line[:strings.LastIndex(line, ",")]+"]")
			}
			status, whole, err := post(url, `{"rows":[`+strings.Join(rows, ",")+`],"probabilities":true}`)
			if err != nil || status != 200 {
				t.Fatalf("status %d, %s, %v", status, whole, err)
			}
			var got struct{ Predictions []json.RawMessage }
			if err := json.Unmarshal([]byte(whole), &got); err != nil || len(got.Predictions) != len(rows) {
				t.Fatalf("%d predictions of %d rows, %v", len(got.Predictions), len(rows), err)
			}
			for i, row := range rows {
				if !bytes.Contains(got.Predictions[i], []byte(`"label":"`+labels[i]+`"`)) {
					t.Errorf("row %d: %s, and predict says %s", i+1, got.Predictions[i], labels[i])
				}
				_, alone, err := post(url, `{"row":`+row+`,"probabilities":true}`)
				if expected := fmt.Sprintf("{\"predictions\":[%s]}\n", got.Predictions[i]); err != nil || alone != expected {
					t.Fatalf("row %d alone: %s, among others %s, %v", i+1, alone, expected, err)
				}
			}
			v := strings.Split(strings.Trim(rows[0], "[]"), ",")
			record := fmt.Sprintf(`{"records":[{"petal width":%s,"petal length":%s,"sepal width":%s,"sepal length":%s}],"probabilities":true}`, v[3], v[2], v[1], v[0])
			if _, text, err := post(url, record); err != nil || text != fmt.Sprintf("{\"predictions\":[%s]}\n", got.Predictions[0]) {
				t.Errorf("by names: %s, %v", text, err)
			}
			if status, said := stop(); status != signalled+int(syscall.SIGTERM) || !strings.Contains(said, "stopped by SIGTERM") {
				t.Errorf("status %d: %s", status, said)
			}
		})
	}
}

// backendsOfDevices returns the OpenCL backends that can be used here.
func backendsOfDevices(t *testing.T) (names []string) {
	t.Helper()
	devices, err := usableDevices(&app{Context: context.Background(), err: io.Discard})
	if err != nil {
		return nil
	}
	for _, d := range devices {
		names = append(names, string(d))
	}
	return names
}

// An address that is taken is an error in one line, before anything else is done.
func TestServePortInUse(t *testing.T) {
	dir, _ := flowersRun(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var said bytes.Buffer
	a := &app{Context: context.Background(), out: io.Discard, err: &said}
	status := a.run([]string{"serve", dir, "--listen", l.Addr().String()})
	if expected := fmt.Sprintf("clgrad: --listen: address %v: another program listens there: give another port, or 0 for any free one\n", l.Addr()); status != failure || said.String() != expected {
		t.Errorf("status %d: %s", status, said.String())
	}
}

// Thousands of requests, among them such as are wrong, broken off or left, leave neither goroutines, files nor
// memory behind.
func TestServeLeavesNothing(t *testing.T) {
	dir, _ := flowersRun(t)
	url, stop := serving(t, dir, "--backend", "cpu", "--quiet")
	address := strings.TrimPrefix(url, "http://")
	some := func(n int) {
		var all sync.WaitGroup
		for c := range 8 {
			all.Go(func() {
				for i := range n / 8 {
					switch (c + i) % 4 {
					case 0, 1:
						if status, text, err := post(url, `{"rows":[[5,3,1,0],[6,3,5,2]]}`); err != nil || status != 200 {
							t.Errorf("status %d, %s, %v", status, text, err)
							return
						}
					case 2:
						post(url, `{"rows":[[5,3,1`)
					case 3:
						conn, err := net.Dial("tcp", address)
						if err != nil {
							t.Error(err)
							return
						}
						body := `{"row":[5,3,1,0]}`
						fmt.Fprintf(conn, "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body)+i%2, body)
						conn.Close()
					}
				}
			})
		}
		all.Wait()
		http.DefaultClient.CloseIdleConnections()
	}
	files := func() int {
		found, _ := os.ReadDir("/proc/self/fd")
		return len(found)
	}
	// settled waits until connections that are being closed are.
	settled := func(goroutines, open int) (int, int) {
		for range 100 {
			if runtime.NumGoroutine() <= goroutines && files() <= open {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		return runtime.NumGoroutine(), files()
	}
	some(800)
	time.Sleep(300 * time.Millisecond)
	goroutines, open := settled(0, 0)
	debug.FreeOSMemory() // garbage is not what is left
	memory := measure.ResidentMemory()
	some(8000)
	if g, f := settled(goroutines, open); g > goroutines || f > open {
		t.Errorf("%d goroutines and %d files, after a tenth of the requests %d and %d", g, f, goroutines, open)
	}
	debug.FreeOSMemory()
	if grown := measure.ResidentMemory() - memory; grown > 16<<20 && !testing.Short() { // the race detector has memory of its own
		t.Errorf("%d bytes of memory more", grown)
	}
	stop()
}

// The examples of the README work as they stand there, with the address of this server.
func TestServeExamples(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl in PATH")
	}
	dir, _ := flowersRun(t)
	url, _ := serving(t, dir, "--backend", "cpu", "--quiet")
	_, section, _ := strings.Cut(must.Read(t, "README.md"), "\n## Serving\n")
	section, _, _ = strings.Cut(section, "\n## ")
	n := 0
	for line := range strings.Lines(section) {
		command, ok := strings.CutPrefix(line, "$ curl ")
		if !ok || strings.Contains(line, "@") {
			continue
		}
		n++
		out, err := exec.Command("sh", "-c", "curl -sS "+strings.ReplaceAll(command, "http://127.0.0.1:8080", url)).Output()
		_, expected, _ := strings.Cut(section, line)
		expected, _, _ = strings.Cut(expected, "\n")
		if err != nil || !strings.HasPrefix(text.OneLine(fmt.Errorf("%s", out)), expected[:min(30, len(expected))]) {
			t.Errorf("%s: %s, %v\nexpected: %s", command, out, err, expected)
		}
	}
	if n < 2 {
		t.Errorf("%d examples", n)
	}
}
